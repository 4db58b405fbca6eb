"""Runs one command: opens a War Room, shows progress, delivers the outcome, turns errors into exit codes."""

import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import typer

from warroom_mcp.cli import failing
from warroom_mcp.cli.preparing import load_settings
from warroom_mcp.cli.progress import Display
from warroom_mcp.cli.terminal import TerminalAsker, person_present
from warroom_mcp.cli.visible import json_safe
from warroom_mcp.errors import WarRoomError
from warroom_mcp.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from warroom_mcp.warroom import AsyncWarRoom

Answer = dict[str, Any]
View = Callable[[Answer], "Iterable[RenderableType]"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to: a JSON-ready answer, how it is shown to a person, the exit code."""

    answer: Answer
    view: View
    code: int = failing.OK


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with; `asker` is the way to the person, if one sits at a terminal."""

    war_room: "AsyncWarRoom"
    asker: TerminalAsker | None

    @property
    def settings(self) -> Settings:
        """The settings of this run."""
        return self.war_room.settings


Work = Callable[[Session], Awaitable[Outcome]]


def run(work: Work, *, as_json: bool) -> None:
    """Run a command in a War Room and exit with its code."""

    async def alone() -> Outcome:
        async with opened(load_settings()) as session:
            return await carried(work, session)

    run_alone(alone, as_json=as_json)


def run_alone(work: Callable[[], Awaitable[Outcome]], *, as_json: bool) -> None:
    """Run a command that needs no War Room and exit with its code."""
    set_up_logs()
    try:
        outcome = anyio.run(work)
        deliver(outcome, as_json=as_json)
        code = outcome.code
    except (BrokenPipeError, typer.Exit):
        raise
    except BaseException as error:
        code = fail(error, as_json=as_json)
    raise typer.Exit(code)


def set_up_logs() -> None:
    """Keep logs off the terminal: what matters is told as outcome or error. All of them when debugging."""
    if failing.debugging():
        from warroom_mcp.telemetry import configure_logging

        configure_logging("DEBUG")
    elif not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


def fail(error: BaseException, *, as_json: bool) -> int:
    """Tell an error, on stdout as JSON if that is wanted; the exit code."""
    error = failing.single(error)
    if isinstance(error, (SystemExit, GeneratorExit)):
        raise error
    failing.tell(error)
    if as_json:
        write_json({"error": failing.as_dict(error)})
    return failing.exit_code(error)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Session]:
    """A War Room with its progress on the terminal, and the person in front of it."""
    war_room = make_war_room(settings)
    with Display() as display:
        unsubscribe = war_room.events.subscribe(display.hear)
        asker = TerminalAsker(display.paused) if person_present() else None
        try:
            async with war_room:
                yield Session(war_room, asker)
        finally:
            unsubscribe()


def make_war_room(settings: Settings) -> "AsyncWarRoom":
    """The War Room of this process, not entered yet."""
    from warroom_mcp.warroom import AsyncWarRoom

    return AsyncWarRoom(settings)


async def carried(work: Work, session: Session) -> Outcome:
    """The outcome of the work. An error of ours becomes one: through a task group it would be wrapped."""
    try:
        return await work(session)
    except WarRoomError as error:
        failed = error
    return Outcome({"error": failed.to_dict()}, lambda _: _told(failed), failing.exit_code(failed))


def deliver(outcome: Outcome, *, as_json: bool) -> None:
    """Write the outcome to stdout, as JSON or for a person."""
    if not as_json:
        show(outcome.view(outcome.answer))
        return
    if "error" in outcome.answer:
        list(outcome.view(outcome.answer))
    write_json(outcome.answer)


def show(renderables: "Iterable[RenderableType]") -> None:
    """Write what a view yields; wide enough to be searched when nobody looks at it directly."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 160
    console = Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)
    for renderable in renderables:
        console.print(renderable)


def write_json(answer: Answer) -> None:
    """Write JSON to stdout, indented; characters that a terminal would act on are escapes."""
    unicode = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    text = json.dumps(answer, indent=2, ensure_ascii=not unicode, default=str)
    sys.stdout.write(json_safe(text) + "\n")
    with suppress(ValueError):
        sys.stdout.flush()


def _told(error: WarRoomError) -> "Iterable[RenderableType]":
    failing.tell(error)
    return ()
