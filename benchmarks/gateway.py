"""War Room as a gateway, beside the child itself, the floor and its peers, in one run.

    python -m benchmarks.gateway [--quick] [--rounds N] [--json FILE] [--only NAME...]

Each round measures every subject once, in turn; a ratio is taken within a round, since the speed of a
machine drifts. The peers are installed into the benchmark's own cache first (`benchmarks/peers.py`).
`--only` takes rows and subjects. A subject that crashes or hangs loses its figure, not the run; after
two failures in the same figures it is left out.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import digits
from benchmarks.peers import NotInstalled
from benchmarks.report import Results, as_json, lines
from benchmarks.rows import GROUPS, QUICK, ROWS, Effort, Figures, Group, Row, take
from benchmarks.subjects import NAMES, SUBJECTS, Subject

_GIVE_UP = 2


class Run:
    """The subjects and rows of one run, and what came of them."""

    def __init__(self, subjects: Sequence[Subject], rows: Sequence[Row], effort: Effort) -> None:
        self.subjects = subjects
        self.rows = rows
        self.results = Results()
        self._effort = effort
        self._failed: Counter[tuple[Group, str]] = Counter()
        wanted = {row.name for row in rows}
        self._groups = [group for group in GROUPS if wanted.intersection(group.rows)]

    def prepare(self) -> None:
        """Install the peers, and leave out what cannot be measured, with the reason."""
        for subject in self.subjects:
            try:
                if subject.peer is not None:
                    subject.peer.install()
            except NotInstalled as error:
                for group in self._groups:
                    self._leave_out(group, subject, str(error))
                continue
            for group in self._groups:
                if group.children.count > 1 and subject.several:
                    self._leave_out(group, subject, subject.several)
                elif not group.children.count and subject.name == "direct":
                    self._leave_out(group, subject, subject.alone)
                elif not group.children.count:
                    # Once outside the rounds: files are compiled and in the page cache then.
                    self._take(group, subject)

    def measure(self, rounds: int) -> None:
        """All rounds; the order turns, so that nobody always follows the same one."""
        for number in range(rounds):
            turn = number % len(self.subjects)
            for group in self._groups:
                for subject in (*self.subjects[turn:], *self.subjects[:turn]):
                    if self._failed[group, subject.name] < _GIVE_UP:
                        self._one(group, subject, number)

    def _leave_out(self, group: Group, subject: Subject, reason: str) -> None:
        self._failed[group, subject.name] = _GIVE_UP
        for name in group.rows:
            self.results.fail(name, subject.name, reason)

    def _one(self, group: Group, subject: Subject, number: int) -> None:
        begin = time.monotonic()
        figures, reason = self._take(group, subject)
        for name, value in figures.items():
            self.results.put(name, subject.name, number, value)
        if reason:
            self._failed[group, subject.name] += 1
            for name in set(group.rows).difference(figures):
                self.results.fail(name, subject.name, reason)
        told = [f"{row.name} {digits(figures[row.name] * row.factor)}" for row in ROWS if row.name in figures]
        head = f"# round {number + 1} {subject.name} ({time.monotonic() - begin:.0f} s):"
        print(head, *told, reason, file=sys.stderr, flush=True)

    def _take(self, group: Group, subject: Subject) -> tuple[Figures, str]:
        with tempfile.TemporaryDirectory(prefix="warroom-bench-", ignore_cleanup_errors=True) as home:
            return take(group, subject, self._effort, Path(home))


def _chosen(only: Sequence[str]) -> tuple[list[Subject], list[Row]]:
    rows = [row for row in ROWS if row.name in only] or list(ROWS)
    names = {name for name in only if name in NAMES} or set(NAMES)
    return [subject for subject in SUBJECTS if subject.name in names], rows


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"{system}, Python {platform.python_version()}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, help="how often each subject is measured (5, quick: 2)")
    parser.add_argument("--quick", action="store_true", help="two short rounds: a look, no evidence")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there")
    names = [row.name for row in ROWS] + list(NAMES)
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME", help=", ".join(names))
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    subjects, rows = _chosen(arguments.only)
    run = Run(subjects, rows, QUICK if arguments.quick else Effort())
    run.prepare()
    run.measure(rounds)
    print(f"{_machine()}; {rounds} rounds in turn; ratios are taken within a round")
    for line in lines(run.results, rows, subjects):
        print(line)
    if arguments.json:
        told = {"machine": _machine(), "rounds": rounds, "rows": as_json(run.results, rows, subjects)}
        arguments.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
