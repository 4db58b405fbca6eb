"""The use cases, as one class: hands what one component found to the next, and decides nothing itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

from warroom_mcp.adding import Added, Adding, Asking
from warroom_mcp.approvals import Approvals, Asker, Opener
from warroom_mcp.catalog import Catalog
from warroom_mcp.echo import echoed
from warroom_mcp.engine.local import LocalEngine
from warroom_mcp.errors import (
    ApprovalDenied,
    ApprovalRequired,
    AuthorizationFailed,
    ChildError,
    ChildRefused,
    InstallError,
    InvalidInput,
    MissingInput,
    SourceUnavailable,
    StateError,
    WarRoomError,
)
from warroom_mcp.events import Events
from warroom_mcp.finding import Finding, Steps
from warroom_mcp.loops import name_asyncio
from warroom_mcp.manager import Manager
from warroom_mcp.manager.install import Installer
from warroom_mcp.manager.kept import FILE_AND_SERVERS, NOT_ADDED, telling_kept
from warroom_mcp.manager.launch import missing_inputs
from warroom_mcp.manager.optimize import propose
from warroom_mcp.manager.secrets import resolve
from warroom_mcp.models import (
    Analysis,
    Candidate,
    Definitions,
    FindResult,
    Need,
    Proposal,
    ServerStatus,
    Speech,
)
from warroom_mcp.settings import Settings
from warroom_mcp.store.brought import keep_brought
from warroom_mcp.store.config import ConfigFile
from warroom_mcp.store.index import SqliteIndex
from warroom_mcp.store.sqlite import SqliteStore
from warroom_mcp.toolbox import Exposed, Toolbox
from warroom_mcp.trust import Policy
from warroom_mcp.wire.codec import RpcError

if TYPE_CHECKING:
    from warroom_mcp.manager.child import Child, Owner

LOOK_INTERVAL = 0.2
"""Seconds between two looks at the config file on the way of a proxied call."""
# How many candidates are tried for one need before it is given up.
ATTEMPTS = 3
# A problem rarely needs more servers at once than a person wants to be asked about.
MAX_NEEDS = 4
_UNAVAILABLE = (InstallError, ChildError, MissingInput, SourceUnavailable)


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the needs of a problem so far."""

    added: list[Added] = field(default_factory=list)
    waiting: list[Attempt] = field(default_factory=list)
    failed: list[Attempt] = field(default_factory=list)


class AsyncWarRoom:
    """War Room: from a problem to running tools.

    Enter it as an async context manager: children live in its task group and end with it. Nothing is
    started and nothing written before the first use case asks for it.
    """

    def __init__(self, settings: Settings | None = None, *, catalog: Catalog | None = None) -> None:
        self.settings = settings or Settings()
        self.events = Events()
        self.toolbox = Toolbox(self.events, plain=self.settings.tool_names == "plain")
        self._store = SqliteStore(self.settings.database)
        self._catalog = catalog or Catalog(
            self.settings, self._store, SqliteIndex(self.settings.index), secret=resolve
        )
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
        self._adding = Adding(
            lambda: self._catalog, self._manager, self.approvals, self._policy, self.toolbox, self.refresh
        )
        self.finding = Finding(
            self.settings, self._store, lambda: self._catalog, self.toolbox, self.events, self.later, resolve
        )
        self._config_seen: object = None
        self._looked = 0.0
        self._brought: Mapping[str, Any] = {"extensions": {}}

    async def __aenter__(self) -> Self:
        name_asyncio()
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

    def follow_now(self) -> None:
        """As `follow`, without waiting: what changed is taken up soon, and looked for now and then."""
        now = time.monotonic()
        if now - self._looked > LOOK_INTERVAL:
            self._looked = now
            if _signature(self.settings.config_file) != self._config_seen:
                self._manager.later(self.follow)

    def _offer(self, server: str, definitions: Definitions) -> None:
        if definitions == Definitions():
            self.toolbox.withdraw(server)
        else:
            self.toolbox.publish(server, definitions)
        if (brought := self._manager.brought()) != self._brought:
            self._brought = brought
            self.later(self._keep_brought, brought)

    async def _keep_brought(self, brought: Mapping[str, Any]) -> None:
        """For the next start, whose first answer comes before the children are known."""
        with suppress(StateError):
            await anyio.to_thread.run_sync(keep_brought, self.settings.home, brought)

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

    async def analyze_problem(self, problem: str | bytes, *, deep: bool = False) -> Analysis:
        """Read a problem: what it is, signals, needs, keywords, severity, search plan.

        With `deep` a model reads it too, as far as the operator's setting allows.

        Raises:
            InvalidProblem: it is empty, binary or too large.
        """
        return await self.finding.analyze(problem, deep=deep)

    async def find_servers(
        self, query: str | None = None, *, problem_id: str | None = None, limit: int = 5
    ) -> FindResult:
        """Ranked candidates for words, or for a problem that was analysed before.

        Raises:
            InvalidInput: neither a query nor a known problem was given.
        """
        return await self.find_for(await self.finding.known(query, problem_id), limit)

    async def find_for_steps(self, queries: Sequence[str], *, limit: int = 5) -> Steps:
        """Ranked candidates for each of several steps, and the smallest set of servers for all.

        Raises:
            InvalidInput: there are none or too many.
        """
        found = await self.finding.for_steps(queries, limit)
        for step in found.steps:
            self._adding.found(step.found.candidates)
        return found

    async def find_for(self, analysis: Analysis, limit: int) -> FindResult:
        """Ranked candidates for an analysed problem."""
        found = await self.finding.servers(analysis, limit)
        self._adding.found(found.candidates)
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
        speech: Speech | None = None,
    ) -> Added:
        """Verify, decide, ask, install, start and expose one candidate, in an exact version or the latest.

        `speech` is that of the host that wants it: the child is spoken to in its era first.

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
        asking = Asking(auto_approve, asker, speech, self.settings.ask_deadline)
        with self._offering_others(candidate.id):
            return await self._adding.add(candidate, parameters or {}, asking)

    async def authorize(self, name: str, opener: Opener) -> str | None:
        """Have a person authorise a remote server, by its name or candidate id; why it will not last, if so.

        Raises:
            InvalidInput: it is no remote server.
            AuthorizationFailed: nothing was granted.
        """
        await self.refresh()
        known = next((s.plan.package for s in self._manager.servers() if s.name == name), None)
        kind, _, url = name.partition(":") if known is None else ("remote", "", known.identifier)
        if kind != "remote" or (known is not None and not known.remote):
            raise InvalidInput(
                f"{echoed(name)} is no remote server.",
                hint="Give the name of an added remote server, or a candidate id of the form remote:URL.",
            )

        async def present(page: str) -> None:
            if not await opener.open(page, f"{url} asks for your consent."):
                raise AuthorizationFailed("The page could not be shown.")

        granted = await self._manager.authorize(name, url, present, deadline=self.settings.ask_deadline)
        return granted.trouble

    @contextmanager
    def _offering_others(self, candidate_id: str) -> Iterator[None]:
        """An error of a server that cannot be had says who could stand in for it."""
        try:
            yield
        except _UNAVAILABLE as error:
            if others := self._adding.instead_of(candidate_id):
                error.details.setdefault("instead", others)
            raise

    # --- the whole flow ----------------------------------------------------------------------

    async def handle_incident(
        self,
        problem: str | bytes,
        *,
        auto_approve: bool = False,
        asker: Asker | None = None,
        speech: Speech | None = None,
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
        found = await self.find_for(replace(analysis, needs=needs), max(ATTEMPTS, ATTEMPTS * len(needs)))
        outcome = Outcome()
        covered: set[str] = set()
        for need in needs:
            if need.technology in covered:
                continue
            asking = Asking(auto_approve, asker, speech, self.settings.ask_deadline)
            taken = await self._cover(need, _offers(found, need), outcome, asking)
            covered |= {need.technology, *found.cover.get(taken, ())} if taken else set()
        uncovered = tuple(need.technology for need in needs if need.technology not in covered)
        return Incident(
            analysis, found, tuple(outcome.added), tuple(outcome.waiting), tuple(outcome.failed), uncovered
        )

    async def _cover(
        self, need: Need, offers: Sequence[Candidate], outcome: Outcome, asking: Asking
    ) -> str | None:
        """Add the first candidate that can be; after a failure those that need no credential come first.

        The id of what became ready, or waits for a person.
        """
        left = list(offers)
        while left:
            candidate = left.pop(0)
            try:
                outcome.added.append(await self._adding.add(candidate, {}, asking))
                return candidate.id
            except ApprovalRequired as error:
                outcome.waiting.append(Attempt(candidate.id, need.technology, error))
                return candidate.id
            except ApprovalDenied as error:
                outcome.failed.append(Attempt(candidate.id, need.technology, error))
                return None
            except WarRoomError as error:
                outcome.failed.append(Attempt(candidate.id, need.technology, error))
                left.sort(key=lambda c: bool(missing_inputs(c.package, os.environ)))
        return None

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

    async def find_tools(self, query: str | Sequence[str], limit: int = 10) -> tuple[Exposed, ...]:
        """Tools of the added servers that fit one query, or several that take turns, best first.

        Raises:
            InvalidInput: there is no query, or there are too many.
        """
        await self.follow()
        return self.finding.tools([query] if isinstance(query, str) else query, limit)

    # --- for a gateway: the way of a proxied call ----------------------------------------------

    @property
    def owner(self) -> Owner:
        """Who hears what children ask and tell by themselves."""
        return self._manager.owner

    @owner.setter
    def owner(self, owner: Owner) -> None:
        self._manager.owner = owner

    def line(self, server: str, speech: Speech) -> Child | None:
        """The child to call for a host that speaks like this, if it is awake."""
        return self._manager.line(server, speech)

    async def wake(self, server: str, speech: Speech) -> Child:
        """The same, woken if need be.

        Raises: UnknownServer, ApprovalRequired, InstallError, ChildError, MissingInput.
        """
        known = next((s for s in self._manager.servers() if s.name == server), None)
        with self._offering_others(known.plan.candidate_id if known is not None else ""):
            return await self._manager.wake(server, speech)

    def count(self, server: str, tool: str, *, seconds: float, error: bool) -> None:
        """Note one call of a tool."""
        self._manager.count(server, tool, seconds=seconds, error=error)

    def may_repeat(self, server: str, method: str, params: Mapping[str, Any]) -> bool:
        """Whether a request that its child did not live to answer may be sent once more."""
        return self._manager.may_repeat(server, method, params)

    def has_output_schema(self, server: str, tool: str | None) -> bool:
        """Whether a tool promises structured content."""
        tools = self.toolbox.tools(server) if tool is not None else ()
        return any(t.original == tool and t.definition.get("outputSchema") is not None for t in tools)

    def suspect(self, child: Child) -> None:
        """A call of this child timed out."""
        self._manager.suspect(child)

    def running(self) -> tuple[Child, ...]:
        """Every child that is awake."""
        return self._manager.running()

    async def watch(self, server: str, uris: frozenset[str], speech: Speech) -> None:
        """Have a server tell of changes of exactly these resources.

        Raises: as `wake`, and RpcError.
        """
        await self._manager.watch(server, uris, speech)

    def later(self, work: Callable[..., Coroutine[Any, Any, None]], *given: Any) -> None:
        """Do something that nobody waits for."""
        self._manager.later(work, *given)

    def brought(self) -> dict[str, Any]:
        """What only children bring to the capabilities: `extensions`, by name, and `tasks`."""
        return self._manager.brought()

    async def call_tool(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call an exposed tool and return the child's raw result.

        Raises:
            UnknownTool: nothing is exposed under that name.
            ChildError: the server could not answer.
        """
        await self.follow()
        tool = self.toolbox.resolve(name)
        params = {"name": tool.original, "arguments": dict(arguments)}
        try:
            return await self._manager.request(tool.server, "tools/call", params)
        except RpcError as error:
            raise ChildRefused(f"{tool.server} answered: {error.message} (code {error.code}).") from error

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


def _offers(found: FindResult, need: Need) -> list[Candidate]:
    """What may be started for a need, best first; one that covers other needs as well comes before all."""
    able = [c for c in found.candidates if c.need == need.technology and not c.unconfirmed]
    wide = [
        c
        for c in found.candidates
        if need.technology in found.cover.get(c.id, ()) and len(found.cover[c.id]) > 1
    ]
    return [*wide, *(c for c in able if c not in wide)][:ATTEMPTS]
