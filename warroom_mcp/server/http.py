"""Hosts over Streamable HTTP, both eras side by side, on a loopback address and with a token.

The SDK's server speaks HTTP; what a request means is decided by the gateway, as on stdio. So the SDK's
server has no handlers: one middleware takes every request before they are looked for.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import uvicorn
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.dispatcher import Outbound
from mcp.shared.exceptions import MCPError
from msgspec import Raw
from starlette.types import ASGIApp, Receive, Scope, Send

from warroom_mcp import sdk
from warroom_mcp.addresses import is_loopback
from warroom_mcp.errors import InvalidInput
from warroom_mcp.server import greeting
from warroom_mcp.server.caller import Caller, Host
from warroom_mcp.server.gateway import Gateway, input_schema
from warroom_mcp.version import __version__
from warroom_mcp.wire.codec import RpcError, encode, fields_of, value_of
from warroom_mcp.wire.protocol import INTERNAL_ERROR, METHOD_NOT_FOUND, is_modern

Context = ServerRequestContext[Any, Any]
_STATE = "warroom.host"
_logger = logging.getLogger(__name__)
MAX_UNREAD = 1000
"""Notifications that wait for a session's stream to be read."""
MAX_HOSTS = 256
"""Hosts without a session that are remembered; the one that was away longest makes room."""
_Out = tuple[str, Any, Any]


class HttpCaller(Caller):
    """A request that came by HTTP. What it says goes through the task that serves the request."""

    def __init__(self, host: Host, ctx: Context) -> None:
        request_id = encode(ctx.request_id) if ctx.request_id is not None else b"null"
        super().__init__(host, request_id, ctx.method, fields_of(encode(ctx.params or {})))
        self._channel = sdk.request_channel(ctx.session)
        self._out: asyncio.Queue[_Out] = asyncio.Queue()

    async def outcome(self) -> dict[str, Any]:
        """Send what belongs to the request until it is answered; then the answer.

        Raises: MCPError: it was answered with an error.
        """
        try:
            while True:
                kind, first, second = await self._out.get()
                if kind == "notify":
                    await self._channel.notify(first, second)
                elif kind == "answer":
                    result: dict[str, Any] = value_of(first)
                    return result
                else:
                    raise MCPError(first.code, first.message, first.data)
        except BaseException:
            if not self.answered:
                self.given_up()
            raise

    def notify(self, method: str, params: bytes) -> None:
        self._out.put_nowait(("notify", method, value_of(params) if params else None))

    def _reply(self, result: bytes) -> None:
        self._out.put_nowait(("answer", result, None))

    def _reject(self, error: RpcError) -> None:
        self._out.put_nowait(("reject", error, None))

    async def ask(self, method: str, params: bytes | Raw) -> Raw:
        return await _ask(self._channel, method, params)


async def _ask(channel: Outbound, method: str, params: bytes | Raw) -> Raw:
    try:
        answer = await channel.send_raw_request(method, value_of(params) or None)
    except MCPError as error:
        raise RpcError(error.code, error.message, error.data) from error
    except Exception as error:  # no back channel, or the host closed it
        raise RpcError(INTERNAL_ERROR, f"The host cannot be asked: {error}") from error
    return Raw(encode(answer))


class HttpServer(Server[Any]):
    """The SDK's server, with everything decided elsewhere."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            "war-room",
            version=__version__,
            lifespan=self._live,
            get_tool_input_schema=lambda name: input_schema(gateway.war_room, name),
        )
        self._gateway = gateway
        self._hosts: dict[str, Host] = {}
        self.middleware.append(self._take)

    @asynccontextmanager
    async def _live(self, _: Server[Any]) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._gateway.run)
            yield
            tasks.cancel_scope.cancel()

    async def _take(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        host = self._host(ctx)
        if ctx.request_id is None:
            result = await call_next(ctx)
            self._gateway.hear(host, ctx.method, Raw(encode(ctx.params or {})))
            return result
        if host.modern and ctx.method in greeting.HANDSHAKE_METHODS:
            raise MCPError(METHOD_NOT_FOUND, "Method not found", ctx.method)
        caller = HttpCaller(host, ctx)
        self._gateway.take(caller)
        return await caller.outcome()

    def _host(self, ctx: Context) -> Host:
        """The host behind a request: one a session where there is one, else one a client identity."""
        version = ctx.protocol_version
        connection = sdk.host_connection(ctx.session)
        if is_modern(version):
            return self._modern_host(sdk.client_name(ctx.session) or "", version)
        host: Host | None = connection.state.get(_STATE)
        if host is None:
            host = connection.state[_STATE] = Host(
                version, tell=_teller(connection), ask=lambda *asked: _ask(connection.outbound, *asked)
            )
            connection.exit_stack.push_async_callback(self._gateway.gone, host)
        return host

    def _modern_host(self, name: str, version: str) -> Host:
        host = self._hosts.pop(name, None) or Host(version, name or None)
        self._hosts[name] = host
        if len(self._hosts) > MAX_HOSTS:
            self._gateway.delivery.gone(self._hosts.pop(next(iter(self._hosts))))
        return host


def _teller(connection: Connection) -> Callable[[str, bytes], None]:
    """Sends notifications of a session, one after the other; a host that reads none gets no more."""
    queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_UNREAD)

    async def drain() -> None:
        while True:
            method, params = await queue.get()
            try:
                await connection.outbound.notify(method, value_of(params) if params else None)
            except Exception as error:  # one that cannot be sent must not keep the others back
                _logger.debug("%s was not sent: %s", method, error)

    task = asyncio.get_running_loop().create_task(drain())
    connection.exit_stack.callback(task.cancel)

    def tell(method: str, params: bytes) -> None:
        with suppress(asyncio.QueueFull):
            queue.put_nowait((method, params))

    return tell


class TokenGate:
    """Lets in who knows the token; the comparison takes the same time for every guess."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                await _refuse(send)
                return
        await self._app(scope, receive, send)


async def _refuse(send: Send) -> None:
    body = b'{"error":"a token is needed: Authorization: Bearer ..."}'
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(gateway: Gateway, *, host: str, port: int, token: str | None) -> None:
    """Serve hosts of both eras at `/mcp` until a signal asks to stop; the address goes to stderr.

    Raises:
        InvalidInput: the address is not a loopback address.
    """
    if not is_loopback(host):
        raise InvalidInput(
            f"{host} is not a loopback address; War Room starts programs and is not served to a network.",
            hint="Use --host 127.0.0.1, and a tunnel that authenticates if it has to be reached from afar.",
        )
    app = http_app(gateway, host=host, token=token)
    config = uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=3)
    await _Announcing(config).serve()


class _Announcing(uvicorn.Server):
    """Says where it listens, once it does: the port may have been left to the system."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        for listening in self.servers:
            for one in listening.sockets:
                host, port = one.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                sys.stderr.write(f"serving MCP at http://{shown}:{port}/mcp\n")
                sys.stderr.flush()


def http_app(gateway: Gateway, *, host: str, token: str | None) -> ASGIApp:
    """The ASGI application: the token, Host and Origin allow-lists against DNS rebinding, MCP at `/mcp`."""
    # The host given here turns the allow-lists on.
    app: ASGIApp = HttpServer(gateway).streamable_http_app(host=host)
    return TokenGate(app, token) if token is not None else app
