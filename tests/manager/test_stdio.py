"""Messages of a child's output, and the transport over a process made of memory."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.abc import ByteReceiveStream, ByteSendStream, ObjectReceiveStream, ObjectSendStream
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from warroom_mcp.manager import stdio
from warroom_mcp.manager.lines import Broken, Rubbish, parse
from warroom_mcp.manager.stdio import BrokenAnswer, StdioLink

# --- messages ------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(line: bytes) -> None:
    assert isinstance(parse(line), Rubbish | Broken | JSONRPCResponse | JSONRPCError)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=9))
def test_an_answer_of_any_content_comes_through(content: Any) -> None:
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"content": content}}).encode()
    message = parse(line)
    assert isinstance(message, JSONRPCResponse)
    assert message.result["content"] == content


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping"}', JSONRPCRequest),
        ('{"jsonrpc": "2.0", "method": "notifications/x", "params": {}}', JSONRPCNotification),
        ('{"jsonrpc": "2.0", "id": "a", "result": {}}', JSONRPCResponse),
        ('{"jsonrpc": "2.0", "id": null, "error": {"code": 1, "message": "m"}}', JSONRPCError),
        ('{"level": "info", "msg": "a log line"}', Rubbish),
        ('{"jsonrpc": "2.0", "method": 7}', Rubbish),
        ("Server running on stdio", Rubbish),
        ("[]", Rubbish),
        ("{", Rubbish),
    ],
)
def test_each_line_is_what_it_is(line: str, kind: type) -> None:
    assert isinstance(parse(line.encode()), kind)


DEEP = "[" * 1000 + "]" * 1000


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (f'{{"jsonrpc":"2.0","id":7,"result":{{"a":{DEEP}}}}}', 7),
        (f'{{"jsonrpc":"2.0","id":"seven","result":{{"id":1,"a":{DEEP}}}}}', "seven"),
        (f'{{"result":{{"id":1,"a":{DEEP}}},"jsonrpc":"2.0","id":7}}', 7),
        (f'{{"result":{{"id":1,"a":{DEEP}}},"id":7,"jsonrpc":"2.0"}}', 7),
        (f'{{"result":{{"a":{DEEP},"id":1}},"jsonrpc":"2.0"}}', None),
        ('{"jsonrpc":"2.0","id":7,"result":{"a":', 7),
        ('{"jsonrpc":"2.0","result":{"id":7,', None),
        ('{"jsonrpc":"2.0","id":7,"result":[]}', 7),
        ('{"jsonrpc":"2.0","id":true,"result":{}}', None),
    ],
)
def test_an_unreadable_answer_is_still_somebodys(line: str, request_id: object) -> None:
    message = parse(line.encode())
    assert isinstance(message, Broken)
    assert message.id == request_id


@pytest.mark.parametrize("bad", [b"\xff", b"\\ud800", b"\\udc00 \\ud800"])
def test_characters_that_do_not_exist_are_replaced(bad: bytes) -> None:
    message = parse(b'{"jsonrpc":"2.0","id":7,"result":{"a":"x' + bad + b'y"}}')
    assert isinstance(message, JSONRPCResponse)
    text = message.result["a"]
    assert text[0] + text[-1] == "xy"
    assert "\ufffd" in text
    text.encode()


# --- the transport -------------------------------------------------------------------------------


class Output(ByteReceiveStream):
    """What the process prints: chunks, and then its end."""

    def __init__(self, chunks: ObjectReceiveStream[bytes]) -> None:
        self._chunks = chunks

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._chunks.receive()

    async def aclose(self) -> None:
        await self._chunks.aclose()


@dataclass
class Input(ByteSendStream):
    """What the process is sent; `stuck` is a process that does not read."""

    received: list[dict[str, Any]] = field(default_factory=list)
    stuck: bool = False
    closed: bool = False

    async def send(self, item: bytes) -> None:
        if self.closed:
            raise anyio.BrokenResourceError
        if self.stuck:
            await anyio.sleep_forever()
        self.received += [json.loads(line) for line in item.splitlines()]

    async def aclose(self) -> None:
        self.closed = True


class Process:
    """A process made of memory."""

    def __init__(self, output: ObjectReceiveStream[bytes]) -> None:
        self.pid = 4711
        self.returncode: int | None = None
        self.stdin = Input()
        self.stdout = Output(output)
        self.exited = anyio.Event()
        self.words = ""

    def stderr_tail(self) -> str:
        return self.words

    async def wait(self) -> int:
        await self.exited.wait()
        return self.returncode or 0

    async def stop(self, grace: float) -> None:
        self.exited.set()


@dataclass
class Scene:
    """A link over a process made of memory, with both ends in the test's hands."""

    link: StdioLink
    process: Process
    prints: ObjectSendStream[bytes]
    incoming: Any
    outgoing: Any

    async def ask(self, request_id: int) -> None:
        request = JSONRPCRequest(jsonrpc="2.0", id=request_id, method="tools/call")
        await self.outgoing.send(SessionMessage(request))
        await anyio.wait_all_tasks_blocked()

    async def failed(self) -> tuple[object, str]:
        item = await self.incoming.receive()
        assert isinstance(item.message, JSONRPCError)
        assert isinstance(item.message.error.data, BrokenAnswer)
        return item.message.id, item.message.error.data.reason


@asynccontextmanager
async def scene(limit: int = 1000) -> AsyncIterator[Scene]:
    prints, output = anyio.create_memory_object_stream[bytes](100)
    process = Process(output)
    link = StdioLink(process, max_message_bytes=limit, hidden=["s3cret"])
    with anyio.fail_after(5), prints, output:
        async with link.transport() as (incoming, outgoing):
            yield Scene(link, process, prints, incoming, outgoing)


async def test_rubbish_is_counted_and_the_messages_among_it_arrive() -> None:
    async with scene() as here:
        await here.ask(1)
        await here.prints.send(b'hello\n\n{"a": 1}\r\n{"jsonrpc":"2.0","id":1,"result":{}}\nbye')
        item = await here.incoming.receive()
        assert item.message.id == 1
        assert here.link.rubbish == 2
        assert list(here.link.last_rubbish) == ["hello", '{"a": 1}']


async def test_a_broken_answer_fails_its_own_request_only() -> None:
    async with scene() as here:
        await here.ask(1)
        await here.ask(2)
        await here.prints.send(b'{"jsonrpc":"2.0","id":"2","result":7}\n')
        request_id, reason = await here.failed()
        assert request_id == 2
        assert "not JSON-RPC" in reason
        assert not here.link.closed.is_set()


async def test_a_broken_answer_of_nobody_fails_all_that_wait() -> None:
    async with scene() as here:
        for number in (1, 2, 3):
            await here.ask(number)
        given_up = JSONRPCNotification(
            jsonrpc="2.0", method="notifications/cancelled", params={"requestId": 3}
        )
        await here.outgoing.send(SessionMessage(given_up))
        await anyio.wait_all_tasks_blocked()
        await here.prints.send(b'{"jsonrpc":"2.0","result":{"a":\n')
        assert {(await here.failed())[0], (await here.failed())[0]} == {1, 2}
        with pytest.raises(anyio.WouldBlock):
            here.incoming.receive_nowait()


async def test_a_line_over_the_limit_fails_all_and_closes() -> None:
    async with scene(limit=50) as here:
        await here.ask(1)
        await here.prints.send(b"x" * 51)
        assert await here.failed() == (1, "sent a message that is larger than 50 bytes")
        with pytest.raises(anyio.EndOfStream):
            await here.incoming.receive()
        assert here.link.closed.is_set()
        assert here.link.refusal() is not None


async def test_the_end_of_output_and_an_exit_close_the_connection() -> None:
    async with scene() as here:
        here.process.words = "one\n\x1b[31mtwo s3cret\x1b[0m\nthree\nfour\n"
        await here.prints.aclose()
        await here.link.closed.wait()
        assert here.link.reason().startswith("it closed its output")
        here.process.returncode = 3
        here.process.exited.set()
        await here.link.autopsy()
        words = "[31mtwo [secret][0m | three | four"
        assert here.link.reason() == f"it exited with code 3; its last words: {words}"


async def test_an_exit_closes_the_connection_though_somebody_holds_its_output_open() -> None:
    async with scene() as here:
        here.process.exited.set()
        await here.link.closed.wait()
        with pytest.raises(anyio.EndOfStream):
            await here.incoming.receive()


async def test_a_child_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "WRITE_DEADLINE", 0.01)
    async with scene() as here:
        here.process.stdin.stuck = True
        await here.ask(1)
        await here.link.closed.wait()
        assert "did not read its input" in here.link.reason()


async def test_a_closed_input_closes_the_connection() -> None:
    async with scene() as here:
        here.process.stdin.closed = True
        await here.ask(1)
        with pytest.raises(anyio.EndOfStream):
            await here.incoming.receive()
        assert here.link.closed.is_set()


async def test_what_was_accepted_is_written_before_the_transport_is_left() -> None:
    async with scene() as here:
        for number in range(20):
            request = JSONRPCRequest(jsonrpc="2.0", id=number, method="ping")
            here.outgoing.send_nowait(SessionMessage(request))
    assert [message["id"] for message in here.process.stdin.received] == list(range(20))
    assert not here.link.closed.is_set()
