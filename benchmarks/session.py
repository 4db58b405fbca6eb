"""One started subject: a process group of its own, a client, deadlines, and its end."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.http_link import EventLink
from benchmarks.wire_client import Gone, Link, StdioLink, WireClient, Wrong

ROOT = Path(__file__).parent.parent
CHILD = ROOT / "benchmarks" / "echo_child.py"
_POLL = 0.02
# Whatever prefix a gateway gives.
_CHILD_TOOL = re.compile(r"(echo|tool_\d+)$")


class Failed(Exception):
    """A measurement has no figure; the text says why."""


@dataclass(frozen=True)
class Start:
    """How a subject is started, and where it listens when it has no stdio."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    path: str = ""


class Session:
    """A running subject. `first_answer` is the seconds from its start to the answer to `initialize`."""

    def __init__(self, start: Start, directory: Path) -> None:
        self.first_answer = 0.0
        self.client: WireClient
        self._begin = time.perf_counter()
        self._start = start
        self.directory = directory
        self._stderr = directory / "stderr"
        self._late: float | None = None
        self._link: Link | None = None
        directory.mkdir(exist_ok=True)
        keep = {k: v for k, v in os.environ.items() if not k.startswith("WARROOM_")}
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                start.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if start.port is None else subprocess.DEVNULL,
                stderr=stderr,
                env={**keep, **start.env},
                cwd=ROOT,
                start_new_session=True,
            )

    def shake_hands(self, seconds: float) -> None:
        """Connect and initialize.

        Raises:
            Failed: it did not come up within that time.
        """
        with self.deadline(seconds, "start"):
            self._link = self._connected()
            self.client = WireClient(self._link)
            self.client.handshake()
        self.first_answer = time.perf_counter() - self._begin

    @contextmanager
    def deadline(self, seconds: float, doing: str) -> Iterator[None]:
        """Kills the subject when the block takes longer; what waits for it then ends.

        Raises:
            Failed: the subject was killed for that, or ended by itself.
        """
        watchdog = threading.Timer(seconds, self._kill_late, (seconds,))
        watchdog.start()
        try:
            yield
        except Wrong as error:
            raise Failed(f"{doing}: wrong answer: {error}") from error
        except (Gone, OSError) as error:
            raise Failed(f"{doing}: {self._reason(error)}") from error
        finally:
            watchdog.cancel()

    def child_tools(self, at_least: int, seconds: float) -> list[str]:
        """Names of the children's tools, as soon as so many are listed: some open before their children.

        Raises:
            Failed: they are not there in time.
        """
        with self.deadline(seconds, "tools/list"):
            while True:
                _, tools = self.client.list_tools()
                names = [name for tool in tools if _CHILD_TOOL.search(name := str(tool["name"]))]
                if len(names) >= at_least:
                    return names
                time.sleep(_POLL)

    def resident(self) -> float:
        """Bytes in memory of the subject with all its processes, the echo children left out."""
        total = 0
        for process in self.tree():
            with suppress(psutil.Error):
                is_child = process.pid != self.process.pid and CHILD.name in " ".join(process.cmdline())
                total += 0 if is_child else process.memory_info().rss
        return float(total)

    def tree(self) -> list[psutil.Process]:
        """The subject and everything below it."""
        try:
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """Kill everything and give the pipes back."""
        self._kill()
        self.process.wait()
        if self._link is not None:
            self._link.close()
        if self._start.port is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def _connected(self) -> Link:
        if self._start.port is not None:
            return EventLink(self._start.port, self._start.path, lambda: self.process.poll() is None)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return StdioLink(self.process.stdin, self.process.stdout)

    def _kill_late(self, seconds: float) -> None:
        self._late = seconds
        self._kill()

    def _kill(self) -> None:
        # Children may have sessions of their own, which a signal to the group does not reach.
        found = self.tree()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for process in found:
            with suppress(psutil.Error):
                process.kill()

    def _reason(self, error: Exception) -> str:
        if self._late is not None:
            return f"not done within {self._late:g} s"
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        lines = self._stderr.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f": {lines[-1][:160]}" if lines else ""
        return f"{error}, exit code {self.process.returncode}{last}"


@contextmanager
def running(start: Start, directory: Path, seconds: float) -> Iterator[Session]:
    """A session after its handshake; the subject is gone afterwards.

    Raises:
        Failed: it did not come up.
    """
    session = Session(start, directory)
    try:
        session.shake_hands(seconds)
        yield session
    finally:
        session.stop()
