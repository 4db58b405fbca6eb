"""Children as processes of this machine: spawned with a clean environment, ended with all they started."""

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import psutil
from anyio import to_thread
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from warroom_mcp.engine import reaper
from warroom_mcp.engine.watch import Watchdog
from warroom_mcp.errors import StartFailed

TAIL_BYTES = 16 * 1024
REAP_DEADLINE = 2.0
"""Seconds for the operating system to report a death after SIGKILL."""
LAST_WORDS_DEADLINE = 0.2
"""Seconds that a dead child's stderr is still read: a process it left behind may hold the pipe open."""
SWEEPS = 20
"""Rounds over the process table; a tree that forks while it is killed needs more than one."""

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

    async def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, name: str
    ) -> "LocalProcess":
        """Start `argv` with exactly `env` and a marker; see `Engine.spawn`.

        Raises: StartFailed.
        """
        marker = secrets.token_hex(16)
        with anyio.CancelScope(shield=True):  # a cancellation in the gap would leave a process behind
            try:
                self._watchdog.expect(marker)
                process = await self._open(argv, {**env, reaper.MARKER: marker}, cwd)
            except (OSError, ValueError) as error:
                self._watchdog.forget(marker)
                raise _start_failed(name, argv, error) from error
            else:
                self._watchdog.started(marker, process.pid)
            finally:
                await self._watchdog.settle()
        return LocalProcess(process, marker, self._watchdog)

    async def _open(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Process:
        if not argv:
            raise ValueError("there is nothing to start")
        return await anyio.open_process(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            start_new_session=sys.platform != "win32",
        )

    async def aclose(self) -> None:
        """Let the watchdog go: it ends what is still registered, and leaves."""
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


class LocalProcess:
    """One local child, its ring of last words, and the end of its whole tree."""

    def __init__(self, process: Process, marker: str, watchdog: Watchdog) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdin: ByteSendStream = process.stdin
        self.stdout: ByteReceiveStream = process.stdout
        self._process = process
        self._marker = marker
        self._watchdog = watchdog
        self._tail = _Tail(TAIL_BYTES)
        # A task of the event loop's own: a child outlives the call that spawned it.
        self._drain = asyncio.get_running_loop().create_task(_drain(process.stderr, self._tail))
        self._lock = anyio.Lock()
        self._stopped = False

    @property
    def pid(self) -> int:
        """The child's process id, which is also its group's and session's."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.returncode

    def stderr_tail(self) -> str:
        """The last words, at most 16 KB, undecodable bytes replaced."""
        return self._tail.text()

    async def wait(self) -> int:
        """Wait until it exited and its last words are read, or can no longer be waited for."""
        code = await self._process.wait()
        await asyncio.wait([self._drain], timeout=LAST_WORDS_DEADLINE)
        return code

    async def stop(self, grace: float) -> None:
        """End the whole tree; see `ChildProcess.stop`."""
        with anyio.CancelScope(shield=True):
            async with self._lock:
                if self._stopped:
                    return
                family = await to_thread.run_sync(_descendants, self.pid)
                await self._leave(grace)
                await self._sweep(family)
                await self._release()
                self._stopped = True
                self._watchdog.forget(self._marker)

    async def _leave(self, grace: float) -> None:
        """Ask politely: end of input, then SIGTERM."""
        with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.stdin.aclose()
        if await self._exits_within(grace / 2):
            return
        _signal_group(self.pid, signal.SIGTERM)
        if not await self._exits_within(grace / 2):
            _kill_group(self.pid)
            await self._exits_within(REAP_DEADLINE)

    async def _exits_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._process.wait()
        return self._process.returncode is not None

    async def _sweep(self, family: list[psutil.Process]) -> None:
        """Kill the group, the marked processes, and the descendants known before the end."""
        _kill_group(self.pid)
        for _ in range(SWEEPS):
            if not await to_thread.run_sync(_kill_left, self._marker, family):
                return
            await anyio.sleep(0.01)

    async def _release(self) -> None:
        """Give the pipes back; one that a survivor holds open is closed on this side."""
        self._drain.cancel()
        await asyncio.wait([self._drain])
        if self._process.returncode is not None:
            await self._process.aclose()


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


async def _drain(stream: ByteReceiveStream, tail: _Tail) -> None:
    with contextlib.suppress(
        anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError
    ):
        while True:
            tail.add(await stream.receive())


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
