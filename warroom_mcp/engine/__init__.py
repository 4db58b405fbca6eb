"""Where children run: the Protocol, and the adapter that runs them as processes of this machine."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

__all__ = ["ChildProcess", "Engine"]


class ChildProcess(Protocol):
    """One started child: bytes in and out, and a way to end it with everything it started.

    Output comes by callback and input goes without waiting: a proxied call is to cost no switch of tasks.
    """

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""

    def read(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Hand over what it writes to stdout, from the first byte on, and the end of it; called once.

        A child that closes its stdin has come to its end as well, once its last output was handed over.
        """

    def write(self, data: bytes) -> None:
        """Write to its stdin; what it does not take at once is kept and written later."""

    @property
    def unsent(self) -> int:
        """Bytes that were written and not taken yet."""

    @property
    def taken(self) -> int:
        """Bytes that were written and taken, so far."""

    def close_input(self) -> None:
        """Close its stdin, after what was written."""

    def stderr_tail(self) -> str:
        """The last 16 KB it wrote to stderr. The pipe is always drained, so a flood cannot block it."""

    async def wait(self) -> int:
        """Wait until it exited and its last words are read; returns the exit code."""

    async def stop(self, grace: float) -> None:
        """End it and every process it started, also those that left its group; safe to call again.

        Closes stdin and waits half of `grace` seconds, then SIGTERM and the other half, then SIGKILL.
        Runs to its end under cancellation; takes at most `grace` plus about three seconds.
        """


class Engine(Protocol):
    """Starts children."""

    async def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, name: str
    ) -> ChildProcess:
        """Start `argv` (no shell) with exactly this environment and a marker variable.

        Raises: StartFailed when the operating system refuses.
        """

    async def aclose(self) -> None:
        """Release what the engine holds; the children have been stopped before."""
