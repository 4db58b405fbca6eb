"""The table of a run: figures with spread, ratios round by round, and what is met of must and goal."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.figures import spread
from benchmarks.rows import REFERENCE, Row
from benchmarks.subjects import Subject

_OWN, _FLOOR, _FASTMCP = "warroom", "floor", "fastmcp"


@dataclass
class Results:
    """Values of each row and subject by round, in seconds, bytes or calls a second; and what failed."""

    values: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    failures: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def put(self, row: str, subject: str, round_: int, value: float) -> None:
        self.values.setdefault(row, {}).setdefault(subject, {})[round_] = value

    def fail(self, row: str, subject: str, reason: str) -> None:
        self.failures.setdefault(row, {}).setdefault(subject, []).append(reason)

    def of(self, row: Row, subject: str) -> dict[int, float]:
        """What the row is about, by round."""
        values = self.values.get(row.name, {}).get(subject, {})
        if not row.added or not values:
            return values
        found = self.values[REFERENCE].values()
        reference = statistics.median(value for by_round in found for value in by_round.values())
        return {r: value - reference for r, value in values.items()}

    def ratios(self, row: Row, subject: str, other: str) -> list[float]:
        """Subject / other in each round that both have; their speeds drift together."""
        values, other_values = self.of(row, subject), self.of(row, other)
        return [value / other_values[r] for r, value in values.items() if other_values.get(r)]


@dataclass(frozen=True)
class Verdict:
    """Whether a bound is kept; `None`: it was not measured."""

    text: str
    met: bool | None

    def __str__(self) -> str:
        return f"{self.text}: {'not measured' if self.met is None else 'met' if self.met else 'NOT MET'}"


def verdicts(results: Results, row: Row, subjects: Sequence[Subject]) -> dict[str, Verdict]:
    """What the issue asks of the row."""
    found: dict[str, Verdict] = {}
    if row.below_peers:
        found["must (peers)"] = _below_peers(results, row, subjects)
    if row.must is not None:
        found["must"] = _bound(results, row, _FASTMCP, row.must)
    if row.goal is not None:
        found["goal"] = _bound(results, row, _FLOOR, row.goal)
    return found


def _bound(results: Results, row: Row, other: str, limit: float) -> Verdict:
    sign = ">=" if row.more_is_better else "<="
    text = f"{sign} {limit:g} x {other}"
    if not (ratios := results.ratios(row, _OWN, other)):
        return Verdict(text, None)
    middle = statistics.median(ratios)
    return Verdict(f"{text} ({middle:.3g})", middle >= limit if row.more_is_better else middle <= limit)


def _below_peers(results: Results, row: Row, subjects: Sequence[Subject]) -> Verdict:
    compared = {s.name: results.ratios(row, _OWN, s.name) for s in subjects if s.is_peer}
    medians = {name: statistics.median(ratios) for name, ratios in compared.items() if ratios}
    if not medians:
        return Verdict("below every peer", None)
    nearest = max(medians, key=lambda name: medians[name])
    return Verdict(f"below every peer ({medians[nearest]:.3g} x {nearest})", medians[nearest] < 1)


def lines(results: Results, rows: Sequence[Row], subjects: Sequence[Subject]) -> Iterator[str]:
    """The table."""
    for row in rows:
        yield ""
        yield f"{row.name}: {row.title} [{row.unit}]"
        yield f"  {'':<14}{'median (min..max)':<32}{'x fastmcp':<30}x floor"
        for subject in subjects:
            yield from _subject_lines(results, row, subject)
        for name, verdict in verdicts(results, row, subjects).items():
            yield f"  {name:<14}{verdict}"
    yield ""
    yield from _summary(results, rows, subjects)
    yield ""
    yield "driven over"
    for subject in subjects:
        version = f"{subject.peer.version}, " if subject.peer else ""
        yield f"  {subject.name:<14}{version}{subject.via}"


def _subject_lines(results: Results, row: Row, subject: Subject) -> Iterator[str]:
    values = results.of(row, subject.name)
    failures = results.failures.get(row.name, {}).get(subject.name, [])
    if not values:
        yield f"  {subject.name:<14}{'-':<32}{failures[0] if failures else 'not measured'}"
        return
    figure = spread([value * row.factor for value in values.values()])
    notes = [f"failed {len(failures)}x: {failures[0]}"] if failures else []
    if row.childless and subject.alone:
        notes.insert(0, f"with one child: {subject.alone}")
    x_base, x_floor = (_ratio(results, row, subject.name, other) for other in (_FASTMCP, _FLOOR))
    yield f"  {subject.name:<14}{figure:<32}{x_base:<30}{x_floor:<30}{'; '.join(notes)}".rstrip()


def _ratio(results: Results, row: Row, subject: str, other: str) -> str:
    ratios = results.ratios(row, subject, other)
    return spread(ratios) if ratios else "-"


def _summary(results: Results, rows: Sequence[Row], subjects: Sequence[Subject]) -> Iterator[str]:
    yield "in short"
    for row in rows:
        told = [f"{name} {verdict}" for name, verdict in verdicts(results, row, subjects).items()]
        if told and (failures := results.failures.get(row.name, {}).get(_OWN)):
            told.append(f"(failed in {len(failures)} rounds)")
        if told:
            yield f"  {row.name:<8}{'   '.join(told)}"


def as_json(results: Results, rows: Sequence[Row], subjects: Sequence[Subject]) -> Mapping[str, Any]:
    """Everything that the table says, and the value of each round."""
    return {row.name: _row_as_json(results, row, subjects) for row in rows}


def _row_as_json(results: Results, row: Row, subjects: Sequence[Subject]) -> Mapping[str, Any]:
    told = verdicts(results, row, subjects)
    return {
        "title": row.title,
        "unit": row.unit,
        "verdicts": {name: {"text": v.text, "met": v.met} for name, v in told.items()},
        "subjects": {
            subject.name: {
                "values": [value * row.factor for value in results.of(row, subject.name).values()],
                "x_fastmcp": results.ratios(row, subject.name, _FASTMCP),
                "x_floor": results.ratios(row, subject.name, _FLOOR),
                "failures": results.failures.get(row.name, {}).get(subject.name, []),
            }
            for subject in subjects
        },
    }
