"""Which of many thousand literals can be in a text at all, found by the pieces of words they share."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

# What words, codes and numbers are made of, in any script.
_RUN = re.compile(r"[^\W_]{2,}")
# Pieces of five letters keep most literals out; shorter words, and those of other scripts, have shorter ones.
_SIZES = (5, 4, 3, 2)
# From this size on the words of a text are collected first, for they repeat.
_LARGE = 32 * 1024


def filed(literals: Iterable[str]) -> dict[str, list[str]]:
    """Lower-case literals, each under the piece of it that fewest others have; those without one under ""."""
    pieces = {literal: _largest(_RUN.findall(literal)) for literal in literals}
    commonness = Counter(piece for each in pieces.values() for piece in each)
    found: dict[str, list[str]] = {}
    for literal, own in pieces.items():
        rarest = min(own, key=lambda piece: (commonness[piece], piece), default="")
        found.setdefault(rarest, []).append(literal)
    return found


def _largest(runs: Sequence[str]) -> set[str]:
    """The pieces of the largest size that the runs have any of."""
    return next((found for size in _SIZES if (found := _pieces(runs, size))), set())


class Sieve:
    """Literals as `filed` files them."""

    def __init__(self, literals: Mapping[str, Sequence[str]]) -> None:
        self._filed = literals
        self._always = list(literals.get("", ()))

    def candidates(self, lowered: str) -> list[str]:
        """The literals that may be in a lower-case text; the others surely are not."""
        if len(lowered) < _LARGE:
            return [each for each in self._sharing((lowered,)) if each in lowered]
        words = set(_RUN.findall(lowered))
        vocabulary = "\n".join(words)
        likely = self._sharing(words)
        return [each for each in likely if all(run in vocabulary for run in _runs(each))]

    def _sharing(self, runs: Collection[str]) -> list[str]:
        known = self._filed.keys()
        shared = [piece for size in _SIZES for piece in known & _pieces(runs, size)]
        return self._always + [literal for piece in shared for literal in self._filed[piece]]


@lru_cache(maxsize=65_536)
def _runs(literal: str) -> tuple[str, ...]:
    return tuple(sorted(_RUN.findall(literal), key=len, reverse=True))


def _pieces(runs: Iterable[str], size: int) -> set[str]:
    return {run[at : at + size] for run in runs for at in range(len(run) - size + 1)}
