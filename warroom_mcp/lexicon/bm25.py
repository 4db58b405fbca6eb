"""BM25F in memory: documents with weighed fields, ranked for a query by the words they share.

Robertson, Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3.6: the
weighed frequencies of all fields are summed first and saturate once.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

SATURATION = 1.2


@dataclass(frozen=True, slots=True)
class Field:
    """How much a word counts in a field, and how far (0..1) the field's length is set against it."""

    weight: float
    length_share: float = 0.5


class Bm25(Generic[K]):
    """An index over documents that come and go; a document is a list of stems for each field."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = dict(fields)
        self._documents: dict[K, dict[str, Counter[str]]] = {}
        self._lengths: dict[str, int] = dict.fromkeys(fields, 0)
        self._postings: dict[str, set[K]] = {}

    def __len__(self) -> int:
        return len(self._documents)

    def put(self, key: K, document: Mapping[str, Sequence[str]]) -> None:
        """Add a document, or replace the one of that key."""
        self.drop(key)
        counted = {name: Counter(words) for name, words in document.items() if name in self._fields}
        self._documents[key] = counted
        for name, words in counted.items():
            self._lengths[name] += words.total()
            for word in words:
                self._postings.setdefault(word, set()).add(key)

    def drop(self, key: K) -> None:
        """Forget the document of that key, if there is one."""
        for name, words in self._documents.pop(key, {}).items():
            self._lengths[name] -= words.total()
            for word in words:
                if holders := self._postings.get(word):
                    holders.discard(key)
                    if not holders:
                        del self._postings[word]

    def rarity(self, word: str) -> float:
        """The inverse document frequency of a word, never negative."""
        count = len(self._documents)
        holders = len(self._postings.get(word, ()))
        return math.log(1 + (count - holders + 0.5) / (holders + 0.5))

    def scores(
        self, query: Mapping[str, float], expand: Callable[[str], Mapping[str, float]] | None = None
    ) -> dict[K, float]:
        """The score of every document that shares a word with the query of weighed stems."""
        found: dict[K, float] = {}
        means = {
            name: max(1.0, total / max(1, len(self._documents))) for name, total in self._lengths.items()
        }
        for word, weight in query.items():
            variants = expand(word) if expand else {word: 1.0}
            best: dict[K, float] = {}
            for variant, share in variants.items():
                holders = self._postings.get(variant)
                if not holders:
                    continue
                worth = weight * share * self.rarity(variant)
                for key in holders:
                    frequency = self._frequency(self._documents[key], variant, means)
                    value = worth * frequency / (SATURATION + frequency)
                    if value > best.get(key, 0.0):
                        best[key] = value
            for key, value in best.items():
                found[key] = found.get(key, 0.0) + value
        return found

    def _frequency(
        self, document: Mapping[str, Counter[str]], word: str, means: Mapping[str, float]
    ) -> float:
        total = 0.0
        for name, words in document.items():
            if times := words.get(word):
                field = self._fields[name]
                share = field.length_share
                total += field.weight * times / (1 - share + share * words.total() / means[name])
        return total
