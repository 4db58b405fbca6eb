"""The catalog itself: what its index holds, and where that is not enough, what live sources answer.

A source that is slow, down or broken is named in the answer with its reason; it never costs the others.
What a live source has answered is kept in the index, so that it is found without it the next time.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio

from warroom_mcp.catalog.cache import AnswerCache
from warroom_mcp.catalog.choosing import choose, covered, in_turns, is_enough, tells, united
from warroom_mcp.catalog.claims import confirmed
from warroom_mcp.catalog.copies import REGISTRY, Copies
from warroom_mcp.catalog.enrich import PackageRegistry, enrich, weekly_downloads
from warroom_mcp.catalog.facts import pinned
from warroom_mcp.catalog.identity import Identity, read_id
from warroom_mcp.catalog.index import CatalogIndex, indexed
from warroom_mcp.catalog.local import Ranked, index_query, rank_for_need
from warroom_mcp.catalog.merge import merge
from warroom_mcp.catalog.origin import confirm
from warroom_mcp.catalog.resolve import check, late, served, within
from warroom_mcp.catalog.scoring import score
from warroom_mcp.catalog.source import Found, Query, Source
from warroom_mcp.catalog.stock import Stock
from warroom_mcp.errors import NotConfirmed, SourceUnavailable, UnknownCandidate
from warroom_mcp.listing import ListedTool, Listing, SourceStatus
from warroom_mcp.models import (
    Candidate,
    FindResult,
    Need,
    PackageKind,
    SearchPlan,
    SourceReport,
    SourceState,
)

if TYPE_CHECKING:
    import httpx2

    from warroom_mcp.catalog.sources.registry import RegistrySource
    from warroom_mcp.catalog.web import Web
    from warroom_mcp.settings import Settings

_logger = logging.getLogger(__name__)

# Of the deadline, sources may take so much; the rest is for facts on the best candidates.
_SOURCES_SHARE = 0.75
# So many of the best candidates are asked about at their package registries.
_ENRICHED = 8
# Candidates of earlier answers that a later look-up finds again, with the parameters of their need.
_REMEMBERED = 1000
_MAX_LIMIT = 1000
# So many listings of each need are looked at, at least.
_DEPTH = 40


@dataclass(frozen=True, slots=True)
class _Places:
    """Everything that answers, made at first use because the network client is slow to import."""

    web: "Web"
    searched: tuple[Source, ...]
    registry: "RegistrySource"
    packages: dict[PackageKind, PackageRegistry]
    package_sources: tuple[Source, ...]


class Catalog:
    """Finds, looks up and resolves MCP servers.

    `sources` replaces the live ones (registry, npm) in searches and look-ups; facts of packages still
    come from the npm registry and PyPI of the settings. Without `curated` the servers that come with War
    Room are left out. `transport` replaces the network. `secret`
    gives the value of a reference such as `env:NAME`.
    """

    def __init__(
        self,
        settings: "Settings",
        cache: AnswerCache,
        index: CatalogIndex,
        *,
        sources: Sequence[Source] | None = None,
        curated: bool = True,
        transport: "httpx2.AsyncBaseTransport | None" = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        secret: Callable[[str], str] | None = None,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._index = index
        self._given = sources
        self._transport = transport
        self._clock = clock
        self._made: _Places | None = None
        self._seen: OrderedDict[str, Candidate] = OrderedDict()
        self.stock = Stock(settings, index, clock, curated=curated)
        self.copies = Copies(settings, index, clock, lambda: self._places().web, secret)

    async def aclose(self) -> None:
        """Close the connections; the catalog opens new ones when it is used again."""
        made, self._made = self._made, None
        if made is not None:
            await made.web.aclose()
        await self._index.aclose()

    # --- find ------------------------------------------------------------------------------------

    async def find(self, needs: Sequence[Need], plan: SearchPlan, *, limit: int = 5) -> FindResult:
        """The best candidates for the needs and the plan's requests, best first.

        Live sources are asked when the index alone is not enough. Never raises for a source: its report
        says what became of it. Takes at most `settings.find_deadline` seconds.
        """
        limit = min(max(0, limit), _MAX_LIMIT)
        started = anyio.current_time()
        reports = await self.stock.fill()
        lists = await self._ranked(needs, plan, limit)
        if not self._settings.offline and not is_enough(lists, needs):
            reports += await self._ask_live(needs, plan, self._settings.find_deadline * _SOURCES_SHARE)
            lists = await self._ranked(needs, plan, limit)
        spare = 0 if self._settings.offline else _ENRICHED
        chosen = choose(lists, needs, limit + spare, today=self._clock().date())
        left = self._settings.find_deadline - (anyio.current_time() - started)
        chosen = await self._with_facts(chosen, limit, seconds=left)
        self._remember(chosen)
        return FindResult(chosen, tuple(reports), *covered(chosen, lists, needs))

    async def _ranked(
        self, needs: Sequence[Need], plan: SearchPlan, limit: int
    ) -> dict[str | None, list[Ranked]]:
        """What the index holds for each need, the surest first, and under None for the plan's requests."""
        ordered = sorted(needs, key=lambda need: -need.confidence)
        query = index_query(ordered, plan.requests, limit=max(_DEPTH, limit + _ENRICHED))
        answer = await self._index.search(query)
        worded = united(answer, plan.requests)
        lists: dict[str | None, list[Ranked]] = {
            need.technology: rank_for_need(answer, need, worded) for need in ordered
        }
        if tells(worded, ordered):
            lists[None] = worded
        return lists

    async def _with_facts(
        self,
        chosen: tuple[Candidate, ...],
        limit: int,
        *,
        seconds: float,
    ) -> tuple[Candidate, ...]:
        """The candidates with what package registries say of the best, which may change their order."""
        if self._settings.offline:
            return chosen[:limit]
        today = self._clock().date()
        best = await enrich(chosen[:_ENRICHED], self._places().packages, seconds=seconds)
        return in_turns(best, chosen[_ENRICHED:], today=today)[:limit]

    async def _ask_live(self, needs: Sequence[Need], plan: SearchPlan, seconds: float) -> list[SourceReport]:
        """Ask the live sources and keep what they answer in the index."""
        today = self._clock().date()
        reports: list[SourceReport] = []
        for source, (candidates, report) in await self._search(_query(needs, plan), seconds):
            reports.append(report)
            listings = _listings(source.name, candidates)
            if listings:
                await self._index.put(source.name, [indexed(each, today) for each in listings])
        return reports

    async def _search(
        self, query: Query, seconds: float
    ) -> list[tuple[Source, tuple[Sequence[Candidate], SourceReport]]]:
        sources = self._places().searched
        answers: dict[int, tuple[Sequence[Candidate], SourceReport]] = {}

        async def ask(index: int, source: Source) -> None:
            answers[index] = await _ask(source, query, seconds)

        async with anyio.create_task_group() as group:
            for index, source in enumerate(sources):
                group.start_soon(ask, index, source)
        return [(source, answers[index]) for index, source in enumerate(sources)]

    async def tools_of(self, candidates: Sequence[Candidate]) -> Mapping[str, tuple[ListedTool, ...]]:
        """The tools that catalogs tell of some candidates, by candidate id."""
        return await self._index.tools([candidate.id for candidate in candidates])

    async def sources(self) -> tuple[SourceStatus, ...]:
        """What the index holds of each source."""
        await self.stock.fill()
        return await self._index.sources()

    # --- lookup ----------------------------------------------------------------------------------

    async def lookup(self, candidate_id: str) -> Candidate:
        """The candidate of that id, as the last `find` gave it or as the sources know it.

        Raises:
            UnknownCandidate: it is no id, or no source knows it.
            SourceUnavailable: no source knows it, but one that might was not available.
        """
        identity = read_id(candidate_id)
        if (seen := self._seen.get(str(identity))) is not None:
            return seen
        found, failures = await self._look_up(identity)
        found += await self._index.lookup(str(identity))
        if not found:
            raise _nobody(identity, failures)
        merged = merge(found)
        candidate = next((one for one in merged if one.id == str(identity)), merged[0])
        candidate = replace(candidate, score=score(candidate, today=self._clock().date()))
        self._remember((candidate,))
        return candidate

    async def _look_up(self, identity: Identity) -> tuple[list[Candidate], dict[str, SourceUnavailable]]:
        await self.stock.fill()
        places = self._places()
        sources = {source.name: source for source in (*places.package_sources, *places.searched)}
        found: list[Candidate] = []
        failures: dict[str, SourceUnavailable] = {}

        async def ask(source: Source) -> None:
            try:
                with anyio.fail_after(self._settings.find_deadline):
                    candidate = await source.lookup(str(identity))
            except SourceUnavailable as error:
                failures[source.name] = error
            except TimeoutError:
                failures[source.name] = late(source.name, self._settings.find_deadline)
            else:
                found.extend([candidate] if candidate is not None else [])

        async with anyio.create_task_group() as group:
            for source in sources.values():
                group.start_soon(ask, source)
        return found, failures

    def _remember(self, candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            self._seen[candidate.id] = candidate
            self._seen.move_to_end(candidate.id)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    # --- resolve ---------------------------------------------------------------------------------

    async def resolve(self, candidate: Candidate) -> Candidate:
        """The candidate with the exact version, integrity and facts that its package registry serves.

        A listed version is kept where it is served, else the latest is taken; one that came with an
        integrity is never replaced. Images and remote servers come back as they are: their registries
        are not asked. A PyPI package without exactly one wheel for all platforms has no integrity.

        Raises:
            NotConfirmed: the package does not show that it is the listed server, or there is no package.
            PackageNotFound: the package registry does not serve it.
            NoExecutable: the package offers nothing to start.
            IntegrityMismatch: the version is served with another integrity than the candidate has.
            SourceUnavailable: the package registry gave no usable answer.
        """
        registry = self._places().packages.get(candidate.package.kind)
        if registry is None:
            _refuse_unconfirmed(candidate)
            return candidate
        seconds = self._settings.find_deadline
        facts = await within(seconds, registry.name, served(candidate, registry))
        candidate = confirmed(candidate, facts)
        _refuse_unconfirmed(candidate)
        check(candidate, facts)
        resolved = pinned(candidate, facts)
        entry, weekly = await self._second_opinion(resolved, registry, facts.mcp_name)
        resolved = confirm(replace(resolved, weekly_downloads=weekly), facts.mcp_name, entry)
        return replace(resolved, score=score(resolved, today=self._clock().date()))

    async def _second_opinion(
        self, candidate: Candidate, registry: PackageRegistry, mcp_name: str | None
    ) -> tuple[Candidate | None, int | None]:
        """The registry entry that the package names, and its downloads; neither holds the answer up."""
        entries: list[Candidate | None] = []
        counts: list[int | None] = []

        async def ask_entry(name: str) -> None:
            try:
                entries.append(await self._places().registry.entry(name, candidate.id))
            except SourceUnavailable as error:
                _logger.info("the ownership of %s was not checked: %s", candidate.id, error.message)

        async def ask_count() -> None:
            counts.append(await weekly_downloads(candidate, registry))

        with anyio.move_on_after(self._settings.find_deadline / 2):
            async with anyio.create_task_group() as group:
                if mcp_name is not None:
                    group.start_soon(ask_entry, mcp_name)
                group.start_soon(ask_count)
        return next(iter(entries), None), next(iter(counts), candidate.weekly_downloads)

    # --- places ----------------------------------------------------------------------------------

    def _places(self) -> _Places:
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> _Places:
        from warroom_mcp.catalog.sources.npm import NpmSource
        from warroom_mcp.catalog.sources.pypi import PypiSource
        from warroom_mcp.catalog.sources.registry import RegistrySource
        from warroom_mcp.catalog.web import Web

        web = Web(self._settings, self._cache, transport=self._transport, clock=self._clock)
        npm, pypi = NpmSource(self._settings, web), PypiSource(self._settings, web)
        registry = RegistrySource(self._settings, web)
        searched = tuple(self._given) if self._given is not None else (registry, npm)
        packages: dict[PackageKind, PackageRegistry] = {PackageKind.NPM: npm, PackageKind.PYPI: pypi}
        return _Places(web, searched, registry, packages, (npm, pypi))


def _query(needs: Sequence[Need], plan: SearchPlan) -> Query:
    ordered = sorted(needs, key=lambda need: -need.confidence)
    technologies = dict.fromkeys(need.technology for need in ordered if need.technology)
    return Query(tuple(technologies), plan.keywords, plan.queries)


async def _ask(source: Source, query: Query, seconds: float) -> tuple[Sequence[Candidate], SourceReport]:
    """What a source answers, and its report; whatever goes wrong in it ends in the report."""
    try:
        with anyio.fail_after(seconds):
            found: Found = await source.search(query)
        candidates = tuple(found.candidates)
    except SourceUnavailable as error:
        return (), _down(source.name, _reason(error))
    except TimeoutError:
        return (), _down(source.name, _reason(late(source.name, seconds)))
    except Exception as error:
        _logger.exception("the source %s failed", source.name)
        return (), _down(source.name, f"failed inside ({type(error).__name__})")
    state = SourceState.OK if found.age is None else SourceState.STALE
    return candidates, SourceReport(source.name, state, len(candidates), found.reason, found.age)


def _down(name: str, reason: str) -> SourceReport:
    return SourceReport(name, SourceState.DOWN, reason=reason)


def _reason(error: SourceUnavailable) -> str:
    return str(error.details.get("reason") or error.message)


def _nobody(
    identity: Identity, failures: dict[str, SourceUnavailable]
) -> UnknownCandidate | SourceUnavailable:
    """The error for an id that nobody knows: a package registry's no is final, another silence is not."""
    asked_in_vain = failures.get(identity.scheme) if identity.scheme in ("npm", "pypi") else None
    if identity.scheme not in ("npm", "pypi"):
        asked_in_vain = next(iter(failures.values()), None)
    if asked_in_vain is not None:
        return asked_in_vain
    return UnknownCandidate(f"No source knows {identity}.")


def _listings(source: str, candidates: Iterable[Candidate]) -> list[Listing]:
    """The candidates under the ids of their source: a registry has one entry a name, as in its copy."""
    found: dict[str, Listing] = {}
    for one in candidates:
        listed = one.name if source == REGISTRY else one.id
        tools = tuple(ListedTool(name) for name in one.tools)
        found.setdefault(listed, Listing(listed, one, tools, one.capabilities))
    return list(found.values())


def _refuse_unconfirmed(candidate: Candidate) -> None:
    if candidate.unconfirmed:
        raise NotConfirmed(
            f"{candidate.name} is not started: {candidate.unconfirmed}.",
            details={"candidate_id": candidate.id, "repository": candidate.repository},
        )
