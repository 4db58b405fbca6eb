"""The first words with a host: handshake or discovery, and lists while nothing is added.

Needs nothing but the standard library and the wire, so that a host that starts War Room is answered
before the rest of it is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from warroom_mcp.server.caller import Host
from warroom_mcp.version import __version__
from warroom_mcp.wire.codec import Fields, RpcError, fields_of, value_of
from warroom_mcp.wire.protocol import (
    EXTENSION_UI,
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LATEST_HANDSHAKE,
    LOG_LEVELS,
    META_CAPABILITIES,
    META_SERVER,
    META_VERSION,
    MODERN_VERSIONS,
    UNSUPPORTED_VERSION,
)

HANDSHAKE_METHODS = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)
"""What 2026-07-28 no longer has."""
EMPTY_LISTS = {
    "prompts/list": "prompts",
    "resources/list": "resources",
}


@cache
def introduction() -> Fields:
    """Our own `tools`, `templates` and `instructions`; a test compares the file with what it says again."""
    with open(os.path.join(os.path.dirname(__file__), "tools.json"), "rb") as file:
        return fields_of(file.read())


def identity() -> dict[str, Any]:
    """What War Room calls itself."""
    return {"name": "war-room", "title": "War Room", "version": __version__}


def capabilities(*, modern: bool, brought: Mapping[str, Any]) -> dict[str, Any]:
    """What War Room can do for a host; an empty one already says what its children may bring.

    `brought` are capabilities that are said only when a child has them: `extensions` and `tasks`.
    """
    listed = {"listChanged": True}
    able: dict[str, Any] = {
        "tools": listed,
        "prompts": listed,
        "resources": {"subscribe": True, **listed},
        "completions": {},
        "logging": {},
    }
    if extensions := brought.get("extensions"):
        able["extensions"] = dict(extensions)
    if not modern and isinstance(tasks := brought.get("tasks"), Mapping):
        # A list would be that of all servers, for whichever host asks.
        able["tasks"] = {name: value for name, value in tasks.items() if name != "list"}
    return able


def initialize(host: Host, fields: Fields, brought: Mapping[str, Any]) -> dict[str, Any]:
    """Shake hands.

    Raises: RpcError: the parameters are none of `initialize`.
    """
    params = {name: value_of(raw) for name, raw in fields.items()}
    wanted = params.get("protocolVersion")
    if not (isinstance(wanted, str) and isinstance(params.get("capabilities"), Mapping)):
        raise RpcError(INVALID_PARAMS, "initialize needs protocolVersion, capabilities and clientInfo")
    spoken = wanted if wanted in HANDSHAKE_VERSIONS else LATEST_HANDSHAKE
    host.shook_hands(params, spoken)
    return {
        "protocolVersion": spoken,
        "capabilities": capabilities(modern=False, brought=_known(brought, host.capabilities)),
        "serverInfo": identity(),
        "instructions": introduction()["instructions"],
    }


def discover(host_capabilities: Mapping[str, Any], brought: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `server/discover`."""
    return {
        "resultType": "complete",
        "supportedVersions": list(MODERN_VERSIONS),
        "capabilities": capabilities(modern=True, brought=_known(brought, host_capabilities)),
        "instructions": introduction()["instructions"],
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {META_SERVER: identity()},
    }


def check_envelope(meta: Fields) -> str:
    """The version of a request that stands alone.

    Raises: RpcError: it lacks what every such request has to say, or asks for a version not served.
    """
    wanted = value_of(meta.get(META_VERSION))
    if not isinstance(wanted, str):
        raise RpcError(INVALID_PARAMS, f"_meta has no {META_VERSION}")
    if wanted not in MODERN_VERSIONS:
        raise unsupported(wanted)
    if not isinstance(value_of(meta.get(META_CAPABILITIES)), Mapping):
        raise RpcError(INVALID_PARAMS, f"_meta has no {META_CAPABILITIES}")
    return wanted


def unsupported(wanted: object) -> RpcError:
    """The error for a version that is not served."""
    data: dict[str, Any] = {"supported": list(MODERN_VERSIONS)}
    if isinstance(wanted, str):
        data["requested"] = wanted
    return RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def set_level(host: Host, fields: Fields) -> dict[str, Any]:
    """Note the least level of log messages that a host wants.

    Raises: RpcError: it is no level.
    """
    level = value_of(fields.get("level"))
    if level not in LOG_LEVELS:
        raise RpcError(INVALID_PARAMS, f"level has to be one of {', '.join(LOG_LEVELS)}")
    host.log_level = level
    return {}


def own_list(method: str, *, modern: bool) -> bytes | None:
    """A list while nothing is added; None for another method."""
    if method == "tools/list":
        return listing("tools", bytes(introduction()["tools"]), modern=modern)
    if method == "resources/templates/list":
        return listing("resourceTemplates", bytes(introduction()["templates"]), modern=modern)
    key = EMPTY_LISTS.get(method)
    return listing(key, b"[]", modern=modern) if key is not None else None


def listing(key: str, items: bytes, *, modern: bool) -> bytes:
    """The result of a list method. It may change with the next addition, so it is never to be cached."""
    head = b'{"resultType":"complete","ttlMs":0,"cacheScope":"private",' if modern else b"{"
    return b"".join((head, b'"', key.encode(), b'":', items, b"}"))


def refused_second_era(version_spoken: str) -> RpcError:
    """The error for a request of the other era on a connection that has begun."""
    return RpcError(INVALID_REQUEST, f"This connection speaks {version_spoken}")


def _known(brought: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """What children bring, as far as the host knows it: apps are of use only where they are shown."""
    extensions = dict(brought.get("extensions") or {})
    host_extensions = host.get("extensions")
    if EXTENSION_UI not in (host_extensions if isinstance(host_extensions, Mapping) else {}):
        extensions.pop(EXTENSION_UI, None)
    return {**brought, "extensions": extensions}
