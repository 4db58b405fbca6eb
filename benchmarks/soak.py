"""Many calls through War Room before ten children: does it grow, does it mix answers up?

    python -m benchmarks.soak [--calls 100000] [--subject warroom]

Every call has a text of its own that has to come back. Prints the memory of the process after each tenth
and exits 1 when it grew by 10 % or more from the first tenth to the end, or when an answer was wrong.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import psutil

from benchmarks.session import Failed, Session, running
from benchmarks.subjects import SUBJECTS, Children

_CHILDREN = Children(10)
_STEPS = 10
_LIMIT = 10.0
_START_DEADLINE = 120.0
_STEP_DEADLINE = 600.0


class Soak:
    """The counts of one run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._process = psutil.Process(session.process.pid)
        self.resident: list[int] = []
        self.wrong: list[str] = []

    def run(self, calls: int) -> None:
        """All calls, a tenth at a time.

        Raises:
            Failed: the subject ended or did not answer in time.
        """
        tools = self._session.child_tools(_CHILDREN.count, _START_DEADLINE)
        self._tell_counts("before")
        step = max(1, calls // _STEPS)
        for first in range(0, calls, step):
            texts = [
                f"call {number} {os.urandom(6).hex()}" for number in range(first, min(first + step, calls))
            ]
            with self._session.deadline(_STEP_DEADLINE, "calls"):
                seconds, wrong = self._session.client.flood(tools, texts)
            self.wrong += wrong
            self.resident.append(self._process.memory_info().rss)
            rate = len(texts) / seconds
            print(f"{first + len(texts):>8} calls  {self.resident[-1] / 1e6:7.1f} MB  {rate:7.0f} calls/s")
        self._tell_counts("after")

    def growth(self) -> float:
        """Per cent from after the first tenth to the end."""
        return 100 * (self.resident[-1] / self.resident[0] - 1)

    def _tell_counts(self, when: str) -> None:
        resident = self._process.memory_info().rss / 1e6
        descriptors, processes = self._process.num_fds(), len(self._session.tree())
        print(f"{when}: {resident:.1f} MB, {descriptors} file descriptors, {processes} processes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100_000)
    several = {subject.name: subject for subject in SUBJECTS if not subject.several}
    parser.add_argument("--subject", default="warroom", choices=several)
    arguments = parser.parse_args()
    subject = several[arguments.subject]
    if subject.peer is not None:
        subject.peer.install()
    with tempfile.TemporaryDirectory(prefix="warroom-soak-", ignore_cleanup_errors=True) as home:
        try:
            with running(subject.start(_CHILDREN, Path(home)), Path(home), _START_DEADLINE) as session:
                soak = Soak(session)
                soak.run(arguments.calls)
        except Failed as error:
            sys.exit(f"{subject.name}: {error}")
    for wrong in soak.wrong[:5]:
        print(f"wrong: {wrong}")
    growth = soak.growth()
    told = f"{growth:+.2f} % from the first tenth to the end (limit {_LIMIT:g} %)"
    print(f"{told}, {len(soak.wrong)} answers wrong")
    sys.exit(1 if growth >= _LIMIT or soak.wrong else 0)


if __name__ == "__main__":
    main()
