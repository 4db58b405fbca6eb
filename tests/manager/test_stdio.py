"""The connection over a process made of memory: what is a message, and why the connection is over."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from msgspec import Raw

from warroom_mcp.manager import stdio
from warroom_mcp.manager.stdio import StdioLink, open_stdio
from warroom_mcp.wire.codec import Fields, RpcError
from warroom_mcp.wire.peer import BrokenAnswer, ConnectionLost, Incoming, Unanswered


class Process:
    """A process made of memory; `stuck` is one that reads nothing."""

    def __init__(self) -> None:
        self.pid = 4711
        self.returncode: int | None = None
        self.exited = anyio.Event()
        self.words = ""
        self.received: list[dict[str, Any]] = []
        self.written = 0
        self.taken = 0
        self.stuck = False
        self.grace: float | None = None
        self.prints: Callable[[bytes], None]
        self.ends: Callable[[], None]

    @property
    def unsent(self) -> int:
        return self.written - self.taken

    def read(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self.prints, self.ends = on_data, on_end

    def write(self, data: bytes) -> None:
        self.written += len(data)
        if not self.stuck:
            self.taken += len(data)
            self.received += [json.loads(line) for line in data.splitlines()]

    def close_input(self) -> None:
        pass

    def stderr_tail(self) -> str:
        return self.words

    async def wait(self) -> int:
        await self.exited.wait()
        return self.returncode or 0

    async def stop(self, grace: float) -> None:
        self.grace = grace
        self.exited.set()


@dataclass
class Outcome:
    """What became of one request."""

    result: bytes | None = None
    error: Exception | None = None

    def replied(self, result: Raw) -> None:
        self.result = bytes(result)

    def refused(self, error: RpcError) -> None:
        self.error = error

    def lost(self, error: Unanswered) -> None:
        self.error = error

    def progressed(self, fields: Fields) -> None:
        pass


@dataclass
class Scene:
    """A link over a process made of memory, with both ends in the test's hands."""

    link: StdioLink
    process: Process
    asked: list[Incoming] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def ask(self) -> Outcome:
        outcome = Outcome()
        self.link.peer.post("tools/call", b"{}", outcome)
        return outcome


@asynccontextmanager
async def scene(limit: int = 1000) -> AsyncIterator[Scene]:
    process = Process()
    asked: list[Incoming] = []
    told: list[str] = []
    link = StdioLink(
        process,
        asked.append,
        lambda method, _: told.append(method),
        max_message_bytes=limit,
        hidden=["s3cret", ""],
    )
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.run)
            await anyio.wait_all_tasks_blocked()
            yield Scene(link, process, asked, told)
            tasks.cancel_scope.cancel()


async def test_messages_of_every_sort_arrive_where_they_belong() -> None:
    async with scene() as here:
        outcome = here.ask()
        here.process.prints(
            b'{"jsonrpc":"2.0","id":1,"result":{"a":1}}\n{"jsonrpc":"2.0","id":"x","method":"r'
        )
        here.process.prints(b'oots/list"}\n{"jsonrpc":"2.0","method":"notifications/message","params":{}}\n')
        assert outcome.result == b'{"a":1}'
        assert [incoming.method for incoming in here.asked] == ["roots/list"]
        assert here.told == ["notifications/message"]
        here.asked[0].answer(b'{"roots":[]}')
        assert here.process.received[-1] == {"jsonrpc": "2.0", "id": "x", "result": {"roots": []}}


async def test_rubbish_is_counted_and_the_messages_among_it_arrive() -> None:
    async with scene() as here:
        outcome = here.ask()
        here.process.prints(b'hello\n\n{"a": 1}\r\n{"jsonrpc":"2.0","id":1,"result":{}}\nbye')
        assert outcome.result == b"{}"
        assert here.link.peer.rubbish == 2
        assert list(here.link.last_rubbish) == ["hello", '{"a": 1}']


async def test_of_much_rubbish_only_the_last_is_kept() -> None:
    async with scene() as here:
        for number in range(1000):
            here.process.prints(f"line {number}\n".encode())
        assert here.link.peer.rubbish == 1000
        assert len(here.link.last_rubbish) == stdio.KEPT_RUBBISH
        assert here.link.last_words() == "line 997 | line 998 | line 999"


async def test_a_broken_answer_fails_its_own_request_only() -> None:
    async with scene() as here:
        one, two = here.ask(), here.ask()
        here.process.prints(b'{"jsonrpc":"2.0","id":"2","result":{"a":\n')
        assert one == Outcome()
        assert isinstance(two.error, BrokenAnswer)
        assert "cannot be read" in two.error.reason
        assert not here.link.closed.is_set()


async def test_a_broken_answer_of_nobody_fails_all_that_wait() -> None:
    async with scene() as here:
        one, two, withdrawn = here.ask(), here.ask(), here.ask()
        here.link.peer.withdraw(3)
        here.process.prints(b'{"jsonrpc":"2.0","result":{"a":\n')
        assert isinstance(one.error, BrokenAnswer)
        assert isinstance(two.error, BrokenAnswer)
        assert withdrawn == Outcome()


async def test_a_line_over_the_limit_fails_all_and_closes() -> None:
    async with scene(limit=50) as here:
        one, two = here.ask(), here.ask()
        here.process.prints(b"x" * 51)
        for outcome in (one, two):
            assert isinstance(outcome.error, BrokenAnswer)
            assert outcome.error.reason == "sent a message that is larger than 50 bytes"
        assert here.link.closed.is_set()
        assert here.link.refusal() is not None
        here.process.prints(b'\n{"jsonrpc":"2.0","method":"notifications/message"}\n')
        assert here.told == []


async def test_the_end_of_output_and_an_exit_close_the_connection() -> None:
    async with scene() as here:
        outcome = here.ask()
        here.process.words = "one\n\x1b[31mtwo s3cret\x1b[0m\nthree\nfour\n"
        here.process.ends()
        assert here.link.closed.is_set()
        assert here.link.reason().startswith("it closed its output")
        here.process.returncode = 3
        here.process.exited.set()
        await here.link.autopsy()
        words = "[31mtwo [secret][0m | three | four"
        assert here.link.reason() == f"it exited with code 3; its last words: {words}"
        await anyio.wait_all_tasks_blocked()
        assert isinstance(outcome.error, ConnectionLost)
        assert "code 3" in str(outcome.error)


async def test_an_exit_closes_the_connection_though_somebody_holds_its_output_open() -> None:
    async with scene() as here:
        outcome = here.ask()
        here.process.returncode = -9
        here.process.exited.set()
        await here.link.closed.wait()
        assert here.link.reason() == "it was ended by signal 9"
        await anyio.wait_all_tasks_blocked()
        assert isinstance(outcome.error, ConnectionLost)


async def test_a_child_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "WRITE_DEADLINE", 0.02)
    async with scene() as here:
        here.process.stuck = True
        outcome = here.ask()
        await here.link.closed.wait()
        assert "did not read its input" in here.link.reason()
        assert here.link.refusal() is not None
        assert isinstance(outcome.error, BrokenAnswer)


async def test_a_child_that_reads_less_than_it_is_sent_is_not_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0
    enough = anyio.Event()

    async def look_again(_: float) -> None:
        nonlocal looks
        looks += 1
        here.process.taken += 1
        here.process.written += 100
        if looks == 20:
            enough.set()
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()

    process = Process()
    process.written = 1000
    link = StdioLink(process, lambda _: None, lambda *_: None, max_message_bytes=100)
    here = Scene(link, process)
    monkeypatch.setattr(anyio, "sleep", look_again)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link._watch_input)
            await enough.wait()
            tasks.cancel_scope.cancel()
    assert not link.closed.is_set()


class OneProcess:
    """An engine that starts the same process."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def spawn(self, argv: Any, **given: Any) -> Process:
        return self.process

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(("ready", "grace"), [(True, 4.0), (False, stdio.FAILED_GRACE)])
async def test_a_child_that_never_became_ready_gets_less_time_to_leave(
    tmp_path: Any, ready: bool, grace: float
) -> None:
    process = Process()
    with anyio.fail_after(5):
        async with open_stdio(
            OneProcess(process),
            ["program"],
            lambda _: None,
            lambda *_: None,
            env={},
            cwd=tmp_path,
            name="fake",
            max_message_bytes=100,
            grace=4.0,
        ) as link:
            link.ready = ready
            outcome = Outcome()
            link.peer.post("ping", b"", outcome)
    assert process.grace == grace
    assert isinstance(outcome.error, ConnectionLost)
    assert process.received[0]["method"] == "ping"
