"""Shows on stderr how long pieces of work move on, if a person looks at it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from warroom_mcp.cli.visible import one_line
from warroom_mcp.events import Event, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

DONE = 1.0


class Display:
    """One line for each piece of work, a bar where the whole is known; nothing without a terminal."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._paused = False

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bars = _bars()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def hear(self, event: Event) -> None:
        """Show a step of progress; other events are not for here."""
        if self._bars is None or not isinstance(event, Progress):
            return
        task = self._task(event.work)
        self._bars.update(
            task, description=one_line(event.message)[:100], completed=event.fraction, total=_total(event)
        )
        if not self._paused:
            self._bars.start()
        if event.fraction is not None and event.fraction >= DONE:
            self._bars.remove_task(self._tasks.pop(event.work))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the terminal still, while a person reads and answers."""
        self._paused = True
        if self._bars is not None:
            self._bars.stop()
        try:
            yield
        finally:
            self._paused = False
            if self._bars is not None and self._tasks:
                self._bars.start()

    def _task(self, work: str) -> "TaskID":
        assert self._bars is not None
        if work not in self._tasks:
            self._tasks[work] = self._bars.add_task("", total=None)
        return self._tasks[work]


def _total(event: Progress) -> float | None:
    return None if event.fraction is None else DONE


def _bars() -> "Bars":
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bars

    return Bars(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        console=Console(stderr=True, markup=False, highlight=False),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
