"""The seam to the MCP SDK's private names: no other file touches them, and `tests/test_sdk.py` watches them.

What the SDK is still used for: HTTP, on the host's side as a server and on the children's as a client.
Private names: `ServerSession._connection`, `ServerSession._request_outbound`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp.server.connection import Connection
    from mcp.server.session import ServerSession
    from mcp.shared.dispatcher import Outbound

__all__ = ["client_name", "host_connection", "request_channel"]


def host_connection(session: ServerSession) -> Connection:
    """The connection behind a request of a host."""
    return session._connection


def request_channel(session: ServerSession) -> Outbound:
    """The way back to the host within its present request."""
    return session._request_outbound


def client_name(session: ServerSession) -> str | None:
    """What the host calls itself."""
    params = session.client_params
    return params.client_info.name if params is not None else None
