"""Brings whole registries into the index: one walk through all pages, later only what changed.

A walk that was cut off goes on where it was; one whose cursor the registry no longer knows begins anew,
and so do changes. What a whole walk has not seen is gone; between walks the registry's tombstones say
what is. Two syncs of one registry at once cost each other nothing but time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import anyio
import anyio.to_thread

from warroom_mcp.addresses import is_loopback, split_url
from warroom_mcp.catalog import wire
from warroom_mcp.catalog.entry import read_entry
from warroom_mcp.catalog.index import CatalogIndex, indexed
from warroom_mcp.errors import SourceUnavailable, WarRoomError
from warroom_mcp.listing import Indexed, Listing, SourceStatus
from warroom_mcp.version import __version__

if TYPE_CHECKING:
    from warroom_mcp.catalog.web import Web

PAGE = 100
# Some registries give all they have as one page, whatever they are asked.
_MOST_A_PAGE = 50_000
# A registry with more pages than this is broken or hostile.
MAX_PAGES = 5_000
# Clocks differ, and a registry may show a change later than it dates it.
OVERLAP = timedelta(minutes=10)
# Older than any registry: what is dated before is dated wrongly.
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
# How a registry says that it does not know a cursor.
_NO_CURSOR = frozenset(f"answered {status}" for status in (400, 404, 410, 422))
# So long a page may take, retries and the patience that a registry asks for included.
PAGE_SECONDS = 90.0
_META = "io.modelcontextprotocol.registry/official"

Progress = Callable[[str, int], None]
Token = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry to copy: its name here, its base URL, and the token that it wants, if any.

    A token may be a function that gives it, or raises: that is then a failure of this registry alone.
    """

    name: str
    url: str
    token: str | Token | None = None


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync of one source did: what it saw, what is gone, and whether it was a whole walk.

    `failure` is why it did not come to its end; what it saw until then is kept.
    """

    name: str
    seen: int = 0
    removed: int = 0
    pages: int = 0
    whole: bool = True
    seconds: float = 0.0
    failure: str | None = None


class Sync:
    """Copies registries into an index."""

    def __init__(self, web: "Web", index: CatalogIndex, clock: Callable[[], datetime]) -> None:
        self._web = web
        self._index = index
        self._clock = clock

    async def run(
        self, registry: Registry, *, whole: bool = False, on_progress: Progress = lambda name, seen: None
    ) -> Synced:
        """Bring one registry up to date; `whole` walks through all of it, whatever is known.

        Never raises for the registry: the outcome says why it was cut off.
        """
        started = anyio.current_time()
        told = {status.name: status for status in await self._index.sources()}
        status = told.get(registry.name, SourceStatus(registry.name))
        now = self._clock()
        walk = _Walk(registry, _resumed(status, now, whole=whole), now)
        failure: str | None = None
        try:
            walk.token = _token(registry)
            await self._walk(walk, on_progress)
        except SourceUnavailable as error:
            failure = str(error.details.get("reason") or error.message)
            await self._index.tell(replace(walk.status, failure=failure))
        seconds = anyio.current_time() - started
        return Synced(registry.name, walk.seen, walk.removed, walk.pages, walk.whole, seconds, failure)

    async def _walk(self, walk: "_Walk", on_progress: Progress) -> None:
        last = False
        while not last:
            value = await self._page(walk)
            listings, removed = await anyio.to_thread.run_sync(walk.read, value, self._clock())
            walk.turn(value, len(listings), len(removed))
            last = walk.status.cursor is None
            await self._index.put(
                walk.registry.name,
                listings,
                removed=removed,
                walk=walk.number,
                status=None if last else walk.status,
            )
            on_progress(walk.registry.name, walk.seen)
        if walk.whole:
            walk.removed += await self._index.drop_unseen(walk.registry.name, walk.number)
        await self._index.tell(walk.ended(self._clock()))

    async def _page(self, walk: "_Walk") -> object:
        try:
            return await self._fetch(walk)
        except SourceUnavailable as error:
            # A cursor lasts for one walk: a registry may have forgotten that of a walk from yesterday.
            if walk.pages or not walk.status.cursor or error.details.get("reason") not in _NO_CURSOR:
                raise
            walk.begin_anew(self._clock())
            return await self._fetch(walk)

    async def _fetch(self, walk: "_Walk") -> object:
        name = walk.registry.name
        service = "the MCP registry" if name == "registry" else f"the registry {name}"
        return await self._web.fetch(service, walk.url(), token=walk.token, seconds=PAGE_SECONDS)


def _token(registry: Registry) -> str | None:
    """The token of a registry.

    Raises:
        SourceUnavailable: there should be one, and there is none.
    """
    if registry.token is None or isinstance(registry.token, str):
        return registry.token
    try:
        return registry.token()
    except WarRoomError as error:
        raise SourceUnavailable(
            f"The token of the registry {registry.name} is missing: {error.message}",
            hint=error.hint,
            retryable=False,
            details={"reason": f"has no token: {error.message.rstrip('.')}"},
        ) from error


def _resumed(status: SourceStatus, now: datetime, *, whole: bool) -> SourceStatus:
    """The status to go on from: the walk that was cut off, an increment, or a new whole walk."""
    ours = _is_ours(status.mark)
    if status.walk and ours and not whole:
        return status
    if status.synced is None or whole or not ours:
        # The mark tells from here on which version walks.
        mark = status.mark if ours else f"{__version__} "
        return replace(status, walk=_number(now), cursor=None, mark=mark)
    return replace(status, walk=0, cursor=None)


def _number(now: datetime) -> int:
    """The number of a walk that begins now: that of a later one is larger."""
    return int(now.timestamp() * 1_000_000)


def _begun(number: int) -> datetime:
    return datetime.fromtimestamp(number / 1_000_000, UTC)


def _is_ours(mark: str | None) -> bool:
    """Whether a mark was made by this version: another one may index the same entry otherwise."""
    return mark is not None and mark.startswith(f"{__version__} ")


class _Walk:
    """Where a walk is, and what it has seen."""

    def __init__(self, registry: Registry, status: SourceStatus, now: datetime) -> None:
        self.registry = registry
        self.token: str | None = None
        self.status = status
        self.whole = status.walk != 0
        self.number = status.walk
        self._began = _begun(status.walk) if self.whole else now
        self.seen = self.removed = self.pages = 0
        self._cursors: set[str] = set()
        self._newest = (status.mark or "").partition(" ")[2]
        self._since = self._newest
        parts = split_url(registry.url)
        self._loopback = parts is not None and is_loopback(parts.hostname or "")

    def begin_anew(self, now: datetime) -> None:
        """Forget the cursor and walk through all of it."""
        self.whole, self.number, self._began = True, _number(now), now
        self.status = replace(self.status, walk=self.number, cursor=None)

    def url(self) -> str:
        """The address of the page to read now."""
        asked = {"limit": str(PAGE), "version": "latest"}
        if not self.whole and (since := wire.moment(self._since)):
            asked["updated_since"] = (max(since, _FIRST) - OVERLAP).isoformat().replace("+00:00", "Z")
        if self.status.cursor:
            asked["cursor"] = self.status.cursor
        return f"{self.registry.url.rstrip('/')}/v0.1/servers?{urlencode(asked)}"

    def read(self, value: object, now: datetime) -> tuple[Sequence[Indexed], Sequence[str]]:
        """The listings of a page, and the names of those that are gone."""
        listings: list[Indexed] = []
        gone: list[str] = []
        for item in wire.listing(wire.field(value, "servers"), _MOST_A_PAGE):
            meta = wire.field(wire.field(item, "_meta"), _META)
            if wire.field(meta, "isLatest") is False:
                continue
            self._note(wire.field(meta, "updatedAt"))
            candidates = read_entry(item, loopback=self._loopback, source=self.registry.name)
            name = wire.field(wire.field(item, "server") or item, "name")
            if candidates:
                first = candidates[0]
                listings.append(indexed(Listing(first.name, first), now.date()))
            elif isinstance(name, str):
                gone.append(name[:200])
        return listings, gone

    def _note(self, updated: object) -> None:
        moment, known = wire.moment(updated), wire.moment(self._newest)
        if moment is not None and (known is None or moment > known):
            self._newest = moment.isoformat()

    def turn(self, value: object, seen: int, removed: int) -> None:
        """Go on to the page behind this one.

        Raises:
            SourceUnavailable: it names a page that was read before, or there is no end to the pages.
        """
        self.pages += 1
        self.seen += seen
        self.removed += removed
        following = wire.field(wire.field(value, "metadata"), "nextCursor")
        cursor = following if isinstance(following, str) and 0 < len(following) <= 2000 else None
        if cursor in self._cursors:
            raise SourceUnavailable(
                f"The registry {self.registry.name} turns in circles.", details={"reason": "turns in circles"}
            )
        if cursor and self.pages >= MAX_PAGES:
            # The next sync begins from the start: going on would fill the disk a piece at a time.
            self.status = replace(self.status, cursor=None, walk=0)
            raise SourceUnavailable(
                f"The registry {self.registry.name} has no end.",
                details={"reason": f"has more than {MAX_PAGES:,} pages"},
            )
        if cursor:
            self._cursors.add(cursor)
        self.status = replace(self.status, cursor=cursor, walk=self.number, failure=None)

    def ended(self, now: datetime) -> SourceStatus:
        """How the source stands after the walk."""
        # Only what the registry itself has dated can be asked for again: its clock is not ours. But what
        # changed behind the walk's back is later than its begin, however late the last page was read.
        newest = wire.moment(self._newest)
        mark = f"{__version__} {min(newest, self._began).isoformat()}" if newest else None
        return SourceStatus(self.registry.name, synced=now, mark=mark)
