"""What two runs of the conformance suite say about what is between them: pure functions of their checks."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Taking up a closed stream is a matter between a host and the front that it speaks to. No revision scores it.
OF_THE_FRONT = frozenset({"server-sse-polling"})

_RUN = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d{2}-\d{2}T[\dZ-]+")


@dataclass(frozen=True)
class Checks:
    """How many checks of a scenario passed and failed; warnings and notes are neither."""

    passed: int
    failed: int

    def __str__(self) -> str:
        return f"{self.passed}/{self.failed}"


Table = Mapping[str, Checks]


@dataclass(frozen=True)
class Comparison:
    """Two runs of one revision: straight to a server, and through War Room."""

    revision: str
    way: str
    required: tuple[str, ...]
    direct: Table
    through: Table

    @property
    def losses(self) -> list[str]:
        """What got lost on the way, one sentence each."""
        return losses(self.required, self.direct, self.through)

    @property
    def passing(self) -> tuple[int, int, int]:
        """How many required scenarios pass directly and through, and how many there are."""
        return (
            len(self.required) - len(failing(self.required, self.direct)),
            len(self.required) - len(failing(self.required, self.through)),
            len(self.required),
        )

    def __str__(self) -> str:
        others = sorted((self.direct.keys() | self.through.keys()) - set(self.required))
        lines = [f"== {self.revision}, {self.way} ==", _row("scenario", "required", "direct", "through")]
        for scenario in (*self.required, *others):
            runs = [str(table.get(scenario, "did not run")) for table in (self.direct, self.through)]
            lines.append(_row(scenario, "yes" if scenario in self.required else "no", *runs))
        direct, through, of = self.passing
        lines.append(f"required: direct {direct}/{of}, through War Room {through}/{of}")
        lines += [f"LOST: {loss}" for loss in self.losses]
        return "\n".join(lines) + "\n"


def failing(required: Iterable[str], table: Table) -> set[str]:
    """The required scenarios with a failed check, or that did not run at all."""
    return {name for name in required if name not in table or table[name].failed}


def losses(required: Iterable[str], direct: Table, through: Table) -> list[str]:
    """What `direct` has and `through` has not: required scenarios that pass, and checks that pass.

    A direct run without any of it is no measure, which counts as a loss too.
    """
    names = tuple(required)
    if failing(names, direct) == set(names):
        return ["no required scenario passes directly, so there is nothing to compare with"]
    newly = failing(names, through) - failing(names, direct)
    both = sorted((direct.keys() & through.keys()) - newly - OF_THE_FRONT)
    return [f"{name} is required and passes only directly" for name in sorted(newly)] + [
        f"{name} passes {through[name].passed} checks instead of {direct[name].passed}"
        for name in both
        if through[name].passed < direct[name].passed
    ]


def table_of(output: Path) -> dict[str, Checks]:
    """The table of a run from what the suite wrote into its output directory."""
    table = {}
    for found in sorted(output.glob("server-*/checks.json")):
        run = _RUN.fullmatch(found.parent.name)
        if run is None:
            raise ValueError(f"{found.parent.name} does not name a scenario")
        statuses = [check["status"] for check in json.loads(found.read_text(encoding="utf-8"))]
        table[run["scenario"]] = Checks(statuses.count("SUCCESS"), statuses.count("FAILURE"))
    return table


def _row(scenario: str, required: str, direct: str, through: str) -> str:
    return f"{scenario:<45}{required:<10}{direct:>12}{through:>12}"
