"""The thinnest Streamable HTTP front for a program that only speaks stdio: it passes messages on, raw.

`python -m tests.conformance.relay COMMAND...` prints one line `{"url": ...}` on stdout. Sessions of the
handshake eras have a process each; requests that stand alone share one, under ids of the relay's own.

A stdio program does not say which request a message of its own belongs to. The newest open one is taken: the
right one for a suite that asks one thing at a time. Streams cannot be taken up again, and headers named
`Mcp-Param-*` are not checked.
"""

import json
import math
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import uvicorn
from anyio.abc import Process, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS, InboundLadderRejection, classify_inbound_request
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Message = dict[str, Any]
Inbox = MemoryObjectReceiveStream[Message]
Outbox = MemoryObjectSendStream[Message]

LARGEST = 64 * 1024 * 1024
SESSION = "mcp-session-id"
LOOPBACK = TransportSecuritySettings(
    enable_dns_rebinding_protection=True,
    allowed_hosts=["127.0.0.1:*", "localhost:*"],
    allowed_origins=["http://127.0.0.1:*", "http://localhost:*"],
)


class Line:
    """One process of the program, and who waits for which of its messages."""

    def __init__(self, process: Process, *, own_ids: bool) -> None:
        self.process = process
        self.unasked: Outbox
        self.unasked, self.standing = anyio.create_memory_object_stream[Message](math.inf)
        self._own_ids = own_ids
        self._last = 0
        # By the id on the wire, oldest first: where its messages go, the host's id and progress token.
        self._open: dict[Any, tuple[Outbox, Any, Any]] = {}

    async def send(self, message: Message) -> None:
        """Write one message to the program."""
        assert self.process.stdin is not None
        await self.process.stdin.send(json.dumps(message).encode() + b"\n")

    async def ask(self, message: Message) -> tuple[Any, Inbox]:
        """Send a request; its id on the wire and everything that comes for it, the answer last."""
        to, inbox = anyio.create_memory_object_stream[Message](math.inf)
        wire, meta = message["id"], (message.get("params") or {}).get("_meta") or {}
        token = meta.get("progressToken")
        if self._own_ids:
            self._last = wire = self._last + 1
            if token is not None:
                meta["progressToken"] = wire
        self._open[wire] = (to, message["id"], token)
        await self.send({**message, "id": wire})
        return wire, inbox

    async def forget(self, wire: Any) -> None:
        """Nobody waits for a request any more; one that is open is cancelled."""
        if self._open.pop(wire, None) is not None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                cancelled = {"method": "notifications/cancelled", "params": {"requestId": wire}}
                await self.send({"jsonrpc": "2.0", **cancelled})

    async def read(self) -> None:
        """Pass on what the program says until it ends."""
        assert self.process.stdout is not None
        lines = BufferedByteReceiveStream(self.process.stdout)
        with suppress(anyio.IncompleteRead, anyio.EndOfStream, anyio.ClosedResourceError):
            while True:
                line = await lines.receive_until(b"\n", LARGEST)
                with suppress(json.JSONDecodeError):
                    self._pass_on(json.loads(line))
        for wire in list(self._open):
            error = {"code": -32000, "message": "The program ended"}
            self._pass_on({"jsonrpc": "2.0", "id": wire, "error": error})

    def _pass_on(self, message: Message) -> None:
        if "method" not in message:
            if (waiting := self._open.pop(message.get("id"), None)) is not None:
                self._restore(message, waiting)
                with suppress(anyio.BrokenResourceError):
                    waiting[0].send_nowait({**message, "id": waiting[1]})
                waiting[0].close()
            return
        with suppress(anyio.BrokenResourceError):
            self._stream_of(message).send_nowait(message)

    def _stream_of(self, message: Message) -> Outbox:
        """Where a message that is no answer goes, with the host's own ids put back into it."""
        params = message.get("params") or {}
        named = (params.get("_meta") or {}).get(SUBSCRIPTION_ID_META_KEY)
        wire = params.get("progressToken") if self._own_ids else None
        for each in (named, wire):
            if each is not None and (waiting := self._open.get(each)) is not None:
                self._restore(message, waiting)
                return waiting[0]
        changed = message["method"].endswith(("/list_changed", "/updated"))
        if changed or not self._open:
            return self.unasked
        return next(reversed(self._open.values()))[0]

    def _restore(self, message: Message, waiting: tuple[Outbox, Any, Any]) -> None:
        if not self._own_ids:
            return
        _, asked, token = waiting
        for body in (message.get("params"), message.get("result")):
            meta = (body or {}).get("_meta") or {}
            if SUBSCRIPTION_ID_META_KEY in meta:
                meta[SUBSCRIPTION_ID_META_KEY] = asked
        if message.get("method") == "notifications/progress":
            message["params"]["progressToken"] = token


class Relay:
    """The HTTP side."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._sessions: dict[str, Line] = {}
        self._shared: Line | None = None
        self._starting = anyio.Lock()
        self._tasks: TaskGroup

    @asynccontextmanager
    async def running(self, app: Starlette) -> AsyncIterator[None]:
        """Keeps the processes while the server serves."""
        async with anyio.create_task_group() as self._tasks:
            try:
                yield
            finally:
                self._tasks.cancel_scope.cancel()

    async def answer(self, request: Request) -> Response:
        """One HTTP request of any kind."""
        refusal = await TransportSecurityMiddleware(LOOPBACK).validate_request(
            request, request.method == "POST"
        )
        if refusal is not None:
            return refusal
        version = request.headers.get("mcp-protocol-version")
        modern = version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS
        if request.method == "POST":
            try:
                message = json.loads(await request.body())
            except ValueError:
                return _refused(None, -32700, "Parse error")
            if not isinstance(message, dict):
                return _refused(None, -32600, "One message at a time")
            return await (self._modern(request, message) if modern else self._legacy(request, message))
        line = self._sessions.get(request.headers.get(SESSION, ""))
        if modern or line is None:
            return Response(status_code=405 if modern else 404)
        if request.method == "DELETE":
            self._sessions.pop(request.headers[SESSION])
            line.process.terminate()
            return Response()
        return _events(line.standing.clone(), None)

    async def _legacy(self, request: Request, message: Message) -> Response:
        session = request.headers.get(SESSION, "")
        if message.get("method") == "initialize" and not session:
            session = secrets.token_hex(16)
            self._sessions[session] = await self._start(own_ids=False)
        line = self._sessions.get(session)
        if line is None:
            status = 404 if session else 400
            return _refused(message.get("id"), -32600, "No such session", status=status)
        if "id" not in message or "method" not in message:
            await line.send(message)
            return Response(status_code=202)
        return await self._ask(line, message, {SESSION: session})

    async def _modern(self, request: Request, message: Message) -> Response:
        if "id" not in message:
            return Response(status_code=202)
        verdict = classify_inbound_request(message, headers=dict(request.headers))
        if isinstance(verdict, InboundLadderRejection):
            return _refused(message["id"], verdict.code, verdict.message, verdict.data)
        if message.get("method") == "initialize":
            # On stdio this is a host of the other era, which is refused for that and not for the method.
            return _refused(message["id"], -32601, "Method not found")
        async with self._starting:
            if self._shared is None:
                self._shared = await self._start(own_ids=True)
        return await self._ask(self._shared, message, {})

    async def _ask(self, line: Line, message: Message, headers: dict[str, str]) -> Response:
        wire, inbox = await line.ask(message)
        first = await inbox.receive()
        if headers or "method" in first:
            return _events(inbox, first, headers, line, wire)
        inbox.close()
        code = first.get("error", {}).get("code")
        return JSONResponse(first, ERROR_CODE_HTTP_STATUS.get(code, 200))

    async def _start(self, *, own_ids: bool) -> Line:
        line = Line(await anyio.open_process(self._command, stderr=None), own_ids=own_ids)
        self._tasks.start_soon(self._keep, line)
        return line

    async def _keep(self, line: Line) -> None:
        async with line.process:
            await line.read()


def _refused(asked: Any, code: int, text: str, data: Any = None, status: int | None = None) -> Response:
    error = {"code": code, "message": text} | ({} if data is None else {"data": data})
    body = {"jsonrpc": "2.0", "id": asked, "error": error}
    return JSONResponse(body, status or ERROR_CODE_HTTP_STATUS.get(code, 400))


def _events(
    inbox: Inbox,
    first: Message | None,
    headers: dict[str, str] | None = None,
    line: Line | None = None,
    wire: Any = None,
) -> Response:
    """A stream of messages until there are no more, or the host goes."""

    async def stream() -> AsyncIterator[bytes]:
        try:
            if first is not None:
                yield _event(first)
            async for message in inbox:
                yield _event(message)
        finally:
            inbox.close()
            # A host of a handshake era that goes may come back; one of the other cancels by going.
            if line is not None and not headers:
                with anyio.CancelScope(shield=True):
                    await line.forget(wire)

    return StreamingResponse(stream(), headers=headers, media_type="text/event-stream")


def _event(message: Message) -> bytes:
    return b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"


def main() -> None:
    """Serve the command of the arguments on a free port of loopback."""
    relay = Relay(sys.argv[1:])
    route = Route("/mcp", relay.answer, methods=["GET", "POST", "DELETE"])
    app = Starlette(routes=[route], lifespan=relay.running)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"}) + "\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
