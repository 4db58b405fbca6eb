"""Ranks what an index found: by the technologies of the needs, and by the words of a request.

The rule. A hit's relevance for a need is how surely it covers the need's technology, or a share of how
surely it covers one that helps as well. Its relevance for a request is the share of the request's words,
each weighed by its rarity, that its texts answer. The order is that of `standing`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from warroom_mcp.knowledge import known_technologies
from warroom_mcp.lexicon.requests import implied_steps, own_words
from warroom_mcp.lexicon.stems import PLEA, PLEAS, stems
from warroom_mcp.lexicon.synonyms import expanded
from warroom_mcp.listing import RELEVANCE, STANDING, IndexAnswer, IndexHit, IndexQuery
from warroom_mcp.models import Need

# Each technology further down the line of those that help is this much less near.
NEARNESS = 0.85
_MAX_WORDS = 40
# How much of a need's relevance a request's own words decide.
_WORDS = 0.2
# How far a step that a file implies adds to what the request itself asks for.
_STEP = 0.3


@dataclass(frozen=True, slots=True)
class Ranked:
    """A hit with its relevance (0..1) for the need or request that it was ranked for."""

    hit: IndexHit
    relevance: float
    need: str | None = None

    @property
    def order(self) -> tuple[bool, float, str]:
        """The sort key, the best first."""
        worth = RELEVANCE * self.relevance + STANDING * self.hit.merit
        return self.hit.deprecated, -round(worth, 6), self.hit.id


@cache
def helpers(technology: str) -> Mapping[str, float]:
    """The technologies whose servers help with one, itself first, each with how near it is."""
    found = {technology: 1.0}
    known = next((each for each in known_technologies() if each.name == technology), None)
    for distance, name in enumerate(known.helped_by if known else (), start=1):
        found.setdefault(name, NEARNESS**distance)
    return found


def words_of(request: str) -> dict[str, float]:
    """The words of a request, each with its weight: what everybody asks with says little."""
    found = list(dict.fromkeys(stems(own_words(request))))[:_MAX_WORDS]
    return {word: PLEA if word in PLEAS else 1.0 for word in found}


def index_query(needs: Sequence[Need], requests: Iterable[str], *, limit: int) -> IndexQuery:
    """What an index is asked for some needs and requests."""
    technologies = dict.fromkeys(name for need in needs for name in helpers(need.technology))
    asked = [text for request in requests for text in (request, *implied_steps(request))]
    words = dict.fromkeys(word for text in asked for word in words_of(text))
    return IndexQuery(tuple(technologies), tuple(expanded(word) for word in words), limit)


def rank_for_need(answer: IndexAnswer, need: Need, worded: Sequence[Ranked] = ()) -> list[Ranked]:
    """The hits that cover a need, best first; a request's words decide among those that cover it alike."""
    near = helpers(need.technology)
    best = max((each.relevance for each in worded), default=0.0)
    words = {each.hit.row: each.relevance / best for each in worded} if best else {}
    found = []
    for hit in answer.hits:
        if not (covers := hit.covers):
            continue
        sure = max([share * covers[name] for name, share in near.items() if name in covers], default=0.0)
        if sure > 0:
            own = words.get(hit.row, 0.0) if need.technology in covers else 0.0
            relevance = sure * (1 - _WORDS + _WORDS * own) if words else sure
            found.append(Ranked(hit, relevance, need.technology))
    return sorted(found, key=lambda ranked: ranked.order)


def rank_for_request(answer: IndexAnswer, request: str) -> list[Ranked]:
    """The hits that share words with a request, best first; steps that its files imply add a share."""
    rows = set(answer.matching)
    hits = [hit for hit in answer.hits if hit.row in rows]
    scores = _scores(hits, words_of(request), answer)
    for step in implied_steps(request):
        for row, score in _scores(hits, words_of(step), answer).items():
            scores[row] = scores.get(row, 0.0) + _STEP * score
    ranked = [Ranked(hit, min(1.0, scores[hit.row])) for hit in hits if scores.get(hit.row, 0.0) > 0]
    return sorted(ranked, key=lambda each: each.order)


def _scores(hits: Iterable[IndexHit], words: Mapping[str, float], answer: IndexAnswer) -> dict[int, float]:
    """The share of the words, each weighed by its rarity, that each hit answers."""
    ideal = sum(weight * answer.rarity.get(word, 0.0) for word, weight in words.items())
    if not ideal:
        return {}
    wanted: dict[str, list[tuple[str, float]]] = {}
    for word, weight in words.items():
        for stem, share in expanded(word).items():
            wanted.setdefault(stem, []).append((word, weight * share * answer.rarity.get(stem, 0.0)))
    return {hit.row: _score(hit.weights, wanted) / ideal for hit in hits}


def _score(weights: Mapping[str, float], wanted: Mapping[str, Sequence[tuple[str, float]]]) -> float:
    """What a listing says of the words, each counted by the best that stands for it."""
    best: dict[str, float] = {}
    for stem in weights.keys() & wanted.keys():
        weight = weights[stem]
        for word, worth in wanted[stem]:
            best[word] = max(best.get(word, 0.0), worth * weight)
    return sum(best.values())
