"""Scores of ranked lists: hits, needs covered, preferred servers, and saying rightly that none is needed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Scores = dict[str, float]

# What the figures must not fall below, by the kind of problems; `refused` must not rise above.
LIMITS: dict[str, Scores] = {
    "incidents": {"hit@1": 0.85, "hit@5": 0.93, "cov@5": 0.90, "pref@5": 0.60, "none": 0.90, "refused": 0.03},
    "livemcpbench": {"hit@5": 0.58},
    "livemcpbench-pool": {"hit@5": 0.87},
    "tools-task": {"cov@5": 0.45},
    "tools-steps": {"cov@5": 0.70},
    "tools-golden": {"cov@1": 0.55, "cov@5": 0.85, "ndcg@10": 0.75},
}
_NOT_ABOVE = frozenset({"refused"})


def score(gold: Sequence[Row], answers: Sequence[Row], pool: frozenset[str] | None = None) -> Scores:
    """The mean figures over all problems that carry labels; with a pool only its servers count."""
    ranked = {row["query_id"]: row["ranked"] for row in answers}
    found: dict[str, list[float]] = {}
    for problem in gold:
        if "relevant" not in problem:
            continue
        one = ranked.get(problem["id"], [])
        for name, value in _figures(problem, one, pool).items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _figures(problem: Row, ranked: Sequence[str], pool: frozenset[str] | None) -> Scores:
    if not problem.get("needs_server", True):
        return {"none": float(not ranked)}
    relevant = set(problem["relevant"])
    if pool is not None:
        ranked = [one for one in ranked if one in pool]
        relevant &= pool
        if not relevant:
            return {}
    groups = [set(group) for group in problem.get("groups") or [problem["relevant"]]]
    figures: Scores = {"refused": float(not ranked)}
    for k in (1, 5):
        top = set(ranked[:k])
        figures[f"hit@{k}"] = float(bool(top & relevant))
        figures[f"cov@{k}"] = sum(bool(top & group) for group in groups) / len(groups)
    figures["ndcg@10"] = _ndcg(ranked, groups)
    if preferred := set(problem.get("preferred") or ()):
        figures["pref@5"] = float(bool(set(ranked[:5]) & preferred))
    return figures


def _ndcg(ranked: Sequence[str], groups: Sequence[set[str]]) -> float:
    """Discounted gain of the first hit of each group within ten, against each group at its best place."""
    places = sorted(
        next((place for place, one in enumerate(ranked[:10]) if one in group), 10) for group in groups
    )
    gained = sum(1 / math.log2(place + 2) for place in places if place < 10)
    return gained / sum(1 / math.log2(place + 2) for place in range(len(groups)))


def below(scores: Mapping[str, float], kind: str | None) -> list[str]:
    """The figures that miss their limit, in words."""
    missed = []
    for name, limit in LIMITS.get(kind or "", {}).items():
        value = scores.get(name, 0.0)
        if value > limit if name in _NOT_ABOVE else value < limit:
            missed.append(f"{kind}: {name} is {value:.3f}, and must be {limit:.2f}")
    return missed


def print_table(
    gold: Sequence[Row], answers: Sequence[Row], by: Sequence[str] = (), pool: frozenset[str] | None = None
) -> None:
    """A row for all problems and one for each value of some fields."""
    parts: dict[str, Sequence[Row]] = {"all": gold}
    for field in by:
        for value in sorted({str(problem.get(field)) for problem in gold}):
            parts[f"{field}={value}"] = [problem for problem in gold if str(problem.get(field)) == value]
    names = ("hit@1", "hit@5", "cov@1", "cov@5", "pref@5", "ndcg@10", "none", "refused")
    print(f"{'':26}{'n':>5}" + "".join(f"{name:>9}" for name in names))
    for part, problems in parts.items():
        scores = score(problems, answers, pool)
        cells = "".join(f"{scores[name]:9.3f}" if name in scores else f"{'-':>9}" for name in names)
        print(f"{part:26}{len(problems):5}{cells}")
