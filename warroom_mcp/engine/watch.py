"""War Room's end of the watchdog's pipe: started at the first child, told who lives, replaced if it died."""

import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path

from anyio import to_thread

from warroom_mcp.engine import reaper

_logger = logging.getLogger(__name__)
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What an interpreter may need in order to load; nothing else of the environment is handed on."""
START_DEADLINE = 10.0


class Watchdog:
    """Keeps the reaper informed. On Windows, and without an interpreter to run it with, there is none."""

    def __init__(self) -> None:
        self._pipe: int | None = None
        self._launcher: subprocess.Popen[bytes] | None = None
        self._watched: dict[str, int | None] = {}
        self._able = sys.platform != "win32" and bool(sys.executable)

    def expect(self, marker: str) -> None:
        """A child with this marker is about to start.

        Raises: OSError when the watchdog itself cannot be started.
        """
        self._watched[marker] = None
        if not self._able:
            return
        if self._pipe is None:
            self._start()
        self._tell(f"+{marker}")

    def started(self, marker: str, group: int) -> None:
        """It started, as the leader of this process group."""
        self._watched[marker] = group
        self._tell(f"+{marker} {group}")

    def forget(self, marker: str) -> None:
        """It is gone, with everything it started."""
        self._watched.pop(marker, None)
        self._tell(f"-{marker}")

    def end(self, marker: str) -> None:
        """It is gone, and War Room cannot look for what it started: the watchdog does."""
        self._watched.pop(marker, None)
        self._tell(f"!{marker}")

    async def settle(self) -> None:
        """Collect the short-lived process that put the watchdog out of War Room's process tree."""
        launcher, self._launcher = self._launcher, None
        if launcher is not None:
            try:
                await to_thread.run_sync(launcher.wait, START_DEADLINE)
            except subprocess.TimeoutExpired:
                _logger.warning("the watchdog did not start in time")
                launcher.kill()
                await to_thread.run_sync(launcher.wait)

    def close(self) -> None:
        """Close the pipe: the watchdog ends what is still registered, and leaves."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _start(self) -> None:
        reading, writing = os.pipe()
        try:
            self._launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(reaper.__file__))],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        os.set_blocking(writing, False)
        self._pipe = writing

    def _tell(self, fact: str) -> None:
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, f"{fact}\n".encode())
        except OSError:
            _logger.warning("the watchdog is gone; starting another one")
            self._restart()

    def _restart(self) -> None:
        self.close()
        with contextlib.suppress(
            OSError
        ):  # without a watchdog the children still end with War Room's own exit
            self._start()
            assert self._pipe is not None
            facts = [f"+{marker} {group or ''}".strip() for marker, group in self._watched.items()]
            os.write(self._pipe, "".join(f"{fact}\n" for fact in facts).encode())
