"""The figures: how each is taken from a running subject, and what War Room's has to be."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.session import Failed, Session, Start, running
from benchmarks.subjects import Children, Subject
from benchmarks.wire_client import WINDOW, WireClient

LARGE = 5_000_000
REFERENCE = "reference"
_TURN = 250
SCALE = Children(50, tools=60)
Figures = dict[str, float]


@dataclass(frozen=True)
class Row:
    """One figure. Ratios are War Room's value to another's; `must` and `goal` bound their medians.

    `added`: the median reference of the run is subtracted before. `childless`: without children; a
    subject that needs one is told to have it.
    """

    name: str
    title: str
    unit: str
    factor: float
    must: float | None = None
    goal: float | None = None
    below_peers: bool = False
    more_is_better: bool = False
    added: bool = False
    childless: bool = False


ROWS = (
    Row("call", "added p50 of a small call", "us", 1e6, 0.25, 2.5, below_peers=True, added=True),
    Row("p50", "p50 of a small call, as it is", "us", 1e6),
    Row("p99", "p99 of a small call, as it is", "us", 1e6),
    Row("flood", "calls per second, 64 in flight", "/s", 1, 12, 0.35, more_is_better=True),
    Row("large", "a result of 5 MB", "ms", 1e3, 0.5, 1.5),
    Row("start", "start to the answer to initialize, no children", "ms", 1e3, 0.5, 3, childless=True),
    Row("memory", "memory at rest after tools/list, no children", "MB", 1e-6, 0.75, 2, childless=True),
    Row("list", "tools/list, 50 children with 3,000 tools", "ms", 1e3, None, 3, below_peers=True),
)


@dataclass(frozen=True)
class Effort:
    """How much is measured in one round: seconds and counts."""

    seconds: float = 1.5
    warm_up: int = 300
    calls: int = 20_000
    flood: int = 30_000
    large: int = 5
    lists: int = 7
    rest: float = 1.0
    deadline: float = 60.0


QUICK = Effort(seconds=0.4, warm_up=100, calls=4_000, flood=5_000, large=2, lists=3, rest=0.5)


@dataclass(frozen=True)
class Group:
    """Rows that one session of a subject gives; they come one by one, what came stays."""

    rows: tuple[str, ...]
    children: Children
    measure: Callable[[Session, Children, Effort], Iterator[tuple[str, float]]]


def take(group: Group, subject: Subject, effort: Effort, home: Path) -> tuple[Figures, str]:
    """The figures of one group for one subject, and why some are missing, if so."""
    children = group.children
    if not children.count and subject.alone:
        children = Children(1)
    figures: Figures = {}
    try:
        # Some start their children one after the other before they answer.
        seconds = effort.deadline + 2 * children.count
        with running(subject.start(children, home), home, seconds) as session:
            for name, value in group.measure(session, children, effort):
                figures[name] = value
    except Failed as error:
        return figures, str(error)
    return figures, ""


def _calls(session: Session, children: Children, effort: Effort) -> Iterator[tuple[str, float]]:
    yield REFERENCE, _reference(session.directory / "reference", children, effort)
    tool = session.child_tools(children.count, effort.deadline)[0]
    with session.deadline(effort.deadline, "calls"):
        times = _timed(session.client, tool, effort)
    yield "call", statistics.median(times)
    yield "p50", statistics.median(times)
    yield "p99", statistics.quantiles(times, n=100)[-1]


def _reference(directory: Path, children: Children, effort: Effort) -> float:
    """Seconds of a call to a child alone.

    It comes to 15 or 60 us, depending on whether the child sits on the client's core. So it is taken
    anew beside each subject, and the median of the run is what `added` subtracts.
    """
    with running(Start(children.command), directory, effort.deadline) as child:
        child.client.timed_calls("echo", effort.warm_up)
        return statistics.median(child.client.timed_calls("echo", 4 * _TURN))


def _timed(client: WireClient, tool: str, effort: Effort) -> list[float]:
    client.timed_calls(tool, effort.warm_up)
    times: list[float] = []
    while sum(times) < effort.seconds and len(times) < effort.calls:
        times += client.timed_calls(tool, _TURN)
    return times


def _flood(session: Session, children: Children, effort: Effort) -> Iterator[tuple[str, float]]:
    tool = session.child_tools(children.count, effort.deadline)[0]
    with session.deadline(effort.deadline, "calls, 64 in flight"):
        rate = _rate(session, tool, effort.warm_up + WINDOW)
        rate = _rate(session, tool, min(effort.flood, max(500, int(rate * effort.seconds))))
    yield "flood", rate


def _rate(session: Session, tool: str, count: int) -> float:
    seconds, wrong = session.client.flood([tool], [f"call {number}" for number in range(count)])
    if wrong:
        raise Failed(f"{len(wrong)} of {count} answers were wrong: {wrong[0]}")
    return count / seconds


def _large(session: Session, children: Children, effort: Effort) -> Iterator[tuple[str, float]]:
    tool = session.child_tools(children.count, effort.deadline)[0]
    with session.deadline(effort.deadline, "5 MB"):
        session.client.large(tool, LARGE)
        seconds = statistics.median(session.client.large(tool, LARGE) for _ in range(effort.large))
    yield "large", seconds


def _rest(session: Session, children: Children, effort: Effort) -> Iterator[tuple[str, float]]:
    yield "start", session.first_answer
    session.child_tools(children.count, effort.deadline)
    # What a server loads behind its first answers belongs to it.
    time.sleep(effort.rest)
    yield "memory", session.resident()


def _scale(session: Session, children: Children, effort: Effort) -> Iterator[tuple[str, float]]:
    session.child_tools(children.count * children.tools, effort.deadline)
    with session.deadline(effort.deadline, "tools/list"):
        seconds = statistics.median(session.client.list_tools()[0] for _ in range(effort.lists))
    yield "list", seconds


GROUPS = (
    Group(("call", "p50", "p99"), Children(1), _calls),
    Group(("flood",), Children(1), _flood),
    Group(("large",), Children(1), _large),
    Group(("start", "memory"), Children(0), _rest),
    Group(("list",), SCALE, _scale),
)
