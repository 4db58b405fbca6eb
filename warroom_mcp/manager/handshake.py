"""How a child is met: in the era of the host that needs it, else in the other.

A child of 2026-07-28 is asked `server/discover`, one with a handshake `initialize`. Most servers speak
only one of the two, and some of those say nothing to a first request that they do not know, or exit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from msgspec import Raw

from warroom_mcp.errors import ChildProtocolError
from warroom_mcp.models import Speech
from warroom_mcp.version import __version__
from warroom_mcp.wire.codec import RpcError, value_of
from warroom_mcp.wire.peer import Peer, Unanswered
from warroom_mcp.wire.protocol import (
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LATEST_HANDSHAKE,
    LATEST_MODERN,
    META_CAPABILITIES,
    META_CLIENT,
    META_SERVER,
    META_VERSION,
    METHOD_NOT_FOUND,
    MODERN_VERSIONS,
    UNSUPPORTED_VERSION,
    is_modern,
)

PROBE_DEADLINE = 3.0
"""Seconds in which a child should know what `server/discover` is; later it is shaken hands with as well."""
_OTHER_ERA = frozenset({METHOD_NOT_FOUND, INVALID_REQUEST, INVALID_PARAMS, UNSUPPORTED_VERSION})
"""How servers of the modern era refuse `initialize`."""


class OtherEra(Exception):
    """The child wants the other era, on a connection of its own."""


@dataclass(frozen=True, slots=True)
class Met:
    """What a child said of itself."""

    version: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    instructions: str | None = None
    server: Mapping[str, Any] = field(default_factory=dict)

    @property
    def modern(self) -> bool:
        """Whether its requests stand alone."""
        return is_modern(self.version)


def identity() -> dict[str, Any]:
    """What War Room calls itself towards children."""
    return {"name": "war-room", "title": "War Room", "version": __version__}


def envelope(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """What 2026-07-28 wants to know with every request, in `_meta`."""
    return {META_VERSION: LATEST_MODERN, META_CLIENT: identity(), META_CAPABILITIES: dict(capabilities)}


async def meet(peer: Peer, speech: Speech, *, only: bool) -> Met:
    """Agree on a version; `only` says that the era of `speech` is the child's only one.

    Raises:
        OtherEra: it refused the handshake as a server of the other era does.
        ChildProtocolError: it answered with something else.
        RpcError, Unanswered: its own error, or the end of the connection.
    """
    if not speech.modern:
        return await _shake_hands(peer, speech)
    if only:
        return await _discover(peer, speech)
    return await _discover_or_shake_hands(peer, speech)


async def _shake_hands(peer: Peer, speech: Speech) -> Met:
    params = {
        "protocolVersion": LATEST_HANDSHAKE,
        "capabilities": dict(speech.capabilities),
        "clientInfo": identity(),
    }
    try:
        result = _object(await peer.request("initialize", params, cancellable=False), "initialize")
    except RpcError as error:
        if error.code in _OTHER_ERA:
            raise OtherEra from error
        raise
    spoken = result.get("protocolVersion")
    if spoken not in HANDSHAKE_VERSIONS:
        raise ChildProtocolError(f"It speaks version {str(spoken)[:40]!r} of MCP, which is not known here.")
    peer.notify("notifications/initialized")
    return _met(str(spoken), result, result.get("serverInfo"))


async def _discover(peer: Peer, speech: Speech) -> Met:
    params = {"_meta": envelope(speech.capabilities)}
    result = _object(await peer.request("server/discover", params, cancellable=False), "server/discover")
    spoken = result.get("supportedVersions")
    if not isinstance(spoken, list) or not set(spoken) & set(MODERN_VERSIONS):
        raise OtherEra
    meta = result.get("_meta")
    server = meta.get(META_SERVER) if isinstance(meta, Mapping) else None
    return _met(LATEST_MODERN, result, server or result.get("serverInfo"))


async def _discover_or_shake_hands(peer: Peer, speech: Speech) -> Met:
    """Ask for the modern era; a child that refuses or says nothing is shaken hands with as well.

    Whichever is answered first counts: a child of both eras that starts slowly decides by the request
    that it reads first.
    """
    found: list[Met] = []
    errors: list[Exception] = []
    refused = anyio.Event()

    async def discover() -> None:
        try:
            found.append(await _discover(peer, speech))
            tasks.cancel_scope.cancel()
        except (RpcError, OtherEra, ChildProtocolError):
            refused.set()
        except Unanswered as error:
            errors.append(error)
            tasks.cancel_scope.cancel()

    async def shake_hands() -> None:
        with anyio.move_on_after(PROBE_DEADLINE):
            await refused.wait()
        try:
            found.append(await _shake_hands(peer, Speech(False, speech.capabilities)))
            tasks.cancel_scope.cancel()
        except (RpcError, OtherEra, ChildProtocolError, Unanswered) as error:
            errors.append(error)
            if refused.is_set():
                tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(discover)
        tasks.start_soon(shake_hands)
    if found:
        return found[0]
    error = errors[0] if errors else ChildProtocolError("It speaks no version of MCP that is known here.")
    if isinstance(error, OtherEra):
        raise ChildProtocolError("It refuses both ways to begin a conversation.") from error
    raise error


def _met(spoken: str, result: Mapping[str, Any], server: object) -> Met:
    capabilities, instructions = result.get("capabilities"), result.get("instructions")
    return Met(
        spoken,
        capabilities if isinstance(capabilities, Mapping) else {},
        instructions if isinstance(instructions, str) else None,
        server if isinstance(server, Mapping) else {},
    )


def _object(result: Raw, method: str) -> dict[str, Any]:
    value = value_of(result)
    if not isinstance(value, dict):
        raise ChildProtocolError(f"The answer to {method} is no object.")
    return value
