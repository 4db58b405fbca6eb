"""Whether an MCP server loses anything when a host reaches it through War Room.

`python -m tests.conformance.compare` runs the conformance suite of both revisions straight to a server and
through War Room, prints both results side by side, and ends with 1 when something got lost on the way. The
suite speaks only HTTP: it reaches a stdio program over `tests.conformance.relay`, or at `--direct-url`.
"""

import argparse
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conformance import suite
from tests.conformance.served import served
from tests.conformance.verdict import Checks, Comparison

FIXTURE = (sys.executable, str(Path(__file__).with_name("fixture.py")))
OVER_HTTP = (*FIXTURE, "--http", "0")
RELAY = (sys.executable, "-m", "tests.conformance.relay")
WAR_ROOM = (sys.executable, "-m", "tests.preloaded")


@dataclass(frozen=True)
class Subject:
    """A server under comparison: how War Room reaches it, and how the suite reaches it without War Room.

    `command` is for a stdio child, `url` for one that serves already, neither for one that `direct_command`
    starts: a program that serves HTTP and says where.
    """

    way: str
    command: tuple[str, ...] | None = None
    url: str | None = None
    direct_url: str | None = None
    direct_command: tuple[str, ...] | None = None


OWN_STDIO = Subject("our fixture as a stdio child", command=FIXTURE, direct_command=OVER_HTTP)
OWN_HTTP = Subject("our fixture as an HTTP child", direct_command=OVER_HTTP)


def compare(subject: Subject, revision: str, keep: Path | None = None) -> Comparison:
    """One revision, both ways. Each run has a War Room, and a server that was started for it, to itself.

    `keep` is a directory for every single check and what the programs wrote to stderr.
    """
    required = suite.required(revision)
    direct = _direct(subject.direct_url, subject.direct_command, revision, keep)
    with (
        _place(keep, f"{revision} through War Room, {subject.way}") as where,
        _child(subject, where) as child,
    ):
        command = (*WAR_ROOM, "--home", str(where / "home"), "--http", "0", "--bare", *child)
        with served(command, where / "warroom.log") as url:
            through = suite.run(url, revision, where / "through")
    return Comparison(revision, subject.way, required, direct, through)


@cache
def _direct(
    url: str | None, command: tuple[str, ...] | None, revision: str, keep: Path | None
) -> dict[str, Checks]:
    with _place(keep, f"{revision} direct") as where:
        if url is not None:
            return suite.run(url, revision, where / "direct")
        assert command is not None
        with served(command, where / "fixture.log") as own:
            return suite.run(own, revision, where / "direct")


@contextmanager
def _place(keep: Path | None, name: str) -> Iterator[Path]:
    """A directory for one run, with the home of its War Room; gone afterwards unless it is kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="warroom-conformance-") as made:
            yield Path(made)
    else:
        keep = keep.resolve()
        keep.mkdir(parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix=f"{re.sub(r'[^a-z0-9-]+', '-', name.lower())}-", dir=keep))


@contextmanager
def _child(subject: Subject, where: Path) -> Iterator[tuple[str, str]]:
    """How to tell War Room of its child, while that lives."""
    if subject.command is not None:
        yield "--command", shlex.join(subject.command)
    elif subject.url is not None:
        yield "--url", subject.url
    else:
        assert subject.direct_command is not None
        with served(subject.direct_command, where / "child.log") as url:
            yield "--url", url


def _subjects(chosen: argparse.Namespace) -> tuple[Subject, ...]:
    if chosen.fixture_url is not None:
        direct = chosen.direct_url or chosen.fixture_url
        return (Subject("an HTTP child", url=chosen.fixture_url, direct_url=direct),)
    if chosen.fixture_command is None:
        return OWN_STDIO, OWN_HTTP
    command = tuple(shlex.split(chosen.fixture_command))
    if chosen.direct_url is not None:
        return (Subject("a stdio child", command=command, direct_url=chosen.direct_url),)
    return (
        Subject("a stdio child, directly over the relay", command=command, direct_command=(*RELAY, *command)),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare as the arguments say; 1 when something got lost."""
    parser = argparse.ArgumentParser(prog="compare", description=__doc__)
    child = parser.add_mutually_exclusive_group()
    child.add_argument("--fixture-command", metavar="CMD", help="a stdio server; our own fixture without it")
    child.add_argument("--fixture-url", metavar="URL", help="a server that serves Streamable HTTP already")
    parser.add_argument(
        "--direct-url", metavar="URL", help="where the suite reaches the same server directly"
    )
    parser.add_argument("--revision", choices=suite.REVISIONS, action="append", help="both without it")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="where to leave every check and log")
    chosen = parser.parse_args(arguments)
    if chosen.direct_url and not (chosen.fixture_command or chosen.fixture_url):
        parser.error("--direct-url is for --fixture-command or --fixture-url")
    lost = False
    for subject in _subjects(chosen):
        for revision in chosen.revision or suite.REVISIONS:
            comparison = compare(subject, revision, chosen.keep)
            sys.stdout.write(f"{comparison}\n")
            sys.stdout.flush()
            lost = lost or bool(comparison.losses)
    return int(lost)


if __name__ == "__main__":
    sys.exit(main())
