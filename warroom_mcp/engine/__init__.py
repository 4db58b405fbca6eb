"""Where children run: the Protocol, and the adapter that runs them as processes of this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from anyio.abc import ByteReceiveStream, ByteSendStream

__all__ = ["ChildProcess", "Engine"]


class ChildProcess(Protocol):
    """One started child: byte streams in and out, and a way to end it with everything it started."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""

    @property
    def stdin(self) -> ByteSendStream: ...

    @property
    def stdout(self) -> ByteReceiveStream: ...

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
