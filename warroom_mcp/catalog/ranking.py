"""Orders candidates for the needs of a problem: a pure function.

The rule. For each need, in the order of its confidence: what is too little relevant is dropped; live
candidates come before deprecated ones; among them the mean of relevance and score (0..1 each) decides,
then the id. With several needs their lists are interleaved, so that each need is covered before one is
covered twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from warroom_mcp.catalog.relevance import THRESHOLD, relevance
from warroom_mcp.catalog.scoring import score
from warroom_mcp.models import Candidate, Need, SearchPlan


def rank(
    candidates: Sequence[Candidate], needs: Sequence[Need], plan: SearchPlan, *, limit: int, today: date
) -> tuple[Candidate, ...]:
    """The best candidates, scored, each with the need that it is there for and that need's parameters.

    Without needs the plan's words decide.
    """
    ordered = sorted(needs, key=lambda need: -need.confidence)
    asked: Sequence[Need | None] = ordered or (None,)
    lists = [rank_one(candidates, need, plan, today=today) for need in asked]
    return tuple(_interleave(lists)[: max(0, limit)])


def rank_one(
    candidates: Sequence[Candidate], need: Need | None, plan: SearchPlan, *, today: date
) -> list[Candidate]:
    """The candidates that cover one need, best first."""
    fitted = [_fit(candidate, need, plan, today) for candidate in candidates]
    return sorted((one for one in fitted if one.relevance >= THRESHOLD), key=order)


def order(candidate: Candidate) -> tuple[bool, float, str]:
    """The sort key of a scored candidate, the best first."""
    merit = candidate.relevance / 2 + sum(part.points for part in candidate.score.parts) / 200
    return bool(candidate.deprecated), -round(merit, 9), candidate.id


def _fit(candidate: Candidate, need: Need | None, plan: SearchPlan, today: date) -> Candidate:
    fitted = replace(
        candidate,
        relevance=relevance(candidate, need, plan),
        need=need.technology if need else None,
        parameters=_parameters(need),
    )
    return replace(fitted, score=score(fitted, today=today))


def _parameters(need: Need | None) -> Mapping[str, str]:
    return dict(need.parameters) if need else {}


def _interleave(lists: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """The first of every list, then the second; a server in several lists where its turn comes first."""
    taken: dict[str, Candidate] = {}
    queues = [list(reversed(ranked)) for ranked in lists]
    while any(queues):
        for queue in queues:
            while queue and queue[-1].id in taken:
                queue.pop()
            if queue:
                best = queue.pop()
                taken[best.id] = best
    return list(taken.values())
