"""Which candidates of the ranked lists are shown, in which order, and which of them together are enough.

Pure functions: needs take turns, so that each is covered before one is covered twice; what several
sources say of one server becomes one candidate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from warroom_mcp.catalog.cover import Option, cover, interleave
from warroom_mcp.catalog.local import Ranked, rank_for_request
from warroom_mcp.catalog.merge import merge
from warroom_mcp.catalog.scoring import score
from warroom_mcp.catalog.standing import order
from warroom_mcp.listing import IndexAnswer
from warroom_mcp.models import Candidate, Need

Lists = Mapping[str | None, Sequence[Ranked]]
"""Ranked hits by need, and under None those for requests."""

# The index is enough for a need when it holds so many live servers that can be started and cover it so well.
_ENOUGH, _WELL = 3, 0.6
# Beside a need that is this sure, words count that lead to a server this well.
_SURE, _TELLING = 0.75, 0.15


def choose(lists: Lists, needs: Sequence[Need], limit: int, *, today: date) -> tuple[Candidate, ...]:
    """The candidates in their order: each need's best before anyone's second, merged across sources."""
    by_key: dict[str, Ranked] = {}
    keys: list[list[str]] = []
    for ranked in lists.values():
        keys.append([key(each) for each in ranked])
        for each in ranked:
            by_key.setdefault(key(each), each)
    by_need = {need.technology: need for need in needs}
    found = [fitted(by_key[one], by_need, today) for one in interleave(keys)[:limit]]
    return merged(found)


def in_turns(best: Sequence[Candidate], others: Sequence[Candidate], *, today: date) -> tuple[Candidate, ...]:
    """The best, in an order that newly known facts settle within each need; deprecated ones behind all.

    The turns that needs take stay as they were.
    """
    scored = [replace(one, score=score(one, today=today)) for one in best]
    queues: dict[str | None, list[Candidate]] = {}
    for one in sorted(scored, key=lambda each: order(each, today=today)):
        queues.setdefault(one.need, []).append(one)
    turned = [queues[one.need].pop(0) for one in scored]
    alive = [one for one in turned if not one.deprecated]
    gone = [one for one in turned if one.deprecated]
    return (*alive, *others, *gone)


def key(ranked: Ranked) -> str:
    """What a listing is counted by: a list's own rows are different servers."""
    return f"{ranked.hit.source}\n{ranked.hit.id}"


def tells(worded: Sequence[Ranked], needs: Sequence[Need]) -> bool:
    """Whether what a request's words lead to is worth a turn beside the needs."""
    sure = max((need.confidence for need in needs), default=0.0)
    best = max((each.relevance for each in worded), default=0.0)
    return bool(worded) and (sure < _SURE or best >= _TELLING)


def united(answer: IndexAnswer, requests: Sequence[str]) -> list[Ranked]:
    """The hits for several requests, taking turns."""
    lists = [rank_for_request(answer, request) for request in requests]
    by_key = {key(each): each for ranked in reversed(lists) for each in ranked}
    return [by_key[key] for key in interleave([[key(each) for each in ranked] for ranked in lists])]


def is_enough(lists: Mapping[str | None, Sequence[Ranked]], needs: Sequence[Need]) -> bool:
    """Whether the index alone has enough to choose from for every need: what merely helps does not count."""
    return bool(needs) and all(
        sum(
            each.relevance >= _WELL
            and need.technology in each.hit.covers
            and not each.hit.deprecated
            and each.hit.starts
            for each in lists[need.technology]
        )
        >= _ENOUGH
        for need in needs
    )


def fitted(ranked: Ranked, needs: Mapping[str, Need], today: date) -> Candidate:
    """The candidate of a listing, with the need that it is there for and that need's parameters."""
    need = needs.get(ranked.need) if ranked.need else None
    fitted = replace(
        ranked.hit.candidate(),
        relevance=round(ranked.relevance, 4),
        need=ranked.need,
        parameters=dict(need.parameters) if need else {},
        listed_as=ranked.hit.id,
    )
    return replace(fitted, score=score(fitted, today=today))


def merged(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """One candidate for each server, where the first listing of it stood."""
    if len({source for one in found for source in one.sources}) < 2:
        return tuple(found)
    places = {one.id: place for place, one in reversed(list(enumerate(found)))}
    merged = merge(found)
    return tuple(sorted(merged, key=lambda one: places.get(one.id, len(places))))


def covered(
    chosen: Sequence[Candidate], lists: Mapping[str | None, Sequence[Ranked]], needs: Sequence[Need]
) -> tuple[Mapping[str, tuple[str, ...]], tuple[str, ...]]:
    """The smallest set of the chosen that covers all needs, and the needs that none covers."""
    listed = {one.listed_as: one for one in chosen}
    options = {
        need.technology: [
            Option(listed[each.hit.id].id, each.relevance)
            for each in lists[need.technology]
            if each.hit.id in listed and not listed[each.hit.id].unconfirmed and not each.hit.deprecated
        ]
        for need in needs
    }
    found = cover(options)
    return found.chosen, found.uncovered
