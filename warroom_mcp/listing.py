"""How one source lists one server, and what is asked of an index of listings: plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from warroom_mcp.models import Candidate

if TYPE_CHECKING:
    import msgspec

RELEVANCE, STANDING = 0.92, 0.08
"""Of what orders candidates, so much is how well one fits, and so much how it stands by itself."""


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as a catalog tells of it, before anybody has started its server."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """One server as one source lists it.

    `id` is its id in that source. `words` are its other names, tags and categories there.
    """

    id: str
    candidate: Candidate
    tools: tuple[ListedTool, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Indexed:
    """A listing with what it is found by.

    `covers` says how surely (0..1) it is for a technology; `weights` how much (0..1) each stem of its texts
    says of it; `merit` (0..1) is its standing without regard to any need.
    """

    listing: Listing
    covers: Mapping[str, float]
    weights: Mapping[str, float]
    merit: float


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """What an index is asked: technologies, words (stems with those that stand for them), and how many."""

    technologies: Sequence[str] = ()
    words: Sequence[Mapping[str, float]] = ()
    limit: int = 40


@dataclass(frozen=True, slots=True)
class IndexHit:
    """A listing that was found: for which technologies and how surely, or by its words.

    `record` is its candidate as JSON: most hits are only compared, and never read. `starts` is false
    when nothing shows how it could be started.
    """

    row: int
    source: str
    id: str
    record: bytes
    merit: float
    deprecated: bool = False
    starts: bool = True
    covers: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)

    def candidate(self) -> Candidate:
        """The candidate, read anew at each call."""
        return _decoder().decode(self.record)


@cache
def _decoder() -> "msgspec.json.Decoder[Candidate]":
    import msgspec

    return msgspec.json.Decoder(Candidate)


@dataclass(frozen=True, slots=True)
class IndexAnswer:
    """What an index found, each once, and what the words are worth in it.

    `matching` are the rows that share words with what was asked for; `rarity` is the inverse document
    frequency of each stem.
    """

    hits: Sequence[IndexHit] = ()
    matching: Sequence[int] = ()
    rarity: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What an index holds of one source: how many listings, since when, and how far a walk has come.

    `synced` is when the last whole walk or increment ended; `mark` tells what was seen then (the newest
    change of a registry, the state of a file); `walk` is the number of a walk that was cut off, and
    `cursor` where it goes on. `failure` is why the last one did not end.
    """

    name: str
    listings: int = 0
    synced: datetime | None = None
    mark: str | None = None
    cursor: str | None = None
    walk: int = 0
    failure: str | None = None
