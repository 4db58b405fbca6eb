"""The seam to the MCP SDK's private names: no other file touches them, and `tests/test_sdk.py` watches them.

The SDK is imported when a function is called, not with this module: it costs most of a second.

Client side: `ClientSession._stamp`, `ClientSession._dispatcher`, `ClientSession._x_mcp_header_maps`.
Server side: `ServerSession._connection`, and the per-version models of `mcp_types`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.client.session import ClientSession
    from mcp.server.connection import Connection
    from mcp.server.session import ServerSession
    from mcp.shared.dispatcher import CallOptions
    from mcp.shared.exceptions import MCPError
    from pydantic import BaseModel

__all__ = [
    "OnProgress",
    "client_name",
    "has_form_elicitation",
    "host_connection",
    "is_modern",
    "is_valid_item",
    "learn_headers",
    "protocol_error",
    "raw_request",
    "result_for",
    "send_list_changed",
]

OnProgress = Callable[[float, float | None, str | None], Awaitable[None]]
"""Told of each step: progress, total if known, message if any."""

_OF_ONE_HOP = (
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "progressToken",
)
"""Keys of `_meta` that speak of the connection between two neighbours; the host's must not reach a child."""


# --- client side -------------------------------------------------------------------------------


async def raw_request(
    session: ClientSession,
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    on_progress: OnProgress | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Send one request and return the peer's result object as it came, unknown fields included.

    `params` is not changed; what in its `_meta` belongs to another connection is left out, and what this
    connection's protocol era demands is put in. Cancelling the caller tells the peer. `timeout`: seconds.

    Raises: mcp.shared.exceptions.MCPError for the peer's error, a timeout, or a closed connection.
    """
    data: dict[str, Any] = {"method": method}
    if params:
        data["params"] = _own_params(params)
    options: CallOptions = {}
    session._stamp(data, options)
    if on_progress is not None:
        options["on_progress"] = on_progress  # type: ignore[typeddict-item]  # the SDK's protocol names its parameters
    if timeout is not None:
        options["timeout"] = timeout
    return await session._dispatcher.send_raw_request(method, data.get("params"), options)


def _own_params(params: Mapping[str, Any]) -> dict[str, Any]:
    own = dict(params)
    meta = own.pop("_meta", None)
    if isinstance(meta, Mapping):
        kept = {key: value for key, value in meta.items() if key not in _OF_ONE_HOP}
        if kept:
            own["_meta"] = kept
    return own


def learn_headers(session: ClientSession, tools: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Note which arguments a modern child wants as HTTP headers; returns the tools to leave out, with why.

    The rule is the 2026-07-28 specification's: a tool with an invalid `x-mcp-header` must not be offered.
    """
    from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map
    from mcp_types.version import MODERN_PROTOCOL_VERSIONS

    if session.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return {}
    refused: dict[str, str] = {}
    maps: dict[str, dict[tuple[str, ...], str]] = {}
    for tool in tools:
        name, schema = str(tool["name"]), tool["inputSchema"]
        if (reason := find_invalid_x_mcp_header(schema)) is not None:
            refused[name] = reason
        else:
            maps[name] = x_mcp_header_map(schema)
    session._x_mcp_header_maps = maps
    return refused


# --- the host's side: what a server handler needs to know of the one who asks ---------------------


def is_modern(version: str) -> bool:
    """Whether a protocol version is of the era without a handshake (2026-07-28 and later)."""
    from mcp_types.version import MODERN_PROTOCOL_VERSIONS

    return version in MODERN_PROTOCOL_VERSIONS


def host_connection(session: ServerSession) -> Connection:
    """The connection behind a request of a host."""
    return session._connection


def client_name(session: ServerSession) -> str | None:
    """What the host calls itself."""
    params = session.client_params
    return params.client_info.name if params is not None else None


def has_form_elicitation(session: ServerSession) -> bool:
    """Whether the host shows forms; a capability without sub-capabilities is the older way to say so."""
    capabilities = session.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    if elicitation is None:
        return False
    return elicitation.form is not None or elicitation.url is None


async def send_list_changed(connection: Connection, kind: str) -> None:
    """Tell a host of the handshake era that a list changed; `kind` is tools, prompts or resources."""
    if kind == "tools":
        await connection.send_tool_list_changed()
    elif kind == "prompts":
        await connection.send_prompt_list_changed()
    else:
        await connection.send_resource_list_changed()


def result_for(version: str, method: str, raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """A child's raw result in the shape of the host's era: nothing is lost but what that era cannot say.

    None when it is no result of that method: the SDK would make an empty one of it, or an error without
    a reason.
    """
    result = dict(raw)
    modern = is_modern(version)
    if modern:
        result.setdefault("resultType", "complete")
    else:
        if result.pop("resultType", "complete") != "complete":
            # A question, which hosts of the handshake era do not know.
            return None
        if "structuredContent" in result and not isinstance(result["structuredContent"], dict):
            # Until 2025-11-25 structured content is an object; the text content says the same.
            del result["structuredContent"]
    if result.get("resultType") == "input_required":
        return result
    if method == "tools/call":
        # Required by the schema, but hosts made with the TypeScript SDK take its absence for nothing.
        result.setdefault("content", [])
    if modern and method == "resources/read":
        result.setdefault("ttlMs", 0)
        result.setdefault("cacheScope", "private")
    return result if _fits(_model(modern, _RESULTS[method]), result) else None


_RESULTS = {
    "tools/call": "CallToolResult",
    "prompts/get": "GetPromptResult",
    "resources/read": "ReadResourceResult",
    "completion/complete": "CompleteResult",
}
_ITEMS = {"tool": "Tool", "prompt": "Prompt", "resource": "Resource", "template": "ResourceTemplate"}


def is_valid_item(version: str, kind: str, item: Mapping[str, Any]) -> bool:
    """Whether the host's version accepts one listed item; `kind` is tool, prompt, resource or template."""
    return _fits(_model(is_modern(version), _ITEMS[kind]), item)


def _fits(model: type[BaseModel], value: Mapping[str, Any]) -> bool:
    from pydantic import ValidationError

    try:
        model.model_validate(value, by_name=False)
    except ValidationError:
        return False
    return True


@cache
def _model(modern: bool, name: str) -> type[BaseModel]:
    """The SDK validates a whole list at once, so that one bad item spoils it: its parts are used instead."""
    from mcp_types import _v2025_11_25 as legacy
    from mcp_types import _v2026_07_28 as latest

    model: type[BaseModel] = getattr(latest if modern else legacy, name)
    return model


def protocol_error(message: str, data: Any) -> MCPError:
    """A JSON-RPC error for a request whose result has no room for an error of ours."""
    from mcp.shared.exceptions import MCPError
    from mcp_types import INTERNAL_ERROR

    return MCPError(INTERNAL_ERROR, message, data=data)
