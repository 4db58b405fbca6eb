"""Children as processes of this machine: spawned with a clean environment, ended with all they started."""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anyio
import psutil
from anyio import to_thread

from warroom_mcp.engine import reaper
from warroom_mcp.engine.orphans import end_orphans, new_marker
from warroom_mcp.engine.watch import Watchdog
from warroom_mcp.errors import StartFailed
from warroom_mcp.loops import name_asyncio

TAIL_BYTES = 16 * 1024
REAP_DEADLINE = 2.0
"""Seconds for the operating system to report a death after SIGKILL."""
LAST_OUTPUT = 0.5
"""Seconds in which output still counts after a child closed its stdin."""
LAST_WORDS_DEADLINE = 0.2
"""Seconds that a dead child's stderr is still read: a process it left behind may hold the pipe open."""
SWEEPS = 20
"""Rounds over the process table; a tree that forks while it is killed needs more than one."""

# Without a free file descriptor the process table cannot be read, without a free thread nobody can wait.
_EXHAUSTED = (OSError, RuntimeError)
_HINTS = {
    errno.ENOENT: "The program or its directory does not exist: install the runtime that it needs.",
    errno.EACCES: "The program may not be executed: check its permissions.",
    errno.EMFILE: "Too many open files: raise the limit (`ulimit -n`), or remove servers.",
    errno.ENFILE: "The machine has too many open files: close other programs.",
    errno.EAGAIN: "The machine allows no more processes: close other programs, or remove servers.",
    errno.ENOMEM: "Not enough memory: close other programs, or remove servers.",
    errno.E2BIG: "The arguments and environment are too large: give shorter values.",
}


class LocalEngine:
    """Runs children as local processes, each the leader of its own session."""

    def __init__(self) -> None:
        self._watchdog = Watchdog()
        self._swept = False
        self._sweeping: asyncio.Future[int] | None = None

    async def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, name: str
    ) -> "LocalProcess":
        """Start `argv` with exactly `env` and a marker; see `Engine.spawn`.

        Raises: StartFailed.
        """
        if not self._swept:
            self._swept = True
            # What a War Room left behind that died together with its watchdog; nobody waits for it.
            self._sweeping = asyncio.ensure_future(to_thread.run_sync(end_orphans, abandon_on_cancel=True))
        marker = new_marker()
        with anyio.CancelScope(shield=True):  # a cancellation in the gap would leave a process behind
            try:
                self._watchdog.expect(marker)
                process = await self._open(argv, {**env, reaper.MARKER: marker}, cwd)
            except (OSError, ValueError) as error:
                self._watchdog.forget(marker)
                raise _start_failed(name, argv, error) from error
            else:
                self._watchdog.started(marker, process.transport.get_pid())
            finally:
                await self._watchdog.settle()
        return LocalProcess(process, marker, self._watchdog)

    async def _open(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> "_Pipes":
        if not argv:
            raise ValueError("there is nothing to start")
        name_asyncio()  # what reads the pipes starts tasks
        _, pipes = await asyncio.get_running_loop().subprocess_exec(
            _Pipes,
            *argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            start_new_session=sys.platform != "win32",
        )
        return pipes

    async def aclose(self) -> None:
        """Let the watchdog go: it ends what is still registered, and leaves."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        with anyio.CancelScope(shield=True):
            await self._watchdog.settle()
        self._watchdog.close()


def _start_failed(name: str, argv: Sequence[str], error: OSError | ValueError) -> StartFailed:
    program = argv[0] if argv else ""
    if isinstance(error, OSError):
        return StartFailed(
            f"{name} could not be started: {error.strerror or error} ({program})",
            hint=_HINTS.get(error.errno or 0),
            retryable=error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM),
        )
    return StartFailed(f"{name} could not be started: {error}", hint="Correct its arguments and environment.")


class _Pipes(asyncio.SubprocessProtocol):
    """The three pipes of a process, and its exit."""

    def __init__(self) -> None:
        self.tail = _Tail(TAIL_BYTES)
        self.exited = asyncio.Event()
        self.all_said = asyncio.Event()
        self.transport: asyncio.SubprocessTransport
        self._early: list[bytes] | None = []
        self._over = False
        self.asked_to_leave = False
        self._on_data: Callable[[bytes], None] | None = None
        self._on_end: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self.transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.tail.add(data)
        elif self._on_data is not None:
            self._on_data(data)
        elif self._early is not None:
            self._early.append(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 2:
            self.all_said.set()
        elif fd == 1:
            self._end()
        elif not self.asked_to_leave:
            # It can be asked nothing any more; what it said before may still be on its way.
            asyncio.get_running_loop().call_later(LAST_OUTPUT, self._end)

    def _end(self) -> None:
        if not self._over:
            self._over = True
            if self._on_end is not None:
                self._on_end()

    def process_exited(self) -> None:
        self.exited.set()

    def read(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        early, self._early = self._early or [], None
        for data in early:
            on_data(data)
        self._on_data, self._on_end = on_data, on_end
        if self._over:
            on_end()

    def stdin(self) -> asyncio.WriteTransport | None:
        pipe = self.transport.get_pipe_transport(0)
        return pipe if isinstance(pipe, asyncio.WriteTransport) else None


class LocalProcess:
    """One local child, its ring of last words, and the end of its whole tree."""

    def __init__(self, pipes: _Pipes, marker: str, watchdog: Watchdog) -> None:
        self._pipes = pipes
        self._pid = pipes.transport.get_pid()
        self._marker = marker
        self._watchdog = watchdog
        self._lock = anyio.Lock()
        self._stopped = False
        self._written = 0

    @property
    def pid(self) -> int:
        """The child's process id, which is also its group's and session's."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._pipes.transport.get_returncode()

    def read(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """See `ChildProcess.read`."""
        self._pipes.read(on_data, on_end)

    def write(self, data: bytes) -> None:
        """See `ChildProcess.write`; a child that closed its stdin gets nothing."""
        pipe = self._pipes.stdin()
        if pipe is not None and not pipe.is_closing():
            self._written += len(data)
            pipe.write(data)

    @property
    def unsent(self) -> int:
        """Bytes that were written and not taken yet."""
        pipe = self._pipes.stdin()
        return pipe.get_write_buffer_size() if pipe is not None else 0

    @property
    def taken(self) -> int:
        """See `ChildProcess.taken`."""
        return self._written - self.unsent

    def close_input(self) -> None:
        """See `ChildProcess.close_input`."""
        self._pipes.asked_to_leave = True
        if (pipe := self._pipes.stdin()) is not None:
            pipe.close()

    def stderr_tail(self) -> str:
        """The last words, at most 16 KB, undecodable bytes replaced."""
        return self._pipes.tail.text()

    async def wait(self) -> int:
        """Wait until it exited and its last words are read, or can no longer be waited for."""
        await self._pipes.exited.wait()
        with anyio.move_on_after(LAST_WORDS_DEADLINE):
            await self._pipes.all_said.wait()
        code = self.returncode
        assert code is not None
        return code

    async def stop(self, grace: float) -> None:
        """End the whole tree; see `ChildProcess.stop`."""
        with anyio.CancelScope(shield=True):
            async with self._lock:
                if self._stopped:
                    return
                family = await self._family()
                await self._leave(grace)
                swept = await self._sweep(family)
                self._pipes.transport.close()
                self._stopped = True
                if swept:
                    self._watchdog.forget(self._marker)
                else:
                    self._watchdog.end(self._marker)

    async def _leave(self, grace: float) -> None:
        """Ask politely: end of input, then SIGTERM."""
        self.close_input()
        if await self._exits_within(grace / 2):
            return
        _signal_group(self.pid, signal.SIGTERM)
        if not await self._exits_within(grace / 2):
            _kill_group(self.pid)
            await self._exits_within(REAP_DEADLINE)

    async def _exits_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._pipes.exited.wait()
        return self.returncode is not None

    async def _family(self) -> list[psutil.Process]:
        try:
            return await to_thread.run_sync(_descendants, self.pid)
        except _EXHAUSTED:
            return []

    async def _sweep(self, family: list[psutil.Process]) -> bool:
        """Kill the group, the marked processes, and the descendants known before the end.

        False if there is no telling who is left.
        """
        _kill_group(self.pid)
        try:
            for _ in range(SWEEPS):
                if not await to_thread.run_sync(_kill_left, self._marker, family):
                    break
                await anyio.sleep(0.01)
        except _EXHAUSTED:
            return False
        return True


class _Tail:
    """A ring of the last bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._chunks: deque[bytes] = deque()
        self._held = 0

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._held += len(chunk)
        while self._held - len(self._chunks[0]) >= self._size:
            self._held -= len(self._chunks.popleft())

    def text(self) -> str:
        return b"".join(self._chunks)[-self._size :].decode("utf-8", "replace")


def _signal_group(pid: int, signum: int) -> None:
    with contextlib.suppress(OSError, psutil.Error):
        if sys.platform == "win32":
            psutil.Process(pid).terminate()
        else:
            os.killpg(pid, signum)


def _kill_group(pid: int) -> None:
    if sys.platform != "win32":
        _signal_group(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[psutil.Process]:
    """Everyone below `pid` now: after its death they belong to nobody and cannot be found this way."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _kill_left(marker: str, family: list[psutil.Process]) -> bool:
    """Kill the family and whoever carries the marker; tells whether anyone was left."""
    left = [process for process in family if _alive(process)]
    left += [process for process in psutil.process_iter() if _marked(process, marker)]
    for process in left:
        with contextlib.suppress(psutil.Error, OSError):
            process.kill()
    return bool(left)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _marked(process: psutil.Process, marker: str) -> bool:
    try:
        return process.environ().get(reaper.MARKER) == marker and _alive(process)
    except (psutil.Error, OSError, ValueError):
        return False
