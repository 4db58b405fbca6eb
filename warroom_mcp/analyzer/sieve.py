"""Which of a few thousand literals can be in a text at all, found by the three-letter pieces they share."""

import re
from collections import Counter
from collections.abc import Iterable

_LETTERS = re.compile(r"[a-z]{3,}")
_PIECE = 3
# From this size on the words of a text are collected first, for they repeat.
_LARGE = 32 * 1024


class Sieve:
    """Lower-case literals, each filed under the piece of it that fewest others have."""

    def __init__(self, literals: Iterable[str]) -> None:
        pieces = {literal: _pieces(_LETTERS.findall(literal)) for literal in literals}
        commonness = Counter(piece for each in pieces.values() for piece in each)
        self._filed: dict[str, list[str]] = {}
        self._always: list[str] = []
        self._runs: dict[str, list[str]] = {}
        for literal, own in pieces.items():
            rarest = min(own, key=lambda piece: (commonness[piece], piece), default=None)
            if rarest is None:
                self._always.append(literal)
            else:
                self._filed.setdefault(rarest, []).append(literal)
            self._runs[literal] = sorted(_LETTERS.findall(literal), key=len, reverse=True)

    def candidates(self, lowered: str) -> list[str]:
        """The literals that may be in a lower-case text; the others surely are not."""
        if len(lowered) < _LARGE:
            return [each for each in self._sharing(_pieces((lowered,))) if each in lowered]
        words = set(_LETTERS.findall(lowered))
        vocabulary = "\n".join(words)
        likely = self._sharing(_pieces(words))
        return [each for each in likely if all(run in vocabulary for run in self._runs[each])]

    def _sharing(self, pieces: set[str]) -> list[str]:
        return self._always + [
            literal for piece in self._filed.keys() & pieces for literal in self._filed[piece]
        ]


def _pieces(runs: Iterable[str]) -> set[str]:
    return {run[at : at + _PIECE] for run in runs for at in range(len(run) - _PIECE + 1)}
