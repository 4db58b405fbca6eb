"""A child's standard streams as a connection: one JSON message a line, whatever else it prints.

A line costs its length once, an answer that cannot be understood fails its request at once, and text
that is no message is counted and passed over.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from warroom_mcp.engine import ChildProcess, Engine
from warroom_mcp.errors import ChildProtocolError, WarRoomError
from warroom_mcp.redaction import redact
from warroom_mcp.wire.batch import Outlet, together
from warroom_mcp.wire.framing import LineSplitter, LineTooLong
from warroom_mcp.wire.peer import BrokenAnswer, ConnectionLost, OnNotification, OnRequest, Peer

WRITE_DEADLINE = 30.0
"""Seconds for a child to read something of what it was sent; one that does not is of no use."""
AUTOPSY_DEADLINE = 0.5
"""Seconds between the end of a child's output and its exit, so that the exit code can be told."""
FAILED_GRACE = 0.5
"""Seconds that a child gets to leave when it never became ready, or broke the protocol."""
KEPT_RUBBISH = 5
_logger = logging.getLogger(__name__)


class StdioLink:
    """One connection to a child process, and what became of it."""

    def __init__(
        self,
        process: ChildProcess,
        on_request: OnRequest,
        on_notification: OnNotification,
        *,
        max_message_bytes: int,
        hidden: Sequence[str] = (),
    ) -> None:
        self.closed = anyio.Event()
        self.ready = False
        self.peer = Peer(Outlet(process.write).send, on_request, on_notification)
        self.last_rubbish: deque[str] = deque(maxlen=KEPT_RUBBISH)
        self.peer.on_rubbish = self.last_rubbish.append
        self._process = process
        self._lines = LineSplitter(max_message_bytes)
        self._hidden = [value for value in hidden if value]
        self._failure: str | None = None
        self._exit_code: int | None = None

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def speaks(self, version: str, tools: Sequence[Mapping[str, Any]] = ()) -> dict[str, str]:
        """Pipes are the same in every version."""
        return {}

    def refusal(self) -> WarRoomError | None:
        """The error that everything on this connection failed with, if it was the protocol that broke."""
        return ChildProtocolError(f"It {self._failure}") if self._failure else None

    def reason(self) -> str:
        """Why the connection is over: "it exited with code 3; its last words: ..."."""
        if self._failure:
            how = f"it {self._failure}"
        elif self._exit_code is None:
            how = "it closed its output"
        elif self._exit_code < 0:
            how = f"it was ended by signal {-self._exit_code}"
        else:
            how = f"it exited with code {self._exit_code}"
        words = self.last_words()
        return f"{how}; its last words: {words}" if words else how

    def last_words(self) -> str:
        """The last lines of stderr, fit to be shown: short, printable, without secrets.

        Of a child that said nothing there, the last lines of its output that were no messages: programs
        print their usage to either.
        """
        text = self._process.stderr_tail()
        if not text.strip():
            text = "\n".join(self.last_rubbish)
        for value in self._hidden:
            text = text.replace(value, "[secret]")
        printable = "".join(letter for letter in text if letter.isprintable() or letter == "\n")
        lines = [line.strip() for line in printable.splitlines() if line.strip()]
        return redact(" | ".join(lines[-3:])[-600:]).text

    async def autopsy(self) -> None:
        """After `closed`: wait a moment for the exit code and the last words."""
        with anyio.move_on_after(AUTOPSY_DEADLINE):
            self._exit_code = await self._process.wait()

    async def run(self) -> None:
        """Watch over the connection until it ends or this is cancelled."""
        self._process.read(self._take, self.closed.set)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch_exit)
            tasks.start_soon(self._watch_input)
            await self.closed.wait()
            # What waits for an answer is told only now: the reason for the end is part of the error.
            await self.autopsy()
            self.peer.close(BrokenAnswer(self._failure) if self._failure else ConnectionLost(self.reason()))
            tasks.cancel_scope.cancel()

    def _take(self, data: bytes) -> None:
        if self.closed.is_set():
            return
        with together():
            for line in self._lines.feed(data):
                if isinstance(line, LineTooLong):
                    self._break(f"sent a message that is larger than {line.limit} bytes")
                    return
                if text := line.strip():
                    self._receive(text)

    def _receive(self, line: bytes) -> None:
        try:
            self.peer.receive(line)
        except Exception:  # what one message does wrong must not close the child's pipe
            _logger.exception("a message of a child could not be handled")

    def _break(self, failure: str) -> None:
        self._failure = failure
        self.peer.close(BrokenAnswer(failure))
        self.closed.set()

    async def _watch_exit(self) -> None:
        """A process that the child left behind may keep its output open after it died."""
        self._exit_code = await self._process.wait()
        with anyio.move_on_after(AUTOPSY_DEADLINE):
            await self.closed.wait()
        self.closed.set()

    async def _watch_input(self) -> None:
        """A child that reads nothing for long is wedged; what it was sent would pile up here."""
        while True:
            waiting, before = self._process.unsent, self._process.taken
            await anyio.sleep(WRITE_DEADLINE / 2)
            if waiting and self._process.taken == before:
                self._break(f"did not read its input for {WRITE_DEADLINE / 2:g} seconds")
                return


@contextlib.asynccontextmanager
async def open_stdio(
    engine: Engine,
    argv: Sequence[str],
    on_request: OnRequest,
    on_notification: OnNotification,
    *,
    env: Mapping[str, str],
    cwd: Path,
    name: str,
    max_message_bytes: int,
    grace: float,
    hidden: Sequence[str] = (),
) -> AsyncIterator[StdioLink]:
    """Start a child and end it, with all it started, when the block is left.

    `grace` is in seconds; `hidden` are values that must not be repeated from its last words.

    Raises: StartFailed when it cannot be started.
    """
    process = await engine.spawn(argv, env=env, cwd=cwd, name=name)
    link = StdioLink(process, on_request, on_notification, max_message_bytes=max_message_bytes, hidden=hidden)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.run)
            yield link
            tasks.cancel_scope.cancel()
    finally:
        link.peer.close()
        with anyio.CancelScope(shield=True):
            if link.closed.is_set():
                await link.autopsy()
            sound = link.ready and link.refusal() is None
            await process.stop(grace if sound else min(grace, FAILED_GRACE))
