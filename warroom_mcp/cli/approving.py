"""The commands of the person who approves: pending, approve, deny."""

from pathlib import Path

from warroom_mcp import shapes
from warroom_mcp.cli import admin, views
from warroom_mcp.cli.running import Outcome, Session
from warroom_mcp.errors import Refusal, UnknownTicket
from warroom_mcp.models import Ticket, TicketState

BY_TERMINAL, BY_TOKEN, BY_COMMAND = "terminal", "admin token", "command line"


async def pending(session: Session) -> Outcome:
    """Every question that waits."""
    tickets = await session.war_room.approvals.pending()
    return Outcome(shapes.rows("pending", [shapes.ticket(t) for t in tickets]), views.pending)


async def approve(session: Session, ticket_id: str, token_file: Path | None) -> Outcome:
    """Approve a ticket, or take its refusal back; it takes a person: a typed `yes`, or the admin token.

    Raises:
        UnknownTicket: no such ticket waits.
        Refusal: no person is here, or they did not type `yes`.
    """
    ticket = await _open(session, ticket_id, TicketState.PENDING, TicketState.DENIED)
    by = await _person(session, ticket, token_file)
    return _settled(await session.war_room.approvals.settle(ticket.id, approved=True, by=by))


async def deny(session: Session, ticket_id: str) -> Outcome:
    """Refuse a ticket; anyone may refuse.

    Raises:
        UnknownTicket: no such ticket waits.
    """
    ticket = await _open(session, ticket_id, TicketState.PENDING)
    by = BY_TERMINAL if session.asker else BY_COMMAND
    return _settled(await session.war_room.approvals.settle(ticket.id, approved=False, by=by))


async def _open(session: Session, ticket_id: str, *states: TicketState) -> Ticket:
    """The ticket, if it can still be answered; never settled unseen, as what is shown is what counts."""
    ticket = await session.war_room.approvals.ticket(ticket_id)
    if ticket is None:
        raise UnknownTicket(f"There is no ticket {ticket_id[:40]!r}.")
    if ticket.state not in states:
        raise UnknownTicket(f"Ticket {ticket.id} does not wait: it is {ticket.state} ({ticket.answered_by}).")
    return ticket


async def _person(session: Session, ticket: Ticket, token_file: Path | None) -> str:
    home = session.settings.home
    if admin.is_admin(home, token_file):
        return BY_TOKEN
    if session.asker is None:
        raise Refusal(
            f"Only a person can approve {ticket.plan.candidate_id}, and no terminal is here.",
            hint=f"A person runs `warroom approve {ticket.id}` in a terminal, or gives --token-file.",
            details={"ticket": ticket.id, "card": list(ticket.card)},
        )
    admin.ensure_token(home)
    if not await session.asker.confirm(ticket):
        raise Refusal(
            f"Nothing was approved: ticket {ticket.id} is {ticket.state}, as before.",
            hint=f"`warroom deny {ticket.id}` refuses it.",
        )
    return BY_TERMINAL


def _settled(ticket: Ticket) -> Outcome:
    approved = ticket.state is not TicketState.DENIED
    again = f"call add_server again in the host, or run `warroom add {ticket.plan.candidate_id}`."
    return Outcome({**shapes.ticket(ticket), "next": again if approved else ""}, views.settled)
