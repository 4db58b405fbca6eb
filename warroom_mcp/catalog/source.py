"""What a catalog source is: something that answers a query with candidates, or says why it cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from warroom_mcp.models import Candidate


@dataclass(frozen=True, slots=True)
class Query:
    """What a source is asked.

    `technologies` are canonical names from the problem's needs; `keywords` are single words;
    `texts` are free-text searches, best first. `limit` bounds the answer.
    """

    technologies: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A source's answer; `age` is None when fresh, else the seconds since it was fetched.

    `reason` says why a stale answer is served.
    """

    candidates: Sequence[Candidate]
    age: float | None = None
    reason: str | None = None


class Source(Protocol):
    """One place that a catalog is read from."""

    name: str

    async def search(self, query: Query) -> Found:
        """Candidates for a query, unranked.

        Raises:
            SourceUnavailable: the place gave no usable answer and nothing is cached.
        """
        ...

    async def lookup(self, candidate_id: str) -> Candidate | None:
        """The candidate of that id, or None when this source does not know it.

        Raises:
            SourceUnavailable: as for `search`.
        """
        ...
