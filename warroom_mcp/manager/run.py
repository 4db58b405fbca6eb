"""Runs a tool (npm, uv, a container engine) to its end: no shell, a session of its own, bounded output.

Like a child, it does not outlive War Room: a watchdog ends it if War Room is killed in the meantime.
"""

import contextlib
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import psutil
from anyio.abc import ByteReceiveStream, Process

from warroom_mcp.engine import reaper
from warroom_mcp.engine.watch import Watchdog
from warroom_mcp.redaction import redact

OUTPUT_BYTES = 256 * 1024
"""Kept of each stream, the last part of it; a tool that floods is still drained."""
SHOWN_LINES = 12
SHOWN_CHARACTERS = 1500
"""How much of a tool's last words goes into a message."""

# A user name alone may be a token in the addresses that package tools print.
_USER = re.compile(r"(://)[^/\s@]+@")
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a tool ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last lines that it said, without credentials and control characters."""
        return redacted(self.stderr.strip() or self.stdout)


def redacted(text: str) -> str:
    """The end of a tool's output as it may be shown: credentials blanked, a dozen lines at most."""
    text = _USER.sub(r"\1***@", redact(text).text)
    lines = [line.rstrip() for line in _UNPRINTABLE.sub("", text).splitlines() if line.strip()]
    return "\n".join(lines[-SHOWN_LINES:])[-SHOWN_CHARACTERS:]


async def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None) -> Finished:
    """Run `argv` with exactly this environment and wait for it.

    On cancellation, as by a deadline around it, the tool and all that it started are killed first.

    Raises: OSError when it cannot be started.
    """
    marker, watchdog = secrets.token_hex(16), Watchdog()
    try:
        process = await _start(argv, {**env, reaper.MARKER: marker}, cwd, marker, watchdog)
        return await _finish(process)
    finally:
        watchdog.forget(marker)
        watchdog.close()


async def _start(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path | None, marker: str, watchdog: Watchdog
) -> Process:
    with anyio.CancelScope(shield=True):  # a cancellation in the gap would leave a process behind
        try:
            watchdog.expect(marker)
            process = await anyio.open_process(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
            watchdog.started(marker, process.pid)
        finally:
            await watchdog.settle()
    return process


async def _finish(process: Process) -> Finished:
    kept: dict[str, bytes] = {}
    try:
        async with anyio.create_task_group() as readers:
            readers.start_soon(_drain, process.stdout, kept, "stdout")
            readers.start_soon(_drain, process.stderr, kept, "stderr")
            code = await process.wait()
    except BaseException:
        _kill(process)
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await process.aclose()
    texts = {name: data.decode("utf-8", "replace") for name, data in kept.items()}
    return Finished(code, texts["stdout"], texts["stderr"])


async def _drain(stream: ByteReceiveStream | None, kept: dict[str, bytes], name: str) -> None:
    kept[name] = b""
    if stream is None:
        return
    async for chunk in stream:
        kept[name] = (kept[name] + chunk)[-OUTPUT_BYTES:]


def _kill(process: Process) -> None:
    """Kill what is left of a tool's session."""
    if process.returncode is None:
        # Before the leader dies, while the tree still hangs together.
        with contextlib.suppress(psutil.Error):
            for started in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    started.kill()
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.returncode is None:
        process.kill()
