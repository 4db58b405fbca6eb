"""The floor: what a gateway on stdio costs at least in this Python.

    python benchmarks/relay.py COUNT COMMAND...

Serves MCP on stdio before COUNT children of that command. Bytes in, the id rewritten in msgspec's
envelope, the payload untouched, bytes out: plain asyncio protocols, no SDK, no checks, no policy. With
one child the names of its tools stay; with several they are `NUMBER__name`. The list of tools is
fetched once and kept as bytes.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec


class Request(msgspec.Struct, omit_defaults=True):
    """A request or notification; the parameters stay bytes."""

    method: str
    id: int | str | None = None
    params: msgspec.Raw = msgspec.Raw()
    jsonrpc: str = ""


class Answer(msgspec.Struct, omit_defaults=True):
    """A result or an error, which stay bytes."""

    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    method: str | None = None
    jsonrpc: str = ""


class Call(msgspec.Struct, omit_defaults=True):
    """The parameters of a call, decoded as far as a prefix needs it."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.field(name="_meta", default=msgspec.Raw())


class Tool(msgspec.Struct):
    """What a list is made of, when only the name is of interest."""

    name: str


_encoder = msgspec.json.Encoder()
_encode = _encoder.encode
_request = msgspec.json.Decoder(Request).decode
_answer = msgspec.json.Decoder(Answer).decode
_call = msgspec.json.Decoder(Call).decode

_HELLO = msgspec.Raw(
    b'{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"relay","version":"1"}}'
)
_SELF = msgspec.Raw(
    b'{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"relay","version":"1"}}'
)


class Lines:
    """Cuts a stream into lines; a long line is joined once."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now."""
        if b"\n" not in data:
            self._parts.append(data)
            return []
        if self._parts:
            data = b"".join([*self._parts, data])
        *lines, rest = data.split(b"\n")
        self._parts = [rest] if rest else []
        return lines


class Child(asyncio.SubprocessProtocol):
    """One child: what is asked of it, under ids of its own, and who waits for the answer."""

    def __init__(self, upstream: Callable[[bytes], None]) -> None:
        self._upstream = upstream
        self._lines = Lines()
        self._waiting: dict[int | str | None, int | str | asyncio.Future[msgspec.Raw]] = {}
        self._last = 0
        self.out: list[bytes] = []
        self.stdin: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        stdin = transport.get_pipe_transport(0)
        assert isinstance(stdin, asyncio.WriteTransport)
        self.stdin = stdin

    def forward(self, request: Request) -> None:
        """Note a request of the host for the next `flush`."""
        assert request.id is not None
        self._last += 1
        self._waiting[self._last] = request.id
        request.id = self._last
        self.out.append(_encode(request))

    def flush(self) -> None:
        """Write what was noted."""
        self.out.append(b"")
        self.stdin.write(b"\n".join(self.out))
        self.out.clear()

    async def ask(self, method: str, params: msgspec.Raw) -> msgspec.Raw:
        """The result of a request of the relay's own."""
        self._last += 1
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = future
        self.out.append(_encode(Request(method, self._last, params, "2.0")))
        self.flush()
        return await future

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd != 1:
            return
        answers: list[bytes] = []
        for line in self._lines.feed(data):
            answer = _answer(line)
            waiting = self._waiting.pop(answer.id, None)
            if isinstance(waiting, asyncio.Future):
                waiting.set_result(answer.result)
            elif waiting is not None:
                answer.id = waiting
                answers.append(_encode(answer))
        if answers:
            answers.append(b"")
            self._upstream(b"\n".join(answers))


class Host(asyncio.Protocol):
    """The host's side: handshake and list are answered here, calls go to their child."""

    def __init__(self) -> None:
        self.stdout: asyncio.WriteTransport
        self.children: list[Child] = []
        self.tools: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines = Lines()

    def write(self, data: bytes) -> None:
        """Bytes to the host."""
        self.stdout.write(data)

    def data_received(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            if line:
                self._take(_request(line))
        for child in self.children:
            if child.out:
                child.flush()

    def eof_received(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof_received()

    def _take(self, request: Request) -> None:
        if request.id is None:
            return
        if request.method == "tools/call":
            self._target(request).forward(request)
        elif request.method == "tools/list":
            self.tools.add_done_callback(partial(self._list, request.id))
        elif request.method == "initialize":
            self._reply(request.id, _SELF)
        else:
            self._reply(request.id, msgspec.Raw(b"{}"))

    def _target(self, request: Request) -> Child:
        if len(self.children) == 1:
            return self.children[0]
        call = _call(request.params)
        number, _, call.name = call.name.partition("__")
        request.params = msgspec.Raw(_encode(call))
        return self.children[int(number)]

    def _list(self, number: int | str, tools: asyncio.Future[msgspec.Raw]) -> None:
        self._reply(number, tools.result())

    def _reply(self, number: int | str | None, result: msgspec.Raw) -> None:
        self.write(_encode(Answer(number, result, jsonrpc="2.0")) + b"\n")


def _prefixed(index: int, tools: list[msgspec.Raw]) -> list[msgspec.Raw]:
    named = []
    for tool in tools:
        fields: dict[str, Any] = msgspec.json.decode(tool, type=dict[str, msgspec.Raw])
        fields["name"] = f"{index}__{msgspec.json.decode(tool, type=Tool).name}"
        named.append(msgspec.Raw(_encode(fields)))
    return named


async def _listed(child: Child) -> list[msgspec.Raw]:
    await child.ask("initialize", _HELLO)
    child.out.append(_encode(Request("notifications/initialized", jsonrpc="2.0")))
    result = await child.ask("tools/list", msgspec.Raw(b"{}"))
    return msgspec.json.decode(result, type=dict[str, list[msgspec.Raw]])["tools"]


async def serve(count: int, command: list[str]) -> None:
    """Relay until stdin ends."""
    loop = asyncio.get_running_loop()
    host = Host()
    host.stdout, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(1, "wb", 0))
    await loop.connect_read_pipe(lambda: host, os.fdopen(0, "rb", 0))
    transports = []
    for _ in range(count):
        transport, child = await loop.subprocess_exec(lambda: Child(host.write), *command, stderr=None)
        transports.append(transport)
        host.children.append(child)
    lists = await asyncio.gather(*(_listed(child) for child in host.children))
    if count > 1:
        lists = [_prefixed(index, tools) for index, tools in enumerate(lists)]
    host.tools.set_result(msgspec.Raw(_encode({"tools": [tool for tools in lists for tool in tools]})))
    await host.closed
    for transport in transports:
        transport.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2:]))
