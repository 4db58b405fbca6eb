"""Which tools fit a request, by the words of their names, descriptions, arguments and servers.

The rule. A tool's score is BM25F over its fields, a word also found by those that stand for it, raised
by the share of its name that the request covers: `fill` before `iframe_fill` for "fill the form". Of a
request in one sentence the best come first, then the best for each step that it implies and for each of
its parts. Of several requests each has its turn, and those that hardly any tool answers come last.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warroom_mcp.lexicon.bm25 import Bm25, Field
from warroom_mcp.lexicon.requests import clauses, implied_steps, own_words
from warroom_mcp.lexicon.stems import PLEA, PLEAS, stems
from warroom_mcp.lexicon.synonyms import expanded

FIELDS = {
    "name": Field(3.0, 0.3),
    "description": Field(1.5, 0.6),
    "arguments": Field(0.5, 0.3),
    "server": Field(1.0, 0.3),
    "about": Field(0.6, 0.5),
}
# How far the covered share of a name raises a score.
_NAME = 0.3
# How far all requests together count for each of them, and the quality below which one comes last.
_TOGETHER, _HOPELESS = 0.2, 0.2
# So many of the best for the whole request come before those for its parts.
_WHOLE = 3
_MAX_ARGUMENTS = 60


@dataclass(frozen=True, slots=True)
class ToolText:
    """What a tool is found by; `about` is what is known of its server."""

    name: str
    description: str = ""
    arguments: str = ""
    server: str = ""
    about: str = ""


def text_of(name: str, definition: Mapping[str, Any], server: str = "", about: str = "") -> ToolText:
    """The text of a tool's definition as its server listed it."""
    title = definition.get("title")
    description = f"{title or ''} {definition.get('description') or ''}"
    return ToolText(name, description, " ".join(_arguments(definition.get("inputSchema"))), server, about)


def _arguments(schema: object) -> Iterable[str]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return
    for name, told in list(properties.items())[:_MAX_ARGUMENTS]:
        yield str(name)
        if isinstance(told, Mapping):
            choices = told.get("enum")
            if isinstance(choices, list):
                yield " ".join(str(choice) for choice in choices[:20] if isinstance(choice, str))


class ToolSearch:
    """An index of tools that come and go."""

    def __init__(self) -> None:
        self._index: Bm25[str] = Bm25(FIELDS)
        self._names: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def put(self, key: str, text: ToolText) -> None:
        """Add a tool, or replace the one of that key."""
        server = stems(text.server)
        own = stems(text.name)
        self._names[key] = tuple(dict.fromkeys(stem for stem in own if stem not in server)) or tuple(own)
        fields = {
            "name": own,
            "description": stems(text.description),
            "arguments": stems(text.arguments),
            "server": server,
            "about": stems(text.about),
        }
        self._index.put(key, fields)

    def drop(self, key: str) -> None:
        """Forget a tool."""
        self._index.drop(key)
        self._names.pop(key, None)

    def search(self, requests: Sequence[str], limit: int) -> tuple[str, ...]:
        """The keys of the tools that fit, best first; none that shares no word with any request."""
        if len(requests) == 1:
            lists = self._parts(requests[0])
            return _in_turn([(lists[0], _WHOLE), *((ranked, 1) for ranked in lists[1:])], limit)
        together = self._normal(_words(" ".join(own_words(request) for request in requests)))
        hopeful: list[list[str]] = []
        others: list[list[str]] = []
        for request in requests:
            steps = implied_steps(request)
            words = [_words(step) for step in steps] or [_words(own_words(request))]
            for asked in words:
                ranked = self._ranked(asked, together)
                good = bool(steps) or self._quality(asked) >= _HOPELESS
                (hopeful if good else others).append(ranked)
        first = [(ranked, 1) for ranked in hopeful]
        return _in_turn([*first, *first, *((ranked, 1) for ranked in others)], limit)

    def _parts(self, request: str) -> list[list[str]]:
        """The ranking for a whole request, then those for the steps that it implies and for its parts."""
        whole = self._normal(_words(own_words(request)))
        lists = [_sorted(whole)]
        lists += [self._ranked(_words(step), whole) for step in implied_steps(request)]
        lists += [self._ranked(_words(part), {}) for part in clauses(request)]
        return lists

    def _ranked(self, words: Mapping[str, float], together: Mapping[str, float]) -> list[str]:
        own = self._normal(words)
        return _sorted({key: value + _TOGETHER * together.get(key, 0.0) for key, value in own.items()})

    def _normal(self, words: Mapping[str, float]) -> dict[str, float]:
        scores = self._scores(words)
        best = max(scores.values(), default=1.0)
        return {key: value / best for key, value in scores.items()}

    def _scores(self, words: Mapping[str, float]) -> dict[str, float]:
        covered: dict[str, float] = {}
        for word, weight in words.items():
            for stem, share in expanded(word).items():
                covered[stem] = max(covered.get(stem, 0.0), share * weight)
        scores = self._index.scores(words, expanded)
        return {key: value * (1 + _NAME * self._named(key, covered)) for key, value in scores.items()}

    def _named(self, key: str, covered: Mapping[str, float]) -> float:
        names = self._names[key]
        return sum(covered.get(stem, 0.0) for stem in names) / max(1, len(names))

    def _quality(self, words: Mapping[str, float]) -> float:
        """How far the best tool answers the words, against one that would answer all of them."""
        ideal = sum(weight * self._index.rarity(word) for word, weight in words.items())
        return max(self._scores(words).values(), default=0.0) / ideal if ideal else 0.0


def _words(text: str) -> dict[str, float]:
    return {word: PLEA if word in PLEAS else 1.0 for word in stems(text)}


def _sorted(scores: Mapping[str, float]) -> list[str]:
    return sorted(scores, key=lambda key: (-scores[key], key))


def _in_turn(lists: Sequence[tuple[Sequence[str], int]], limit: int) -> tuple[str, ...]:
    """From each list in turn its best few that were not taken before, then what is left of the first."""
    taken: dict[str, None] = {}
    for ranked, count in lists:
        fresh = [key for key in ranked if key not in taken][:count]
        taken.update(dict.fromkeys(fresh))
    for ranked, _ in lists:
        taken.update(dict.fromkeys(ranked[:limit]))
    return tuple(taken)[:limit]
