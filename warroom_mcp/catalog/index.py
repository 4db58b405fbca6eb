"""What the catalog needs from an index of listings, and how a listing becomes one of its entries."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Protocol

from warroom_mcp.catalog.coverage import coverage
from warroom_mcp.catalog.standing import standing
from warroom_mcp.lexicon.stems import stems
from warroom_mcp.listing import IndexAnswer, Indexed, IndexQuery, ListedTool, Listing, SourceStatus
from warroom_mcp.models import Candidate

# Words that nearly every server has, in other forms.
_EVERYDAY = frozenset(
    stems("mcp server model context protocol modelcontextprotocol ai llm claude assistant agent")
)


class CatalogIndex(Protocol):
    """Keeps the listings of all sources and finds them by technology and by words.

    Every method raises `StateError` when the index cannot be reached, read or written.
    """

    async def put(
        self,
        source: str,
        listings: Sequence[Indexed],
        *,
        removed: Sequence[str] = (),
        walk: int = 0,
        status: SourceStatus | None = None,
    ) -> None:
        """Keep listings of a source in the place of those of the same ids, and forget the removed ones.

        `walk` marks who saw them; `status` is kept with them, or nothing of it all.
        """
        ...

    async def drop_unseen(self, source: str, walk: int) -> int:
        """Forget what a whole walk through a source has not seen; how many there were."""
        ...

    async def tell(self, status: SourceStatus) -> None:
        """Keep how a source stands."""
        ...

    async def forget(self, source: str) -> None:
        """Forget a source with all its listings."""
        ...

    async def sources(self) -> tuple[SourceStatus, ...]:
        """How every source stands, by name."""
        ...

    async def search(self, query: IndexQuery) -> IndexAnswer:
        """What covers the technologies, the worthiest first, and what shares rare words."""
        ...

    async def lookup(self, candidate_id: str) -> tuple[Candidate, ...]:
        """The candidates of that id, one for each source that lists it."""
        ...

    async def listings(self, source: str, after: str = "", limit: int = 1000) -> tuple[Listing, ...]:
        """The listings of a source in the order of their ids, from the one behind `after`."""
        ...

    async def tools(self, candidate_ids: Sequence[str]) -> Mapping[str, tuple[ListedTool, ...]]:
        """The tools that the sources tell of some candidates."""
        ...

    async def aclose(self) -> None:
        """Let go of everything."""
        ...


def indexed(listing: Listing, today: date) -> Indexed:
    """The listing with what it is found by."""
    candidate = listing.candidate
    return Indexed(listing, coverage(listing), weights(listing), standing(candidate, today=today))


# What a word counts in the name, the description, the names of tools, what is told of them, and the tags;
# how far (0..1) a text's length is set against it; and how many stems such a text has.
_NAME, _ABOUT, _TOOLS = (2.0, 0.3, 6), (1.5, 0.6, 17), (1.5, 0.4, 4)
_TOLD, _TAGS = (1.0, 0.4, 16), (0.5, 0.4, 4)
_SATURATION = 1.2


def weights(listing: Listing) -> dict[str, float]:
    """How much each stem of its texts says of a listing, 0..1.

    BM25F (see `lexicon.bm25`) with fixed usual lengths in the place of the mean ones, so that it depends
    on nothing but the listing; the rarity of a stem is for the search to add.
    """
    candidate = listing.candidate
    own = candidate.name.rsplit("/", 1)[-1]
    tools = [tool.name for tool in listing.tools] or candidate.tools
    texts = (
        (f"{own} {candidate.title} {' '.join(listing.words[:4])}", _NAME),
        (candidate.description, _ABOUT),
        (" ".join(tools), _TOOLS),
        (" ".join(tool.description for tool in listing.tools), _TOLD),
        (" ".join((*listing.words, *candidate.technologies, *candidate.capabilities)), _TAGS),
    )
    total: dict[str, float] = {}
    for text, (weight, share, usual) in texts:
        words = [word for word in stems(text) if word not in _EVERYDAY]
        unit = weight / (1 - share + share * len(words) / usual)
        for word in words:
            total[word] = total.get(word, 0.0) + unit
    return {word: round(value / (_SATURATION + value), 3) for word, value in total.items()}
