"""How well a candidate covers a need, 0..1: a pure function of their words.

The technology decides whether a candidate is in the list; capabilities and the problem's other words
decide among those that are. A word counts by where it stands: a name is chosen, a description is cheap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from warroom_mcp.catalog.vocabulary import names_of, phrase, words
from warroom_mcp.models import Candidate, Need, SearchPlan

# The least relevance that is kept: a technology that only the description mentions just passes.
THRESHOLD = 0.3
# How much of the relevance of a need comes from where.
_TECHNOLOGY, _CAPABILITY, _WORDS = 0.65, 0.2, 0.15
# How far a match counts by the field it stands in.
_IN_TECHNOLOGIES, _IN_NAME, _INSIDE_NAME, _IN_TITLE, _IN_TOOLS, _IN_DESCRIPTION = 1.0, 0.9, 0.7, 0.8, 0.6, 0.5
_MAX_WORDS = 12


@dataclass(frozen=True, slots=True)
class _Field:
    text: str
    words: frozenset[str]
    weight: float


def relevance(candidate: Candidate, need: Need | None, plan: SearchPlan) -> float:
    """How well the candidate covers the need, or the plan's words when there is no need."""
    fields = _fields(candidate)
    asked = _asked(plan)
    if need is None:
        return _overlap(asked, fields)
    technology = _technology(candidate, need.technology, fields)
    if technology == 0.0:
        return 0.0
    capability = _capability(candidate, need.capabilities, fields)
    text = _overlap(asked - words([need.technology]), fields)
    return min(1.0, _TECHNOLOGY * technology + _CAPABILITY * capability + _WORDS * text)


def _fields(candidate: Candidate) -> tuple[_Field, ...]:
    texts = (
        (" ".join(candidate.technologies), _IN_TECHNOLOGIES),
        (f"{_own_name(candidate.name)} {_own_name(candidate.package.identifier)}", _IN_NAME),
        (candidate.title, _IN_TITLE),
        (" ".join((*candidate.tools, *candidate.capabilities)), _IN_TOOLS),
        (candidate.description, _IN_DESCRIPTION),
    )
    return tuple(_Field(phrase(text), words([text]), weight) for text, weight in texts if text)


def _own_name(name: str) -> str:
    """The name without where it is hosted: `io.github.x/y` is not about GitHub."""
    return name.removeprefix("https://").removeprefix("io.github.").removeprefix("docker.io/")


def _technology(candidate: Candidate, technology: str, fields: Sequence[_Field]) -> float:
    names = names_of(technology)
    own = {phrase(one) for one in candidate.technologies}
    if own.intersection(names):
        return _IN_TECHNOLOGIES
    best = 0.0
    for name in names:
        best = max([best, *(field.weight for field in fields if _holds(field.text, name))])
        compact = name.replace(" ", "")
        inside = compact in phrase(_own_name(candidate.name)).replace(" ", "")
        if len(compact) >= 5 and inside:
            best = max(best, _INSIDE_NAME)
    return best


def _holds(text: str, name: str) -> bool:
    return f" {name} " in f" {text} "


def _capability(candidate: Candidate, wanted: Sequence[str], fields: Sequence[_Field]) -> float:
    """The share of the wanted capabilities that is covered; one half when nothing particular is wanted."""
    if not wanted:
        return 0.5
    own = {phrase(one) for one in candidate.capabilities}
    covered = [1.0 if phrase(one) in own else _overlap(words([one]), fields) for one in wanted]
    return sum(covered) / len(covered)


def _asked(plan: SearchPlan) -> frozenset[str]:
    """The plan's words, a bounded number of them, keywords before those of free text."""
    picked: dict[str, None] = {}
    for text in (*plan.keywords, *plan.queries):
        picked.update(dict.fromkeys(sorted(words([text]))))
    return frozenset(list(picked)[:_MAX_WORDS])


def _overlap(asked: Iterable[str], fields: Sequence[_Field]) -> float:
    """The share of the words that stand somewhere, each counted by its best field."""
    wanted = list(asked)
    if not wanted:
        return 0.0
    return sum(_best(word, fields) for word in wanted) / len(wanted)


def _best(word: str, fields: Sequence[_Field]) -> float:
    return max((field.weight for field in fields if word in field.words), default=0.0)
