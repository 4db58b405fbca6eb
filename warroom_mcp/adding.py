"""Adding one server: verify, decide, ask, install, start, expose; and who could stand in for it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from warroom_mcp.approvals import Approvals, Asker, Opener
from warroom_mcp.catalog import Catalog
from warroom_mcp.errors import (
    ApprovalRequired,
    AuthorizationNeeded,
    InvalidInput,
    PackageNotFound,
    WarRoomError,
)
from warroom_mcp.manager import Manager
from warroom_mcp.manager.environment import person_environment
from warroom_mcp.manager.kept import NOT_ADDED, telling_kept
from warroom_mcp.manager.launch import missing_inputs, plan_launch, server_name
from warroom_mcp.models import (
    AddedServer,
    Candidate,
    Decision,
    LaunchPlan,
    Package,
    Speech,
    Ticket,
    Verdict,
)
from warroom_mcp.store.digest import digest
from warroom_mcp.toolbox import Exposed, Toolbox
from warroom_mcp.trust import Policy, card, check, decide

ALTERNATIVES = 3
"""Candidates that are named when another one fails."""


@dataclass(frozen=True, slots=True)
class Added:
    """A server that is ready: what it is called, what it offers, who approved it."""

    server: AddedServer
    tools: tuple[Exposed, ...]
    new: bool


@dataclass(frozen=True, slots=True)
class Asking:
    """How an addition may be approved, and how the host speaks that wants it."""

    auto_approve: bool = False
    asker: Asker | None = None
    speech: Speech | None = None
    deadline: float = 600.0


class Adding:
    """The way of one candidate from found to exposed. `refresh` takes up what other War Rooms added."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        manager: Manager,
        approvals: Approvals,
        policy: Policy,
        toolbox: Toolbox,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._catalog = catalog
        self._manager = manager
        self._approvals = approvals
        self._policy = policy
        self._toolbox = toolbox
        self._refresh = refresh
        self._offers: dict[str, tuple[Candidate, ...]] = {}

    async def add(self, candidate: Candidate, values: Mapping[str, str], asking: Asking) -> Added:
        """Verify, decide, ask, install, start and expose a candidate.

        Raises: Refusal, MissingInput, InstallError, ChildError, SourceUnavailable.
        """
        with telling_kept(NOT_ADDED):
            try:
                return await self._add_once(candidate, values, asking)
            except InvalidInput as error:
                if "taken" not in error.details:
                    raise
            # While a person was asked, somebody gave the name to another server: ask for the next name.
            await self._refresh()
            return await self._add_once(candidate, values, asking)

    async def _start(self, server: AddedServer, asking: Asking) -> None:
        """Start an approved server; one that wants a person's consent gets it, if the person is there."""
        try:
            await self._manager.add(server, asking.speech)
        except AuthorizationNeeded as error:
            opener: object = asking.asker
            needed = _authorize_first(error, server)
            if not isinstance(opener, Opener):
                raise needed from error
            await self._authorize(server, opener, needed, asking.deadline)
            await self._manager.add(server, asking.speech)

    async def _authorize(
        self, server: AddedServer, opener: Opener, needed: AuthorizationNeeded, deadline: float
    ) -> None:
        url = server.plan.package.identifier

        async def present(page: str) -> None:
            if not await opener.open(page, f"{server.name} at {url} asks for your consent."):
                raise needed

        await self._manager.authorize(server.name, url, present, deadline=deadline)

    def found(self, candidates: Sequence[Candidate]) -> None:
        """Note what was found last for each need: who fails is replaced from there."""
        for need in {c.need for c in candidates if c.need is not None}:
            self._offers[need] = tuple(c for c in candidates if c.need == need)

    def instead_of(self, candidate_id: str) -> list[dict[str, Any]]:
        """The other candidates for the same need, those that need no new credential first."""
        offers = next((o for o in self._offers.values() if any(c.id == candidate_id for c in o)), ())
        added = {server.plan.candidate_id for server in self._manager.servers()}
        others = [c for c in offers if c.id != candidate_id and c.id not in added]
        lacking = {c.id: missing_inputs(c.package, os.environ) for c in others}
        others.sort(key=lambda c: bool(lacking[c.id]))
        return [
            {"candidate_id": c.id, "score": c.score.total, "needs": list(lacking[c.id])}
            for c in others[:ALTERNATIVES]
        ]

    async def _add_once(self, candidate: Candidate, values: Mapping[str, str], asking: Asking) -> Added:
        wanted = candidate.package.version
        candidate = await self._catalog().resolve(candidate)
        if wanted is not None and candidate.package.version != wanted:
            raise PackageNotFound(f"{candidate.id} is not served in version {wanted[:40]}.")
        name = server_name(candidate, [s.name for s in self._manager.servers()])
        environ = person_environment(os.environ, Path.home())
        plan = plan_launch(candidate, server=name, values=values, environ=environ)
        if known := self._same_plan(plan):
            return Added(known, await self._ready_tools(known.name, asking.speech), new=False)
        try:
            ticket = await self._approved(candidate, plan, asking)
        except ApprovalRequired:
            # Another call asked the same question, and the answer was used for its addition.
            if known := self._same_plan(plan):
                return Added(known, await self._ready_tools(known.name, asking.speech), new=False)
            raise
        server = AddedServer(plan, ticket.digest, _approved_by(ticket), datetime.now(UTC))
        await self._start(server, asking)
        return Added(server, self._toolbox.tools(name), new=True)

    def _same_plan(self, plan: LaunchPlan) -> AddedServer | None:
        """The server that already runs exactly this, whatever it is called."""
        for server in self._manager.servers():
            if replace(server.plan, server=plan.server) == plan:
                return server
        return None

    async def _ready_tools(self, name: str, speech: Speech | None) -> tuple[Exposed, ...]:
        """The tools of a server that was added before; it is woken, so that `ready` is no guess."""
        await self._manager.wake(name, speech)
        return self._toolbox.tools(name)

    async def _approved(self, candidate: Candidate, plan: LaunchPlan, asking: Asking) -> Ticket:
        """Ask for approval while the exact version is fetched and unpacked; nothing of it is run."""
        fingerprint = digest(plan)
        checks = check(candidate, plan)
        decision = decide(
            candidate,
            self._policy,
            auto_approve=asking.auto_approve,
            remembered=await self._approvals.remembered(fingerprint),
            checks=checks,
        )
        lines = card(candidate, plan, decision, checks)
        async with self._prefetching(plan.package, decision, asking.asker):
            why = _why(candidate)
            return await self._approvals.require(plan, fingerprint, decision, lines, why, asking.asker)

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


def _authorize_first(error: AuthorizationNeeded, server: AddedServer) -> AuthorizationNeeded:
    """The same error for a server that is not added: a person names it by its id."""
    return AuthorizationNeeded(
        error.message,
        hint=f"Run `warroom authorize {server.plan.candidate_id}` in a terminal, then add the server again.",
        details=error.details,
    )


def _why(candidate: Candidate) -> str:
    return (
        f"for {candidate.need}, score {candidate.score.total}/100" if candidate.need else "asked for by name"
    )


def _approved_by(ticket: Ticket) -> str:
    return f"{ticket.answered_by or 'unknown'} ({ticket.id})"
