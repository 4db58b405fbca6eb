"""What a store is: the memory of catalog answers, approvals, pins and usage, shared by all processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from warroom_mcp.models import Analysis, Candidate, Definitions, Ticket, TicketState, ToolUsage


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A registry's answer as it came, and when."""

    body: bytes
    fetched: datetime


class Store(Protocol):
    """Remembers values; several processes may share one.

    What a method has returned from is kept, whatever happens to the process afterwards. Every method
    raises `StateError` when the store cannot be reached in time, `StateNotWritable` when it cannot be
    written, and `ConfigCorrupt` when what it holds is not readable.
    """

    async def answer(self, key: str) -> CachedAnswer | None:
        """The answer kept under a key, however old."""
        ...

    async def keep_answer(self, key: str, body: bytes, fetched: datetime) -> None:
        """Keep an answer in place of an older one; the longest kept ones make room."""
        ...

    async def keep_problem(self, analysis: Analysis) -> None:
        """Keep an analysis under its problem id."""
        ...

    async def problem(self, problem_id: str) -> Analysis | None:
        """The analysis of that id."""
        ...

    async def keep_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Keep candidates as they were seen last."""
        ...

    async def candidate(self, candidate_id: str) -> Candidate | None:
        """The candidate of that id, as it was seen last."""
        ...

    async def keep_ticket(self, ticket: Ticket) -> None:
        """Keep a new ticket.

        Raises:
            Refusal: another ticket is kept under that id.
        """
        ...

    async def ticket(self, ticket_id: str) -> Ticket | None:
        """The ticket of that id."""
        ...

    async def tickets(self, state: TicketState | None = None) -> tuple[Ticket, ...]:
        """All tickets, or those in one state, oldest first."""
        ...

    async def settle(self, ticket_id: str, state: TicketState, *, answered_by: str, at: datetime) -> Ticket:
        """Answer a pending ticket; of two answers at once, one wins. The same answer again changes nothing.

        Raises:
            UnknownTicket: no ticket has that id.
            Refusal: it was answered otherwise before.
            InvalidInput: `state` is neither approved nor denied.
        """
        ...

    async def use_ticket(self, ticket_id: str) -> bool:
        """Use up an approval; false when it is not there, not approved, or used before."""
        ...

    async def latest_ticket(self, digest: str) -> Ticket | None:
        """The ticket opened last for exactly that digest."""
        ...

    async def approved(self, digest: str) -> Ticket | None:
        """The approval, used or not, that was given last for exactly that digest.

        None as well when a later answer to the same question was a refusal.
        """
        ...

    async def keep_definitions(self, server: str, definitions: Definitions) -> None:
        """Keep what a server listed."""
        ...

    async def definitions(self, server: str) -> Definitions | None:
        """What a server listed when it was kept last."""
        ...

    async def forget(self, server: str) -> None:
        """Drop the definitions and the usage of a server."""
        ...

    async def add_usage(self, usage: Sequence[ToolUsage]) -> None:
        """Add counts to those that are kept; `last_used` only moves forward."""
        ...

    async def usage(self) -> tuple[ToolUsage, ...]:
        """All counts, by server and tool."""
        ...

    async def aclose(self) -> None:
        """Let go of everything; the store cannot be used afterwards."""
        ...
