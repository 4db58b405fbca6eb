"""What the tests need to know about processes: who is still there, and how to start the fake child."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import anyio
import psutil

FAKE = Path(__file__).parent / "fake.py"
MODERN = Path(__file__).parent / "modern.py"


def fake(mode: str, path: Path | None = None) -> list[str]:
    """The argument vector of the fake child."""
    return [sys.executable, "-S", "-E", str(FAKE), mode, *([str(path)] if path else [])]


def modern(mode: str, path: Path | None = None) -> list[str]:
    """The argument vector of the child of 2026-07-28, or of one that has its troubles with it."""
    return [sys.executable, "-S", "-E", str(MODERN), mode, *([str(path)] if path else [])]


def environment() -> dict[str, str]:
    """What the fake child needs in its environment."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def gone(pids: Iterable[int], *, within: float = 5) -> None:
    """Return when none of the processes runs any more; TimeoutError if that does not come."""
    waiting = set(pids)
    with anyio.fail_after(within):
        while waiting := {pid for pid in waiting if alive(pid)}:  # noqa: ASYNC110 - nobody tells us
            await anyio.sleep(0.01)


async def written(path: Path, *, within: float = 5) -> str:
    """The text of a file that somebody is about to write."""
    with anyio.fail_after(within):
        while not (path.exists() and path.read_text()):  # noqa: ASYNC110 - nobody tells us
            await anyio.sleep(0.01)
    return path.read_text()
