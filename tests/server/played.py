"""A child that the test itself plays: no process, and nothing happens before the test says so.

It answers the handshake and the lists by itself; every other request waits in `received` until the test
takes it by `takes` and answers it. Lines are real: what a test sends as bytes arrives as these bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from warroom_mcp.errors import WarRoomError
from warroom_mcp.manager.link import Link
from warroom_mcp.models import AddedServer
from warroom_mcp.wire.peer import ConnectionLost, OnNotification, OnRequest, Peer

Message = dict[str, Any]
OBJECT: Message = {"type": "object"}
HANDSHAKE_ONLY = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)
_LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}


@dataclass(eq=False)
class Line:
    """One connection to the played child, seen as War Room's `Link`."""

    peer: Peer
    modern: bool = False
    version: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    closed: anyio.Event = field(default_factory=anyio.Event)
    ready: bool = False
    pid: int | None = None

    def speaks(self, version: str, tools: Sequence[Mapping[str, Any]] = ()) -> dict[str, str]:
        """Everything can be said here."""
        self.version = version
        return {}

    def refusal(self) -> WarRoomError | None:
        """It refuses nothing."""
        return None

    def reason(self) -> str:
        """Why it is over."""
        return "its play is over"

    def last_words(self) -> str:
        """None."""
        return ""

    async def autopsy(self) -> None:
        """There is nothing to be found."""

    def write(self, line: bytes) -> None:
        """Write a line, as it is, to War Room."""
        self.peer.receive(line)

    def send(self, message: Message) -> None:
        """Write a message."""
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def die(self) -> None:
        """End like a process that crashed."""
        self.peer.close(ConnectionLost("it died"))
        self.closed.set()


@dataclass(eq=False)
class Request:
    """A request that the child has got. `line` are the bytes that came."""

    over: Line
    line: bytes
    id: Any
    method: str
    params: Message

    @property
    def meta(self) -> Message:
        """Its `_meta`."""
        meta: Message = self.params.get("_meta", {})
        return meta

    def answer(self, **result: Any) -> None:
        """Answer it."""
        self.over.send({"id": self.id, "result": result})

    def says(self, text: str) -> None:
        """Answer it with a text."""
        self.answer(content=[{"type": "text", "text": text}])

    def answer_raw(self, result: bytes) -> None:
        """Answer it with exactly these bytes."""
        self.over.write(b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (self.id, result))

    def fail(self, code: int, message: str, **more: Any) -> None:
        """Answer it with an error."""
        self.over.send({"id": self.id, "error": {"code": code, "message": message, **more}})

    def progress(self, progress: float, **more: Any) -> None:
        """Report progress of it."""
        self.over.send(
            {
                "method": "notifications/progress",
                "params": {"progressToken": self.meta["progressToken"], "progress": progress, **more},
            }
        )

    def ask(self, method: str, request_id: Any, **params: Any) -> None:
        """Ask the client something; the answer comes into `Played.answers` under the id."""
        self.over.send({"id": request_id, "method": method, "params": params})


class Played:
    """The child. `modern` None speaks both eras; `on` has answers that need no test to give them."""

    def __init__(
        self,
        *,
        modern: bool | None = False,
        tools: Sequence[str | Message] = ("act",),
        prompts: Sequence[Message] = (),
        resources: Sequence[Message] = (),
        templates: Sequence[Message] = (),
        **capabilities: Any,
    ) -> None:
        self.modern = modern
        named = [{"name": one, "inputSchema": OBJECT} if isinstance(one, str) else one for one in tools]
        self.items: dict[str, list[Message]] = {
            "tools": named,
            "prompts": list(prompts),
            "resources": list(resources),
            "resourceTemplates": list(templates),
        }
        self.capabilities: Message = {
            "tools": {"listChanged": True},
            "prompts": {"listChanged": True},
            "resources": {"listChanged": True, "subscribe": True},
            **capabilities,
        }
        self.on: dict[str, Callable[[Request], Message | None]] = {}
        self.lines: list[Line] = []
        self.received: list[Request] = []
        self.told: list[Message] = []
        self.answers: dict[Any, Message] = {}
        self._news = asyncio.Event()

    # --- for War Room --------------------------------------------------------------------------

    @asynccontextmanager
    async def open(self, on_request: OnRequest, on_notification: OnNotification) -> AsyncIterator[Link]:
        """A connection to it."""
        loop = asyncio.get_running_loop()

        def send(data: bytes) -> None:
            # As over a pipe, nothing is read while it is still being written.
            loop.call_soon(self._take, line, data)

        line = Line(Peer(send, on_request, on_notification))
        self.lines.append(line)
        try:
            yield line
        finally:
            line.peer.close(ConnectionLost("it was closed"))
            line.closed.set()

    def _take(self, line: Line, data: bytes) -> None:
        assert data.endswith(b"\n")
        for text in data.splitlines():
            self._take_line(line, text)

    def _take_line(self, line: Line, data: bytes) -> None:
        message = json.loads(data)
        assert message["jsonrpc"] == "2.0"
        method, params = message.get("method"), message.get("params") or {}
        if method is None:
            self.answers[message["id"]] = message
        elif "id" not in message:
            self.told.append(message)
        else:
            request = Request(line, data, message["id"], method, params)
            if (result := self._by_itself(request)) is not None:
                request.answer(**result)
        self._wake()

    def _by_itself(self, request: Request) -> Message | None:
        method, line = request.method, request.over
        if method in self.on:
            return self.on[method](request)
        if method == "initialize" and self.modern is not True:
            line.capabilities = request.params["capabilities"]
            return self._offers(protocolVersion=request.params["protocolVersion"], serverInfo=_NAME)
        if method == "server/discover" and self.modern is not False:
            line.modern = True
            return self._offers(**_COMPLETE, supportedVersions=["2026-07-28"], ttlMs=0, cacheScope="private")
        if method in ("initialize", "server/discover") or (line.modern and method in HANDSHAKE_ONLY):
            request.fail(-32601, "Method not found")
            return None
        if method in _LISTS:
            extra = {**_COMPLETE, "ttlMs": 0, "cacheScope": "private"} if line.modern else {}
            return {_LISTS[method]: self.items[_LISTS[method]], **extra}
        if method in HANDSHAKE_ONLY:
            self.received.append(request)
            return {}
        self.received.append(request)
        return None

    def _offers(self, **more: Any) -> Message:
        return {"capabilities": self.capabilities, **more}

    # --- for the test --------------------------------------------------------------------------

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def takes(self, method: str = "tools/call") -> Request:
        """The next request of a method that was not taken yet."""
        while True:
            for request in self.received:
                if request.method == method:
                    self.received.remove(request)
                    return request
            await self._news.wait()

    async def hears(self, method: str) -> Message:
        """The parameters of the next notification of a method that was not heard yet."""
        while True:
            for message in self.told:
                if message["method"] == method:
                    self.told.remove(message)
                    params: Message = message.get("params", {})
                    return params
            await self._news.wait()

    async def answered(self, request_id: Any) -> Message:
        """The answer to a question that it asked."""
        while request_id not in self.answers:
            await self._news.wait()
        return self.answers.pop(request_id)

    def tell(self, method: str, **params: Any) -> None:
        """Send a notification over its latest connection."""
        self.lines[-1].send({"method": method, "params": params})


class Stand:
    """Opens played children in the place of real ones, by the name of their server."""

    def __init__(self, children: Mapping[str, Played]) -> None:
        self._children = children

    @asynccontextmanager
    async def open(
        self, server: AddedServer, startable: object, on_request: OnRequest, on_notification: OnNotification
    ) -> AsyncIterator[Link]:
        """A connection to the child of a server."""
        async with self._children[server.name].open(on_request, on_notification) as link:
            yield link


_NAME = {"name": "played", "version": "1"}
_COMPLETE = {"resultType": "complete"}
