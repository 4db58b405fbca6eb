"""A host in memory as it is on the wire: objects in, objects out, and no SDK that understands any of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from tests.server.host import HANDSHAKE, MODERN, war_room
from tests.server.played import Played, Stand
from warroom_mcp.models import AddedServer, LaunchPlan, Package, PackageKind, Speech
from warroom_mcp.server.front import Front
from warroom_mcp.server.gateway import Gateway
from warroom_mcp.store.digest import digest
from warroom_mcp.wire.peer import ConnectionLost

Message = dict[str, Any]
Asked = Callable[[Message], Message | None]

ABLE: Message = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": True}}
"""The capabilities of a host that can be asked everything."""
PREFIX = "io.modelcontextprotocol/"


class Refused(Exception):
    """The answer was an error."""

    def __init__(self, error: Message) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.data: Any = error.get("data")


class Wire:
    """One raw host. `on_ask` answers what is asked of it: a result, or None to answer later by `reply`."""

    def __init__(
        self, era: str, name: str = "raw", capabilities: Message | None = None, on_ask: Asked | None = None
    ) -> None:
        self.era = era
        self.name = name
        self.capabilities = ABLE if capabilities is None else capabilities
        self.on_ask = on_ask
        self.lines: list[bytes] = []
        self.told: list[Message] = []
        self.asked: list[Message] = []
        self.front: Front
        self._answers: dict[Any, Message] = {}
        self._last = 0
        self._news = asyncio.Event()

    # --- out -----------------------------------------------------------------------------------

    @property
    def meta(self) -> Message:
        """What a modern host says in every request."""
        return {
            f"{PREFIX}protocolVersion": MODERN,
            f"{PREFIX}clientInfo": {"name": self.name, "version": "1"},
            f"{PREFIX}clientCapabilities": self.capabilities,
        }

    def write(self, *lines: bytes) -> None:
        """Write lines as they are."""
        for line in lines:
            self.front.feed(line + b"\n")

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message."""
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def post(self, method: str, params: Mapping[str, Any] | None = None, /, **more: Any) -> int:
        """Send a request in the host's era; its id."""
        self._last += 1
        given: Message = {**(params or {}), **more}
        if self.era == MODERN:
            given["_meta"] = {**self.meta, **given.get("_meta", {})}
        self.send({"id": self._last, "method": method, "params": given})
        return self._last

    def call(self, tool: str, arguments: Message | None = None, /, **more: Any) -> int:
        """Post a call of a tool."""
        return self.post("tools/call", {"name": tool, "arguments": arguments or {}}, **more)

    def cancel(self, request_id: int) -> None:
        """Give a request up."""
        self.send({"method": "notifications/cancelled", "params": {"requestId": request_id}})

    def reply(self, request_id: Any, result: Message) -> None:
        """Answer what was asked."""
        self.send({"id": request_id, "result": result})

    # --- in ------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take what War Room writes: whole messages, each in a line of its own."""
        assert data.endswith(b"\n")
        for line in data.splitlines(keepends=True):
            self._receive(line)

    def _receive(self, line: bytes) -> None:
        self.lines.append(line)
        message: Message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        if "method" not in message:
            self._answers[message["id"]] = message
        elif "id" in message:
            self.asked.append(message)
            asyncio.get_running_loop().call_soon(self._answer, message)
        else:
            self.told.append(message)
        self._news.set()
        self._news = asyncio.Event()

    def _answer(self, message: Message) -> None:
        if self.on_ask is not None and (result := self.on_ask(message)) is not None:
            self.reply(message["id"], result)

    def has(self, request_id: Any) -> bool:
        """Whether a request is answered."""
        return request_id in self._answers

    async def message(self, request_id: Any) -> Message:
        """The whole answer to a request."""
        while request_id not in self._answers:
            await self._news.wait()
        return self._answers.pop(request_id)

    async def result(self, request_id: Any) -> Message:
        """The result of a request.

        Raises: Refused.
        """
        message = await self.message(request_id)
        if "error" in message:
            raise Refused(message["error"])
        result: Message = message["result"]
        return result

    async def get(self, method: str, params: Mapping[str, Any] | None = None, /, **more: Any) -> Message:
        """Send a request and wait for its result."""
        return await self.result(self.post(method, params, **more))

    async def own(self, tool: str, /, **arguments: Any) -> Message:
        """Call a tool of War Room's own; its structured answer."""
        content: Message = (await self.result(self.call(tool, arguments)))["structuredContent"]
        return content

    async def question(self, request_id: int) -> Message:
        """The answer to a request, which has to be a question."""
        result = await self.result(request_id)
        assert result["resultType"] == "input_required"
        return result

    async def hears(self, method: str) -> Message:
        """The parameters of the next notification of a method that was not heard yet."""
        while True:
            for message in self.told:
                if message["method"] == method:
                    self.told.remove(message)
                    params: Message = message.get("params", {})
                    return params
            await self._news.wait()

    async def is_asked(self) -> Message:
        """The next request of War Room that was not taken yet."""
        while not self.asked:
            await self._news.wait()
        return self.asked.pop(0)

    # --- its life ------------------------------------------------------------------------------

    async def open(self) -> Message:
        """Say hello in the host's era."""
        if self.era == MODERN:
            return await self.get("server/discover")
        info = {"name": self.name, "version": "1"}
        hello = await self.get(
            "initialize", protocolVersion="2025-11-25", capabilities=self.capabilities, clientInfo=info
        )
        self.send({"method": "notifications/initialized"})
        return hello


@dataclass(eq=False)
class Stage:
    """A running gateway, and the hosts that connect to it."""

    gateway: Gateway

    def meet(self, wire: Wire) -> Wire:
        """Connect a host that has still to say hello, and that does not leave by itself."""
        brought = self.gateway.brought
        wire.front = Front(wire.receive, lambda: None, is_empty=lambda: False, brought=brought)
        wire.front.ready(self.gateway)
        return wire

    @asynccontextmanager
    async def host(
        self,
        era: str,
        name: str = "raw",
        *,
        capabilities: Message | None = None,
        on_ask: Asked | None = None,
        hello: bool = True,
    ) -> AsyncIterator[Wire]:
        """A connected host, until it leaves."""
        wire = self.meet(Wire(era, name, capabilities, on_ask))
        if hello:
            await wire.open()
        try:
            yield wire
        finally:
            wire.front.peer.close(ConnectionLost("it left"))
            if wire.front.host is not None:
                await self.gateway.gone(wire.front.host)


@asynccontextmanager
async def staged(
    home: Path,
    era: str = HANDSHAKE,
    capabilities: Message | None = None,
    /,
    *,
    within: float = 10,
    **more: Any,
) -> AsyncIterator[Stage]:
    """A gateway with played children by the name of their server; other arguments are settings.

    The children are met as for a host of that era with these capabilities.
    """
    children = {name: child for name, child in more.items() if isinstance(child, Played)}
    settings = {name: value for name, value in more.items() if name not in children}
    room = war_room(home, **settings)
    room._manager._waker._opener = Stand(children)  # type: ignore[assignment]
    speech = Speech(era == MODERN, ABLE if capabilities is None else capabilities)
    with anyio.fail_after(within):
        async with anyio.create_task_group() as tasks:
            gateway = Gateway(room)
            await tasks.start(gateway.run)
            for name in children:
                await room._manager.add(added(name), speech)
            await room.follow()
            await anyio.wait_all_tasks_blocked()
            gateway.delivery.announce()
            yield Stage(gateway)
            tasks.cancel_scope.cancel()


def added(name: str) -> AddedServer:
    """A server as if a person had approved it."""
    plan = LaunchPlan(name, f"npm:{name}", Package(PackageKind.NPM, name, "1.0.0"), ("played", name))
    return AddedServer(plan, digest(plan), "a test", datetime.now(UTC))


def text_of(result: Message) -> str:
    """The first text of a result."""
    text: str = result["content"][0]["text"]
    return text
