"""From words to servers and tools: reads problems, asks the catalog, searches tools, renews its copies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from warroom_mcp.catalog import Catalog
from warroom_mcp.catalog.cover import Option, cover
from warroom_mcp.echo import echoed
from warroom_mcp.errors import InvalidInput, WarRoomError
from warroom_mcp.events import Events, Progress
from warroom_mcp.listing import ListedTool, SourceStatus
from warroom_mcp.manager.kept import NO_PROBLEM, telling_kept
from warroom_mcp.models import Analysis, Candidate, FindResult, ProblemKind, SourceReport
from warroom_mcp.settings import Settings
from warroom_mcp.store.protocol import Store
from warroom_mcp.toolbox import Exposed, Toolbox

if TYPE_CHECKING:
    from warroom_mcp.analyzer.deep import DeepAnalyzer

_logger = logging.getLogger(__name__)

MAX_QUERIES = 12
"""How many steps are searched for at once."""
# Of so many candidates the tools are looked at, when no added server's are enough.
_CANDIDATES = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One query of several, and what was found for it."""

    query: str
    analysis: Analysis
    found: FindResult


@dataclass(frozen=True, slots=True)
class Steps:
    """What was found for several queries: each by itself, and the smallest set that covers them all."""

    steps: tuple[Step, ...]
    cover: tuple[Candidate, ...]
    uncovered: tuple[str, ...]
    sources: tuple[SourceReport, ...]


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool that a catalog tells of, on a server that is not added yet."""

    candidate_id: str
    server: str
    tool: ListedTool


class Finding:
    """Reads problems and finds what helps. `later` starts work that nobody waits for."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        catalog: Callable[[], Catalog],
        toolbox: Toolbox,
        events: Events,
        later: Callable[..., None],
        secret: Callable[[str], str] = lambda reference: "",
    ) -> None:
        self._secret = secret
        self._settings = settings
        self._store = store
        self._catalog = catalog
        self._toolbox = toolbox
        self._events = events
        self._later = later
        self._renewing = False
        self._reader: DeepAnalyzer | None = None

    # --- problems --------------------------------------------------------------------------------

    async def analyze(self, problem: str | bytes, *, deep: bool = False) -> Analysis:
        """Read a problem and keep what was read; with `deep` a model reads it too, as far as that is allowed.

        Raises:
            InvalidProblem: it is empty, binary or too large.
        """
        # Imported at the first problem: a start has no time for it.
        from warroom_mcp.analyzer import analyze

        limit = self._settings.max_problem_bytes
        with telling_kept(NO_PROBLEM):
            analysis = await anyio.to_thread.run_sync(lambda: analyze(problem, max_bytes=limit))
            analysis = await self._deepened(analysis, asked=deep)
            await self._store.keep_problem(analysis)
        return analysis

    async def _deepened(self, analysis: Analysis, *, asked: bool) -> Analysis:
        if self._settings.offline or (self._settings.deep_analysis == "off" and not asked):
            return analysis
        deepened, note = await self._reading().deepen(analysis, asked=asked)
        return replace(deepened, notes=(note,)) if note else deepened

    def _reading(self) -> DeepAnalyzer:
        """The one that reads with a model; there is one, because it keeps a budget."""
        if self._reader is None:
            from warroom_mcp.analyzer.deep import DeepAnalyzer, Limits

            settings = self._settings
            limits = Limits(
                policy=settings.deep_analysis,
                model=settings.deep_model,
                url=settings.deep_url,
                key=settings.deep_key,
                deadline=settings.deep_deadline,
                calls_per_day=settings.deep_calls_per_day,
                max_characters=settings.deep_max_characters,
            )
            self._reader = DeepAnalyzer(limits, self._secret, self._store)
        return self._reader

    async def known(self, query: str | None, problem_id: str | None) -> Analysis:
        """The analysis of a query, or of a problem that was analysed before.

        Raises:
            InvalidInput: neither a query nor a known problem was given.
        """
        if problem_id:
            analysis = await self._store.problem(problem_id)
            if analysis is None:
                raise InvalidInput(
                    f"No problem {echoed(problem_id, 40)} was analysed here.",
                    hint="Call analyze_problem or handle_incident first, or give a query.",
                )
            return analysis
        if query and query.strip():
            return await self.analyze(query)
        raise InvalidInput("Neither a query nor a problem_id was given.", hint="Give one of the two.")

    # --- servers ---------------------------------------------------------------------------------

    async def servers(self, analysis: Analysis, limit: int) -> FindResult:
        """Ranked candidates for an analysed problem; none for one that needs no server."""
        if analysis.kind is ProblemKind.NOTHING:
            return FindResult((), ())
        found = await self._catalog().find(analysis.needs, analysis.plan, limit=limit)
        await self._store.keep_candidates(found.candidates)
        self._renew_stale()
        return found

    async def for_steps(self, queries: Sequence[str], limit: int) -> Steps:
        """Ranked candidates for each of several queries, and the smallest set for all of them.

        Raises:
            InvalidInput: there are more than `MAX_QUERIES`, or an empty one.
        """
        steps = []
        for query in _checked(queries):
            analysis = await self.analyze(query)
            steps.append(Step(query, analysis, await self.servers(analysis, limit)))
        options = {step.query: [_option(one) for one in step.found.candidates] for step in steps}
        asked = {query: some for query, some in options.items() if some or not _is_nothing(steps, query)}
        chosen = cover(asked)
        by_id = {one.id: one for step in steps for one in step.found.candidates}
        reports = {report.name: report for step in steps for report in step.found.sources}
        covering = tuple(by_id[one] for one in chosen.chosen)
        return Steps(tuple(steps), covering, chosen.uncovered, tuple(reports.values()))

    # --- tools -----------------------------------------------------------------------------------

    def tools(self, queries: Sequence[str], limit: int) -> tuple[Exposed, ...]:
        """The tools of added servers that fit, best first; several queries take turns.

        Raises:
            InvalidInput: there are more than `MAX_QUERIES`, or an empty one.
        """
        return self._toolbox.search(_checked(queries), limit)

    async def offered_tools(self, queries: Sequence[str], limit: int) -> tuple[Offered, ...]:
        """Tools that catalogs tell of on servers that are not added yet, best first."""
        from warroom_mcp.toolsearch import ToolSearch, ToolText

        found: dict[str, Candidate] = {}
        for query in _checked(queries):
            result = await self.servers(await self.analyze(query), _CANDIDATES)
            found.update((one.id, one) for one in result.candidates if not one.unconfirmed)
        told = await self._catalog().tools_of(list(found.values()))
        search, offers = ToolSearch(), dict[str, Offered]()
        for candidate_id, tools in told.items():
            candidate = found[candidate_id]
            for tool in tools:
                key = f"{candidate_id}\n{tool.name}"
                text = ToolText(tool.name, tool.description, "", candidate.name, candidate.description)
                search.put(key, text)
                offers[key] = Offered(candidate_id, candidate.name, tool)
        return tuple(offers[key] for key in search.search(tuple(queries), limit))

    # --- the catalog's copies --------------------------------------------------------------------

    async def sync(self, *, whole: bool = False) -> tuple[Any, ...]:
        """Bring the copies of all registries up to date, telling how far it is."""
        before = {status.name: status.listings for status in await self._catalog().sources()}

        def tell(name: str, seen: int) -> None:
            total = before.get(name) or None
            share = min(0.99, seen / total) if total else None
            self._events.publish(Progress(f"sync {name}", f"{name}: {seen:,} servers", share))

        done = await self._catalog().copies.sync(whole=whole, on_progress=tell)
        for one in done:
            self._events.publish(Progress(f"sync {one.name}", f"{one.name}: {one.seen:,} servers", 1.0))
        return done

    async def sources(self) -> tuple[SourceStatus, ...]:
        """What the catalog holds of each source, and since when."""
        return await self._catalog().sources()

    async def export(self, path: Path) -> int:
        """Write the catalog's copies to a file; how many servers it holds.

        Raises:
            InvalidInput: the file cannot be written.
        """
        return await self._catalog().copies.export(path)

    async def import_(self, path: Path) -> tuple[SourceStatus, ...]:
        """Read the catalog's copies from a file that `export` wrote.

        Raises:
            InvalidInput: it is no such file.
        """
        return await self._catalog().copies.import_(path)

    def _renew_stale(self) -> None:
        """Renew copies that are too old, behind the back of whoever asked."""
        if self._settings.offline or not self._settings.sync_seconds or self._renewing:
            return
        self._renewing = True
        self._later(self._renew)

    async def _renew(self) -> None:
        try:
            oldest = min(
                (_age(status) for status in await self._catalog().copies.told()),
                default=self._settings.sync_seconds,
            )
            if oldest >= self._settings.sync_seconds:
                await self._catalog().copies.sync()
        except WarRoomError as error:
            _logger.warning("the catalog's copies were not renewed: %s", error.message)


def _age(status: SourceStatus) -> float:
    if status.synced is None:
        return float("inf")
    return (datetime.now(UTC) - status.synced).total_seconds()


def _checked(queries: Sequence[str]) -> tuple[str, ...]:
    asked = tuple(query for query in queries if query.strip())
    if not asked or len(asked) > MAX_QUERIES:
        raise InvalidInput(
            f"{len(asked)} queries were given.", hint=f"Give 1 to {MAX_QUERIES} queries, a step each."
        )
    return asked


def _option(candidate: Candidate) -> Option:
    usable = not candidate.unconfirmed and not candidate.deprecated
    return Option(candidate.id, candidate.relevance if usable else 0.0)


def _is_nothing(steps: Sequence[Step], query: str) -> bool:
    return any(step.query == query and step.analysis.kind is ProblemKind.NOTHING for step in steps)
