"""A program of ours that serves MCP over HTTP, started for a run and ended after it."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]

_START_SECONDS = 90
_END_SECONDS = 20


@contextmanager
def served(command: Sequence[str], log: Path) -> Iterator[str]:
    """Run a command until the context ends; its address is in the first line `{"url": ...}` of its stdout.

    Raises:
        RuntimeError: it ended or was silent instead; what it wrote to stderr is in the message.
    """
    with (
        log.open("ab") as stderr,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            start_new_session=True,
        ) as process,
    ):
        try:
            yield _url(process, log)
        finally:
            _end(process)


def _url(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    deadline = threading.Timer(_START_SECONDS, process.kill)
    deadline.start()
    try:
        line = process.stdout.readline()
    finally:
        deadline.cancel()
    if not line.startswith("{"):
        told = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"{process.args!r} did not say where it serves, but {line!r} and {told}")
    url: str = json.loads(line)["url"]
    return url


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
