"""The smallest set of servers that covers several needs, and the order that shows each need early.

Choosing the fewest sets that cover all is NP-hard; the greedy rule (take what covers most of what is
left) is within a factor of ln n of it (Chvatal, 1979), and needs are few. What later choices have made
superfluous is taken out again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# A server stands in for the best of a need only if it is this near to it.
NEAR = 0.8
# Below this relevance a server does not cover a need, however little else there is.
LEAST = 0.3


@dataclass(frozen=True, slots=True)
class Option:
    """One server that may cover a need: its id, and how relevant it is there (0..1)."""

    id: str
    relevance: float


@dataclass(frozen=True, slots=True)
class Cover:
    """The chosen servers, each with the needs it covers, and the needs that none covers."""

    chosen: Mapping[str, tuple[str, ...]]
    uncovered: tuple[str, ...]


def cover(options: Mapping[str, Sequence[Option]]) -> Cover:
    """The smallest set for some needs, each with its options, best first."""
    able = {need: _able(some) for need, some in options.items()}
    left = [need for need in able if able[need]]
    chosen: list[str] = []
    while left:
        best = min(
            (server for need in left for server in able[need]),
            key=lambda server: (
                -sum(server in able[need] for need in left),
                sum(able[need].get(server, 0) for need in left),
                server,
            ),
        )
        chosen.append(best)
        left = [need for need in left if best not in able[need]]
    kept = _needed(chosen, able)
    covers: dict[str, tuple[str, ...]] = {}
    for server in kept:
        done = {need for needs in covers.values() for need in needs}
        covers[server] = tuple(need for need in able if server in able[need] and need not in done)
    return Cover(covers, tuple(need for need in able if not able[need]))


def _needed(chosen: Sequence[str], able: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The chosen without those whose every need others of them cover too, the earliest first."""
    kept = list(chosen)
    for server in chosen:
        others = [other for other in kept if other != server]
        if all(any(other in able[need] for other in others) for need in able if server in able[need]):
            kept = others
    return kept


def _able(options: Sequence[Option]) -> dict[str, int]:
    """The servers that are near enough to the best one, each with its place."""
    best = max((option.relevance for option in options), default=0.0)
    least = max(LEAST, NEAR * best)
    near = [option.id for option in options if option.relevance >= least]
    return {server: place for place, server in enumerate(dict.fromkeys(near))}


def interleave(lists: Sequence[Sequence[str]]) -> list[str]:
    """The first of every list, then the second; each id where its turn comes first."""
    taken: dict[str, None] = {}
    for place in range(max(map(len, lists), default=0)):
        for ranked in lists:
            if place < len(ranked):
                taken.setdefault(ranked[place])
    return list(taken)
