"""What a child may ask of a host, and what of its log a host wants: small decisions of the relay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from warroom_mcp.manager.child import Child
from warroom_mcp.server.caller import opens_urls, shows_forms
from warroom_mcp.wire.codec import Fields, RpcError, encode, fields_of, value_of
from warroom_mcp.wire.peer import Unanswered
from warroom_mcp.wire.protocol import ASKING, LOG_LEVELS


def may_ask(method: str, params: Raw, capabilities: Mapping[str, Any]) -> bool:
    """Whether a host declared what a child asks of it."""
    capability = ASKING.get(method)
    if capability is None or capability not in capabilities or bytes(params)[:1] not in (b"", b"{"):
        return False
    if capability == "elicitation":
        mode = value_of(members(params).get("mode"))
        return opens_urls(capabilities) if mode == "url" else shows_forms(capabilities)
    return True


def members(raw: Raw | None) -> Fields:
    """The members of what should be an object; none if it is none."""
    try:
        return fields_of(raw) if raw is not None else {}
    except (ValueError, RecursionError):
        return {}


def reaches(level: object, wanted: str) -> bool:
    """Whether a message of a level is one that the host wants; unknown levels pass."""
    if level not in LOG_LEVELS or wanted not in LOG_LEVELS:
        return True
    return LOG_LEVELS.index(str(level)) >= LOG_LEVELS.index(wanted)


def want_level(child: Child, level: str) -> None:
    """Have a child with a handshake log from a level on; one that keeps no log is not asked."""
    offered = child.met.capabilities if child.met is not None else {}
    if child.ready and not child.modern and "logging" in offered and child.log_level != level:
        child.log_level = level
        child.post("logging/setLevel", encode({"level": level}), _Nothing(child))


class _Nothing:
    """Waits for an answer in which nobody is interested."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def replied(self, result: Raw) -> None:
        self._child.answered()

    def refused(self, error: RpcError) -> None:
        self._child.answered()

    def lost(self, error: Unanswered) -> None:
        self._child.answered()

    def progressed(self, fields: Fields) -> None:
        pass
