"""Which technologies a server is for, and how surely: a pure function of what a source says of it.

A name is chosen, a description is cheap: evidence counts by the field it stands in. A server that names
ten technologies is less surely for each of them than one that names a single one.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from warroom_mcp.knowledge import Role, Technology, known_technologies
from warroom_mcp.listing import Listing
from warroom_mcp.models import Candidate, PackageKind

# How surely a server is for a technology that stands in a field of it; what several fields say adds up.
STATED, PUBLISHER, NAME, TAG, DESCRIPTION, LATER, TOOL = 1.0, 0.35, 0.8, 0.4, 0.6, 0.45, 0.4
# What makes a field's claim weaker the more technologies it names.
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
# How far a phrase of `servers` stands for a task, and for a product.
_DOES, _NEIGHBOUR = 0.95, 0.85
# From here on what is said is an aside.
_FIRST_WORDS = 14
_TOKEN = re.compile(r"[A-Za-z]+[0-9]*|[0-9]+|[^\W\d_a-zA-Z]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_GITHUB = re.compile(r"https?://(?:www\.)?(?:github|gitlab)\.com/([^/\s]+)/([^/\s#?]+)", re.IGNORECASE)
# The project's own name says nothing of what a server is for.
_PROTOCOL = re.compile(r"model[- ]?context[- ]?protocol|\bmcp\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Words by which a server shows what it is for; `proper` when they have to be written as a name."""

    technology: str
    rest: tuple[str, ...]
    share: float
    proper: bool


def coverage(listing: Listing) -> dict[str, float]:
    """How surely the server is for each technology that it names, 0..1."""
    candidate = listing.candidate
    stated = [known for one in candidate.technologies for known in _canonical(one)]
    doubts: dict[str, float] = dict.fromkeys(stated, 1 - STATED)
    for field in _fields(listing):
        said: dict[str, float] = {}
        for strength, text, first in field:
            for technology, share in _named(text, first=first).items():
                said[technology] = max(said.get(technology, 0.0), strength * share)
        crowd = math.sqrt(max(1, sum(_is_product(name) for name in said)))
        for technology, sure in said.items():
            doubts[technology] = doubts.get(technology, 1.0) * (1 - sure / crowd)
    share = _READS_ABOUT if _is_reading(candidate) and not candidate.technologies else 1.0
    return {name: round(share * (1 - doubt), 3) for name, doubt in doubts.items()}


def _canonical(technology: str) -> tuple[str, ...]:
    """The known technologies that a name stands for, or the name itself."""
    if technology in _by_name():
        return (technology,)
    return tuple(_named(technology.replace("-", " "), first=False)) or (technology,)


# Servers that let one read about a technology do not show what is wrong with it.
_READS_ABOUT = 0.75
_READING = re.compile(
    r"\b(?:documentation|docs|knowledge base|tutorials?|courses?|learning|guidelines?|best practices"
    r"|cheat ?sheets?|prescriptive|community|forum|news|blogs?|source code|changelogs?|release notes"
    r"|boilerplates?|templates?|starting point)\b",
    re.IGNORECASE,
)


def _is_reading(candidate: Candidate) -> bool:
    """Whether its name or its first words say that it is for reading up on something."""
    first = " ".join(candidate.description.split()[:_FIRST_WORDS])
    return _READING.search(f"{candidate.name} {candidate.title} {first}".replace("-", " ")) is not None


def _fields(listing: Listing) -> Iterator[list[tuple[float, str, bool]]]:
    """The listing's texts by field, with what they count; the flag limits a text to its first words."""
    candidate = listing.candidate
    package = "" if candidate.package.kind is PackageKind.SOURCE else candidate.package.identifier
    names = (candidate.name, candidate.title, package)
    own = [_own_name(name) for name in dict.fromkeys(names) if name]
    yield [(PUBLISHER, text, False) for text in _publisher(candidate)]
    yield [
        *((NAME, _ASIDE.sub(" ", name), False) for name in own),
        *((TAG, aside, False) for name in own for aside in _ASIDE.findall(name)),
    ]
    yield [(TAG, _own_name(word), False) for word in listing.words]
    yield [(DESCRIPTION, candidate.description, True), (LATER, candidate.description, False)]
    yield [(TOOL, name, False) for name in ([tool.name for tool in listing.tools] or candidate.tools)]


def _publisher(candidate: Candidate) -> tuple[str, ...]:
    """The account that the repository belongs to, which a vendor has named after itself."""
    match = _GITHUB.match(candidate.repository or "")
    return (match[1],) if match else ()


# Where servers are hosted says nothing of what they are for.
_HOSTED = re.compile(
    r"\.(?:vercel\.app|netlify\.app|fly\.dev|onrender\.com|railway\.app|herokuapp\.com|workers\.dev|run\.app"
    r"|azurewebsites\.net|azurecontainerapps\.io|amazonaws\.com|cloudfront\.net|ngrok\S{0,20}|smithery\.ai)\b.*",
    re.IGNORECASE,
)
_HOSTS = re.compile(
    r"^(?:https?://)?(?:www\.)?(?:docker\.io|ghcr\.io|quay\.io|mcr\.microsoft\.com|github\.com|gitlab\.com)/"
)
_PLACES = ("io.github.", "com.github.")


def _own_name(name: str) -> str:
    """The name without where it is hosted: `io.github.x/y` is not about GitHub."""
    name = _HOSTS.sub("", name)
    if "://" in name:
        return _HOSTED.sub("", name.split("://", 1)[1])
    namespace, slash, own = name.rpartition("/")
    if namespace.startswith(_PLACES) or not namespace.startswith("@"):
        return own if slash else name
    return name


def _named(text: str, *, first: bool) -> dict[str, float]:
    """The technologies that a text names, the longest phrase at each place."""
    tokens = _TOKEN.findall(_CAMEL.sub(" ", _PROTOCOL.sub(" ", text)))
    words = [_singular(token.lower()) for token in tokens]
    book = _phrases()
    found: dict[str, float] = {}
    at, end = 0, min(len(words), _FIRST_WORDS) if first else len(words)
    while at < end:
        best = 0
        for phrase in book.get(words[at], ()):
            size = len(phrase.rest)
            if size < best or tuple(words[at + 1 : at + 1 + size]) != phrase.rest:
                continue
            if phrase.proper and not _is_proper(tokens, at, first=at == 0):
                continue
            best = size
            found[phrase.technology] = max(found.get(phrase.technology, 0.0), phrase.share)
        at += 1 + best
    return found


def _is_proper(tokens: list[str], at: int, *, first: bool) -> bool:
    """Whether an ordinary word is written as a name; a text of one or two words is a name itself."""
    return len(tokens) <= 4 or (tokens[at][0].isupper() and not first)


def _singular(word: str) -> str:
    return (
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
    )


def _is_product(technology: str) -> bool:
    known = _by_name().get(technology)
    return known is None or known.role is Role.PRODUCT


@cache
def _by_name() -> Mapping[str, Technology]:
    return {each.name: each for each in known_technologies()}


@cache
def _phrases() -> Mapping[str, tuple[_Phrase, ...]]:
    """All phrases by their first word, longer ones first."""
    book: dict[str, dict[tuple[str, tuple[str, ...]], _Phrase]] = {}
    for technology in known_technologies():
        for text, share, proper in _said_of(technology):
            words = [_singular(token.lower()) for token in _TOKEN.findall(text)]
            if words:
                phrase = _Phrase(technology.name, tuple(words[1:]), share, proper)
                book.setdefault(words[0], {}).setdefault((technology.name, phrase.rest), phrase)
    return {
        first: tuple(sorted(rest.values(), key=lambda each: -len(each.rest))) for first, rest in book.items()
    }


def _said_of(technology: Technology) -> Iterator[tuple[str, float, bool]]:
    ordinary = {word.lower() for word in technology.words}
    for text in (technology.name, *technology.names):
        yield text, 1.0, text.lower() in ordinary
    # What does a task is for it; what is a product's neighbour helps with it less than its own servers.
    share = _DOES if technology.role is Role.TASK else _NEIGHBOUR
    for text in technology.servers:
        yield text, share, False
    for text in technology.words:
        if text.lower() in (technology.name, technology.title.lower()):
            yield text, 0.9, True
