"""A child's standard streams as an MCP connection: one JSON message a line, whatever else it prints.

In place of the SDK's own transport, whose reader needs quadratic time, has no limit, and leaves a caller
waiting when an answer does not parse. Here a line costs its length once, an answer that cannot be
understood fails its request at once, and text that is no message is counted and passed over.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, RequestId

from warroom_mcp.engine import ChildProcess, Engine
from warroom_mcp.errors import ChildProtocolError, WarRoomError
from warroom_mcp.framing import LineSplitter, LineTooLong
from warroom_mcp.manager.lines import Broken, Rubbish, parse
from warroom_mcp.redaction import redact

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

BUFFERED = 64
"""Messages in each direction between the pipe and the session; more than that, and the pipe waits."""
WRITE_DEADLINE = 30.0
"""Seconds for a child to read a message that it was sent; one that does not is of no use."""
FLUSH_DEADLINE = 0.5
AUTOPSY_DEADLINE = 0.5
"""Seconds between the end of a child's output and its exit, so that the exit code can be told."""
FAILED_GRACE = 0.5
"""Seconds that a child gets to leave when it never became ready, or broke the protocol."""
KEPT_RUBBISH = 5

Item = SessionMessage | Exception


class BrokenAnswer:
    """Marks an error that stands for an answer which was no valid MCP; travels in the error's `data`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class StdioLink:
    """One connection to a child process, and what became of it."""

    def __init__(self, process: ChildProcess, *, max_message_bytes: int, hidden: Sequence[str] = ()) -> None:
        self.closed = anyio.Event()
        self.ready = False
        self.rubbish = 0
        self.last_rubbish: deque[str] = deque(maxlen=KEPT_RUBBISH)
        self._process = process
        self._lines = LineSplitter(max_message_bytes)
        self._hidden = [value for value in hidden if value]
        self._waiting: set[RequestId] = set()
        self._failure: str | None = None
        self._exit_code: int | None = None
        self._output_over = anyio.Event()
        self._written = anyio.Event()
        self._leaving = False

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

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

    @contextlib.asynccontextmanager
    async def transport(self) -> AsyncIterator[TransportStreams]:
        """The stream pair that a session runs on. The process is not stopped here."""
        incoming_in, incoming_out = anyio.create_memory_object_stream[Item](BUFFERED)
        outgoing_in, outgoing_out = anyio.create_memory_object_stream[SessionMessage](BUFFERED)
        with incoming_in, incoming_out, outgoing_in, outgoing_out:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, incoming_in)
                tasks.start_soon(self._write, outgoing_out, incoming_in)
                tasks.start_soon(self._watch, incoming_in)
                try:
                    yield incoming_out, outgoing_in
                finally:
                    self._leaving = True
                    outgoing_in.close()
                    with anyio.move_on_after(FLUSH_DEADLINE, shield=True):
                        await self._written.wait()
                    tasks.cancel_scope.cancel()

    # --- from the child ----------------------------------------------------------------------

    async def _read(self, session: MemoryObjectSendStream[Item]) -> None:
        gone = (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError)
        try:
            with contextlib.suppress(anyio.EndOfStream, *gone):
                while True:
                    for line in self._lines.feed(await self._process.stdout.receive()):
                        if isinstance(line, LineTooLong):
                            raise line
                        if line.strip():
                            await self._receive(line.rstrip(b"\r"), session)
        except LineTooLong as error:
            self._failure = f"sent a message that is larger than {error.limit} bytes"
            with contextlib.suppress(*gone):
                await self._fail(Broken(None, self._failure), session)
        finally:
            self._output_over.set()
            self._end(session)

    async def _receive(self, line: bytes, session: MemoryObjectSendStream[Item]) -> None:
        message = parse(line)
        if isinstance(message, Rubbish):
            self.rubbish += 1
            self.last_rubbish.append(message.text)
        elif isinstance(message, Broken):
            await self._fail(message, session)
        else:
            if not isinstance(message, JSONRPCRequest | JSONRPCNotification) and message.id is not None:
                self._waiting.discard(_key(message.id))
            await session.send(SessionMessage(message))

    async def _fail(self, broken: Broken, session: MemoryObjectSendStream[Item]) -> None:
        """Answer the request in the child's place, or all of them where it cannot be told which it was."""
        known = broken.id is not None and _key(broken.id) in self._waiting
        failed = {_key(broken.id)} if broken.id is not None and known else set(self._waiting)
        if broken.id is not None and not known:
            return  # its request was given up before
        self._waiting -= failed
        for request_id in failed:
            await session.send(SessionMessage(_broken(request_id, broken.reason)))

    def _end(self, session: MemoryObjectSendStream[Item]) -> None:
        if not self._leaving:  # from now on it is our end, not the child's
            self.closed.set()
        session.close()

    async def _watch(self, session: MemoryObjectSendStream[Item]) -> None:
        """A process that the child left behind may keep its output open after it died."""
        self._exit_code = await self._process.wait()
        with anyio.move_on_after(AUTOPSY_DEADLINE):
            await self._output_over.wait()
        self._end(session)

    # --- to the child ------------------------------------------------------------------------

    async def _write(
        self, outgoing: MemoryObjectReceiveStream[SessionMessage], session: MemoryObjectSendStream[Item]
    ) -> None:
        try:
            async for item in outgoing:
                await self._send(item, session)
        except TimeoutError:
            self._failure = f"did not read its input for {WRITE_DEADLINE:g} seconds"
            self._end(session)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            # The reader may still find an answer, or the reason, in what the child said before.
            with anyio.move_on_after(AUTOPSY_DEADLINE):
                await self._output_over.wait()
            self._end(session)
        finally:
            self._written.set()

    async def _send(self, item: SessionMessage, session: MemoryObjectSendStream[Item]) -> None:
        message = item.message
        try:
            data = message.model_dump_json(by_alias=True, exclude_unset=True).encode()
        except ValueError as error:  # half a surrogate pair in the arguments: not to be written in UTF-8
            if isinstance(message, JSONRPCRequest):
                await session.send(SessionMessage(_broken(message.id, f"could not be asked: {error}")))
            return
        self._note(message)
        with anyio.fail_after(WRITE_DEADLINE):
            await self._process.stdin.send(data + b"\n")

    def _note(self, message: object) -> None:
        if isinstance(message, JSONRPCRequest):
            self._waiting.add(_key(message.id))
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            given_up = (message.params or {}).get("requestId")
            if isinstance(given_up, str | int):
                self._waiting.discard(_key(given_up))


def _key(request_id: RequestId) -> RequestId:
    """Some children answer request 7 as "7"."""
    return int(request_id) if isinstance(request_id, str) and request_id.isdecimal() else request_id


def _broken(request_id: RequestId, reason: str) -> JSONRPCError:
    error = ErrorData(code=PARSE_ERROR, message=f"The child {reason}", data=BrokenAnswer(reason))
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=error)


@contextlib.asynccontextmanager
async def open_stdio(
    engine: Engine,
    argv: Sequence[str],
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
    link = StdioLink(process, max_message_bytes=max_message_bytes, hidden=hidden)
    try:
        yield link
    finally:
        with anyio.CancelScope(shield=True):
            if link.closed.is_set():
                await link.autopsy()
            sound = link.ready and link.refusal() is None
            await process.stop(grace if sound else min(grace, FAILED_GRACE))
