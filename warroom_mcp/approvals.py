"""Asks a person, and remembers the answer.

Every question is a ticket bound to the digest of exactly what was shown. The ways to a person
(elicitation, terminal, command line) only settle tickets; whatever the model says settles none.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from warroom_mcp.errors import ApprovalDenied, ApprovalRequired, Blocked, UnknownTicket
from warroom_mcp.models import Approver, Decision, LaunchPlan, Ticket, TicketState, Verdict

POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said, and by which way it came."""

    approved: bool
    by: str


class Asker(Protocol):
    """A way to a person. `administrator` tells whether its answers count as an administrator's."""

    @property
    def administrator(self) -> bool: ...

    async def ask(self, ticket: Ticket) -> Answer | None:
        """The person's answer, or None when nobody answered by this way."""
        ...


@runtime_checkable
class Opener(Protocol):
    """A way to show a person the page of a server that wants their consent."""

    async def open(self, url: str, why: str) -> bool:
        """Show the page; False if this way cannot, or the person does not want it."""
        ...


class TicketStore(Protocol):
    """Where tickets are kept; settling is atomic, so that two answers cannot both win."""

    async def keep_ticket(self, ticket: Ticket) -> None: ...

    async def ticket(self, ticket_id: str) -> Ticket | None: ...

    async def tickets(self, state: TicketState | None = None) -> tuple[Ticket, ...]: ...

    async def settle(
        self, ticket_id: str, state: TicketState, *, answered_by: str, at: datetime
    ) -> Ticket: ...

    async def latest_ticket(self, digest: str) -> Ticket | None: ...

    async def use_ticket(self, ticket_id: str) -> bool: ...


class Approvals:
    """Turns a decision of policy into an approval, or into a refusal that says what to do next."""

    def __init__(
        self, store: TicketStore, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._now = now

    async def remembered(self, digest: str) -> bool:
        """Whether a person has approved exactly this before."""
        ticket = await self._store.latest_ticket(digest)
        return ticket is not None and _granted_by_a_person(ticket)

    async def require(
        self,
        plan: LaunchPlan,
        digest: str,
        decision: Decision,
        card: tuple[str, ...],
        why: str,
        asker: Asker | None,
    ) -> Ticket:
        """An approved ticket for exactly this plan.

        Raises:
            Blocked: policy never allows it.
            ApprovalDenied: a person said no, now or before.
            ApprovalRequired: nobody has answered; the details name the ticket and the command.
        """
        if decision.verdict is Verdict.DENY:
            raise Blocked(f"{plan.candidate_id} is blocked: {decision.reason}")
        if decision.verdict is Verdict.ALLOW:
            return await self._by_policy(plan, digest, decision, card, why)
        ticket = await self._open(plan, digest, decision, card, why)
        if ticket.state is TicketState.PENDING:
            ticket = await self._ask(ticket, asker)
        return await self._granted(ticket)

    async def pending(self) -> tuple[Ticket, ...]:
        """The questions that wait for an answer, oldest first."""
        return await self._store.tickets(TicketState.PENDING)

    async def ticket(self, ticket_id: str) -> Ticket | None:
        """A ticket, whatever became of it."""
        return await self._store.ticket(ticket_id)

    async def settle(self, ticket_id: str, *, approved: bool, by: str) -> Ticket:
        """Write down a person's answer; an approval of what was refused before is a new ticket.

        Raises:
            UnknownTicket: there is no such ticket.
            Refusal: it was approved before, and cannot be refused any more.
        """
        ticket = await self._store.ticket(ticket_id)
        if ticket is None:
            raise UnknownTicket(f"There is no ticket {ticket_id[:40]!r}.")
        if approved and ticket.state is TicketState.DENIED:
            ticket = replace(
                ticket, id=_ticket_id(), state=TicketState.PENDING, answered_by=None, answered=None
            )
            await self._store.keep_ticket(ticket)
        return await self._settle(ticket, approved=approved, by=by)

    async def _settle(self, ticket: Ticket, *, approved: bool, by: str) -> Ticket:
        state = TicketState.APPROVED if approved else TicketState.DENIED
        return await self._store.settle(ticket.id, state, answered_by=by, at=self._now())

    async def _by_policy(
        self, plan: LaunchPlan, digest: str, decision: Decision, card: tuple[str, ...], why: str
    ) -> Ticket:
        """An approval that needs no new question: remembered, or allowed by the operator's policy."""
        known = await self._store.latest_ticket(digest)
        if known is not None and known.state is TicketState.DENIED:
            # Policy spares a question; it does not overrule the answer to one.
            raise _denied(known)
        if known is not None and _granted_by_a_person(known):
            return known
        ticket = self._new(plan, digest, decision, card, why)
        await self._store.keep_ticket(ticket)
        by = f"{POLICY}: auto_approve at the level {decision.level}"
        ticket = await self._settle(ticket, approved=True, by=by)
        # Used at once: it must not stand for a question that is asked of a person later.
        await self._store.use_ticket(ticket.id)
        return ticket

    async def _open(
        self, plan: LaunchPlan, digest: str, decision: Decision, card: tuple[str, ...], why: str
    ) -> Ticket:
        """The ticket that stands for this question: an open one is taken up, a used one is not."""
        known = await self._store.latest_ticket(digest)
        if known is not None and _stands_for(known, decision):
            return known
        ticket = self._new(plan, digest, decision, card, why)
        await self._store.keep_ticket(ticket)
        return ticket

    def _new(
        self, plan: LaunchPlan, digest: str, decision: Decision, card: tuple[str, ...], why: str
    ) -> Ticket:
        return Ticket(
            id=_ticket_id(),
            digest=digest,
            plan=plan,
            level=decision.level,
            approver=decision.approver,
            card=card,
            why=why,
            created=self._now(),
        )

    async def _ask(self, ticket: Ticket, asker: Asker | None) -> Ticket:
        if asker is None or (ticket.approver is Approver.ADMINISTRATOR and not asker.administrator):
            return ticket
        answer = await asker.ask(ticket)
        if answer is None:
            # The person may have answered by another way while this one was open.
            return await self._store.ticket(ticket.id) or ticket
        return await self._settle(ticket, approved=answer.approved, by=answer.by)

    async def _granted(self, ticket: Ticket) -> Ticket:
        if ticket.state is TicketState.DENIED:
            raise _denied(ticket)
        # One approval is one addition; what is remembered is remembered by its digest.
        if ticket.state is not TicketState.APPROVED or not await self._store.use_ticket(ticket.id):
            raise _waiting(ticket)
        return ticket


def _ticket_id() -> str:
    return f"t-{secrets.token_hex(4)}"


def _granted_by_a_person(ticket: Ticket) -> bool:
    granted = ticket.state in (TicketState.APPROVED, TicketState.USED)
    return granted and not (ticket.answered_by or "").startswith(POLICY)


def _stands_for(ticket: Ticket, decision: Decision) -> bool:
    """Whether a ticket asks what is to be asked now: unused, and of someone who may still answer it."""
    if ticket.state is TicketState.DENIED:
        return True
    if ticket.state is TicketState.USED or (ticket.answered_by or "").startswith(POLICY):
        return False
    return ticket.approver in (decision.approver, Approver.ADMINISTRATOR)


def _denied(ticket: Ticket) -> ApprovalDenied:
    return ApprovalDenied(
        f"{ticket.plan.candidate_id} was refused ({ticket.answered_by}).",
        hint=f"Choose another. A person can take the refusal back: `warroom approve {ticket.id}`.",
        details={"ticket": ticket.id},
    )


def _waiting(ticket: Ticket) -> ApprovalRequired:
    who = "An administrator" if ticket.approver is Approver.ADMINISTRATOR else "A person"
    return ApprovalRequired(
        f"{who} has to approve {ticket.plan.candidate_id} before it is started.",
        hint=(
            f"Ask the person to run `warroom approve {ticket.id}` in a terminal, "
            "then call add_server again with the same candidate_id."
        ),
        details={"ticket": ticket.id, "command": f"warroom approve {ticket.id}", "card": list(ticket.card)},
    )
