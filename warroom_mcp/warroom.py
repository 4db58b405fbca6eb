"""The use cases, as one class: hands what one component found to the next, and decides nothing itself."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from warroom_mcp.approvals import Approvals, Asker
from warroom_mcp.catalog import Catalog
from warroom_mcp.echo import echoed
from warroom_mcp.engine.local import LocalEngine
from warroom_mcp.errors import (
    ApprovalDenied,
    ApprovalRequired,
    InvalidInput,
    PackageNotFound,
    StateError,
    WarRoomError,
)
from warroom_mcp.events import Events
from warroom_mcp.manager import Manager
from warroom_mcp.manager.environment import person_environment
from warroom_mcp.manager.install import Installer
from warroom_mcp.manager.kept import FILE_AND_SERVERS, NO_PROBLEM, NOT_ADDED, telling_kept
from warroom_mcp.manager.launch import plan_launch, server_name
from warroom_mcp.manager.optimize import propose
from warroom_mcp.models import (
    AddedServer,
    Analysis,
    Candidate,
    Decision,
    Definitions,
    FindResult,
    LaunchPlan,
    Need,
    Package,
    Proposal,
    SearchPlan,
    ServerStatus,
    Ticket,
    Verdict,
)
from warroom_mcp.settings import Settings
from warroom_mcp.store.config import ConfigFile
from warroom_mcp.store.digest import digest
from warroom_mcp.store.sqlite import SqliteStore
from warroom_mcp.toolbox import Exposed, Toolbox
from warroom_mcp.trust import Policy, card, check, decide

# How many candidates are tried for one need before it is given up.
ATTEMPTS = 3
# A problem rarely needs more servers at once than a person wants to be asked about.
MAX_NEEDS = 4


@dataclass(frozen=True, slots=True)
class Added:
    """A server that is ready: what it is called, what it offers, who approved it."""

    server: AddedServer
    tools: tuple[Exposed, ...]
    new: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """A candidate that was tried for a need and did not become ready, and why."""

    candidate_id: str
    need: str | None
    error: WarRoomError


@dataclass(frozen=True, slots=True)
class Incident:
    """What became of a problem: what is ready, what waits for a person, what failed, what nothing covers."""

    analysis: Analysis
    found: FindResult
    added: tuple[Added, ...]
    waiting: tuple[Attempt, ...]
    failed: tuple[Attempt, ...]
    uncovered: tuple[str, ...]


class AsyncWarRoom:
    """War Room: from a problem to running tools.

    Enter it as an async context manager: children live in its task group and end with it. Nothing is
    started and nothing written before the first use case asks for it.
    """

    def __init__(self, settings: Settings | None = None, *, catalog: Catalog | None = None) -> None:
        self.settings = settings or Settings()
        self.events = Events()
        self.toolbox = Toolbox(self.events)
        self._store = SqliteStore(self.settings.database)
        self._catalog = catalog or Catalog(self.settings, self._store)
        self._policy = Policy.from_setting(self.settings.auto_approve_level)
        self.approvals = Approvals(self._store)
        self._manager = Manager(
            self.settings,
            self._store,
            ConfigFile(self.settings.config_file),
            Installer(self.settings, self.events),
            LocalEngine(),
            self.events,
            on_definitions=self._offer,
            approved=self._store.approved,
        )
        self._config_seen: object = None

    async def __aenter__(self) -> Self:
        await self._manager.__aenter__()
        return self

    async def refresh(self) -> None:
        """Take up what another War Room on the same directory added or removed; cheap if nothing changed.

        Raises:
            StateError: the config file cannot be read.
        """
        seen = _signature(self.settings.config_file)
        if seen != self._config_seen:
            with telling_kept(FILE_AND_SERVERS):
                await self._manager.restore()
            self._config_seen = seen

    async def follow(self) -> None:
        """As `refresh`, for uses that go on with what is known when the config file cannot be read."""
        with suppress(StateError):
            await self.refresh()

    def _offer(self, server: str, definitions: Definitions) -> None:
        if definitions == Definitions():
            self.toolbox.withdraw(server)
        else:
            self.toolbox.publish(server, definitions)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._manager.__aexit__(kind, error, trace)
        finally:
            with anyio.CancelScope(shield=True):
                await self._catalog.aclose()
                await self._store.aclose()

    # --- problems and candidates -------------------------------------------------------------

    async def analyze_problem(self, problem: str | bytes) -> Analysis:
        """Read a problem: signals, needs, keywords, severity, search plan.

        Raises:
            InvalidProblem: it is empty, binary or too large.
        """
        # Imported at the first problem: a start has no time for it.
        from warroom_mcp.analyzer import analyze

        limit = self.settings.max_problem_bytes
        with telling_kept(NO_PROBLEM):
            analysis = await anyio.to_thread.run_sync(lambda: analyze(problem, max_bytes=limit))
            await self._store.keep_problem(analysis)
        return analysis

    async def find_servers(
        self, query: str | None = None, *, problem_id: str | None = None, limit: int = 5
    ) -> FindResult:
        """Ranked candidates for words, or for a problem that was analysed before.

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
        elif query and query.strip():
            analysis = await self.analyze_problem(query)
        else:
            raise InvalidInput("Neither a query nor a problem_id was given.", hint="Give one of the two.")
        return await self._find(analysis.needs, _plan_for(analysis), limit)

    async def _find(self, needs: Sequence[Need], plan: SearchPlan, limit: int) -> FindResult:
        found = await self._catalog.find(needs, plan, limit=limit)
        await self._store.keep_candidates(found.candidates)
        return found

    # --- adding ------------------------------------------------------------------------------

    async def add_server(
        self,
        candidate_id: str,
        *,
        version: str | None = None,
        parameters: Mapping[str, str] | None = None,
        auto_approve: bool = False,
        asker: Asker | None = None,
    ) -> Added:
        """Verify, decide, ask, install, start and expose one candidate, in an exact version or the latest.

        Raises:
            UnknownCandidate, Refusal, MissingInput, InstallError, ChildError, SourceUnavailable.
        """
        await self.refresh()
        with telling_kept(NOT_ADDED):
            candidate = await self._store.candidate(candidate_id)
            if candidate is None:
                candidate = await self._catalog.lookup(candidate_id)
        if version is not None:
            candidate = replace(candidate, package=replace(candidate.package, version=version))
        return await self._add(candidate, parameters or {}, auto_approve=auto_approve, asker=asker)

    async def _add(
        self, candidate: Candidate, values: Mapping[str, str], *, auto_approve: bool, asker: Asker | None
    ) -> Added:
        with telling_kept(NOT_ADDED):
            try:
                return await self._add_once(candidate, values, auto_approve=auto_approve, asker=asker)
            except InvalidInput as error:
                if "taken" not in error.details:
                    raise
            # While a person was asked, somebody gave the name to another server: ask for the next name.
            await self.refresh()
            return await self._add_once(candidate, values, auto_approve=auto_approve, asker=asker)

    async def _add_once(
        self, candidate: Candidate, values: Mapping[str, str], *, auto_approve: bool, asker: Asker | None
    ) -> Added:
        wanted = candidate.package.version
        candidate = await self._catalog.resolve(candidate)
        if wanted is not None and candidate.package.version != wanted:
            raise PackageNotFound(f"{candidate.id} is not served in version {wanted[:40]}.")
        name = server_name(candidate, [s.name for s in self._manager.servers()])
        environ = person_environment(os.environ, Path.home())
        plan = plan_launch(candidate, server=name, values=values, environ=environ)
        if known := self._same_plan(plan):
            return Added(known, await self._ready_tools(known.name), new=False)
        try:
            ticket = await self._approved(candidate, plan, auto_approve=auto_approve, asker=asker)
        except ApprovalRequired:
            # Another call asked the same question, and the answer was used for its addition.
            if known := self._same_plan(plan):
                return Added(known, await self._ready_tools(known.name), new=False)
            raise
        server = AddedServer(plan, ticket.digest, _approved_by(ticket), datetime.now(UTC))
        await self._manager.add(server)
        return Added(server, self.toolbox.tools(name), new=True)

    def _same_plan(self, plan: LaunchPlan) -> AddedServer | None:
        """The server that already runs exactly this, whatever it is called."""
        for server in self._manager.servers():
            if replace(server.plan, server=plan.server) == plan:
                return server
        return None

    async def _ready_tools(self, name: str) -> tuple[Exposed, ...]:
        """The tools of a server that was added before; it is woken, so that `ready` is no guess."""
        await self._manager.wake(name)
        return self.toolbox.tools(name)

    async def _approved(
        self, candidate: Candidate, plan: LaunchPlan, *, auto_approve: bool, asker: Asker | None
    ) -> Ticket:
        """Ask for approval while the exact version is fetched and unpacked; nothing of it is run."""
        fingerprint = digest(plan)
        checks = check(candidate, plan)
        decision = decide(
            candidate,
            self._policy,
            auto_approve=auto_approve,
            remembered=await self.approvals.remembered(fingerprint),
            checks=checks,
        )
        lines = card(candidate, plan, decision, checks)
        async with self._prefetching(plan.package, decision, asker):
            return await self.approvals.require(plan, fingerprint, decision, lines, _why(candidate), asker)

    @asynccontextmanager
    async def _prefetching(
        self, package: Package, decision: Decision, asker: Asker | None
    ) -> AsyncIterator[None]:
        """Fetch a package in the meantime, if a person is being asked; a refusal ends the fetching.

        A failure that may pass is not told if the person was still thinking: by now it may have passed.
        """
        if decision.verdict is not Verdict.ASK or asker is None or package.remote:
            yield
            return
        # Carried over the task group, which would wrap them.
        failures: list[WarRoomError] = []
        answered = False

        async def fetch() -> None:
            try:
                await self._manager.prefetch(package)
            except WarRoomError as error:
                if answered or not error.retryable:
                    failures.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch)
            try:
                yield
            except WarRoomError as error:
                failures.insert(0, error)
                tasks.cancel_scope.cancel()
            answered = True
        if failures:
            raise failures[0]

    # --- the whole flow ----------------------------------------------------------------------

    async def handle_incident(
        self, problem: str | bytes, *, auto_approve: bool = False, asker: Asker | None = None
    ) -> Incident:
        """The whole flow: analyse, find, verify, ask, add; one server for each need.

        A candidate that cannot be started makes room for the next one of its need; one that a person
        refused, or has still to approve, does not.

        Raises:
            InvalidProblem: the problem is empty, binary or too large.
        """
        await self.refresh()
        analysis = await self.analyze_problem(problem)
        needs = analysis.needs[:MAX_NEEDS]
        if not needs:
            return Incident(analysis, FindResult((), ()), (), (), (), ())
        found = await self._find(needs, analysis.plan, limit=ATTEMPTS * len(needs))
        added: list[Added] = []
        waiting: list[Attempt] = []
        failed: list[Attempt] = []
        for need in needs:
            offers = [c for c in found.candidates if c.need == need.technology][:ATTEMPTS]
            await self._cover(need, offers, added, waiting, failed, auto_approve=auto_approve, asker=asker)
        met = {s.server.plan.candidate_id for s in added} | {a.candidate_id for a in waiting}
        covered = {c.need for c in found.candidates if c.id in met}
        uncovered = tuple(need.technology for need in needs if need.technology not in covered)
        return Incident(analysis, found, tuple(added), tuple(waiting), tuple(failed), uncovered)

    async def _cover(
        self,
        need: Need,
        offers: Sequence[Candidate],
        added: list[Added],
        waiting: list[Attempt],
        failed: list[Attempt],
        *,
        auto_approve: bool,
        asker: Asker | None,
    ) -> None:
        for candidate in offers:
            try:
                added.append(await self._add(candidate, {}, auto_approve=auto_approve, asker=asker))
                return
            except ApprovalRequired as error:
                waiting.append(Attempt(candidate.id, need.technology, error))
                return
            except ApprovalDenied as error:
                failed.append(Attempt(candidate.id, need.technology, error))
                return
            except WarRoomError as error:
                failed.append(Attempt(candidate.id, need.technology, error))

    # --- what is there -----------------------------------------------------------------------

    async def list_servers(self) -> tuple[ServerStatus, ...]:
        """Every server with its state, the reason for it, and the next step."""
        await self.refresh()
        return await self._manager.statuses()

    async def remove_server(self, name: str) -> None:
        """Stop and forget a server; its tools vanish at once.

        Raises:
            UnknownServer: no server has that name.
        """
        await self.refresh()
        await self._manager.remove(name)

    async def find_tools(self, query: str, limit: int = 10) -> tuple[Exposed, ...]:
        """Tools of the added servers that match the query, best first."""
        await self.follow()
        return self.toolbox.search(query, limit)

    async def request(
        self, server: str, method: str, params: Mapping[str, Any], *, on_progress: Any = None
    ) -> dict[str, Any]:
        """Send one MCP request to a server and return its raw result; a sleeping server wakes."""
        return await self._manager.request(server, method, params, on_progress=on_progress)

    async def call_tool(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call an exposed tool and return the child's raw result.

        Raises:
            UnknownTool: nothing is exposed under that name.
            ChildError: the server could not answer.
        """
        await self.follow()
        tool = self.toolbox.resolve(name)
        params = {"name": tool.original, "arguments": dict(arguments)}
        return await self._manager.request(tool.server, "tools/call", params)

    async def optimize(self, *, apply: bool = False) -> tuple[Proposal, ...]:
        """What to retire, by a stated rule; with `apply` it is done."""
        await self.refresh()
        proposals = propose(
            await self._manager.statuses(),
            now=datetime.now(UTC),
            unused_days=self.settings.unused_days,
            definitions={name: self._manager.definitions(name) for name in self.toolbox.servers},
        )
        if apply:
            for proposal in proposals:
                await self.remove_server(proposal.server)
        return proposals


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What tells one state of a file from another; None when there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _plan_for(analysis: Analysis) -> SearchPlan:
    """The analysis' own plan; a text without any known word is searched for as it stands."""
    if analysis.plan.queries or analysis.plan.keywords:
        return analysis.plan
    words = analysis.text.split()[:12]
    return SearchPlan(keywords=tuple(w.lower() for w in words), queries=(" ".join(words),))


def _why(candidate: Candidate) -> str:
    return (
        f"for {candidate.need}, score {candidate.score.total}/100" if candidate.need else "asked for by name"
    )


def _approved_by(ticket: Ticket) -> str:
    return f"{ticket.answered_by or 'unknown'} ({ticket.id})"
