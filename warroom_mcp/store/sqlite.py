"""The default store: one SQLite file that any number of processes on this machine may share."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from warroom_mcp.errors import ConfigCorrupt, InvalidInput, Refusal, UnknownTicket
from warroom_mcp.models import Analysis, Candidate, Definitions, Ticket, TicketState, ToolUsage
from warroom_mcp.store.database import BUSY_SECONDS, Database
from warroom_mcp.store.plain import decode, encode
from warroom_mcp.store.protocol import CachedAnswer

T = TypeVar("T")

# How much of each is kept, in bytes; what was kept longest goes first.
MAX_ANSWERS = 128 * 1024 * 1024
MAX_PROBLEMS = 32 * 1024 * 1024
MAX_CANDIDATES = 16 * 1024 * 1024

_APPROVED = (TicketState.APPROVED, TicketState.USED)


class SqliteStore:
    """A `Store` in a SQLite file with a write-ahead log.

    Creating it touches nothing: the directory (0700) and the file (0600) are made at the first use. A
    file that is damaged, or another program's, is refused with `ConfigCorrupt` and left as it is.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_answers: int = MAX_ANSWERS,
        max_problems: int = MAX_PROBLEMS,
        max_candidates: int = MAX_CANDIDATES,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._database = Database(path, busy_seconds=busy_seconds)
        self._max_answers = max_answers
        self._max_problems = max_problems
        self._max_candidates = max_candidates

    async def aclose(self) -> None:
        await self._database.aclose()

    # --- what can be found again: bounded ----------------------------------------------------

    async def answer(self, key: str) -> CachedAnswer | None:
        row = await self._row("SELECT body, fetched FROM answers WHERE key = ?", key)
        if row is None:
            return None
        with self._readable():
            body, fetched = row
            return CachedAnswer(body, datetime.fromisoformat(fetched))

    async def keep_answer(self, key: str, body: bytes, fetched: datetime) -> None:
        # An answer that is larger than all room would drive out every other and then itself.
        if len(body) > self._max_answers:
            return

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO answers (key, size, fetched, body) VALUES (?, ?, ?, ?)",
                (_text(key), len(body), fetched.isoformat(), body),
            )
            _make_room(connection, "answers", self._max_answers)

        await self._database.write(work)

    async def keep_problem(self, analysis: Analysis) -> None:
        await self._keep("problems", [(analysis.problem_id, encode(analysis))], self._max_problems)

    async def problem(self, problem_id: str) -> Analysis | None:
        return await self._value(Analysis, "SELECT body FROM problems WHERE key = ?", problem_id)

    async def keep_candidates(self, candidates: Sequence[Candidate]) -> None:
        if candidates:
            await self._keep("candidates", [(c.id, encode(c)) for c in candidates], self._max_candidates)

    async def candidate(self, candidate_id: str) -> Candidate | None:
        return await self._value(Candidate, "SELECT body FROM candidates WHERE key = ?", candidate_id)

    # --- approvals ---------------------------------------------------------------------------

    async def keep_ticket(self, ticket: Ticket) -> None:
        body = encode(ticket)

        def work(connection: sqlite3.Connection) -> None:
            known = connection.execute("SELECT body FROM tickets WHERE id = ?", (ticket.id,)).fetchone()
            if known is None:
                _insert_ticket(connection, ticket, body)
            elif known[0] != body:
                raise Refusal(f"Ticket {ticket.id} is taken.", hint="Ask again: a new ticket gets a new id.")

        await self._database.write(work)

    async def ticket(self, ticket_id: str) -> Ticket | None:
        return await self._value(Ticket, "SELECT body FROM tickets WHERE id = ?", ticket_id)

    async def tickets(self, state: TicketState | None = None) -> tuple[Ticket, ...]:
        where, given = ("WHERE state = ?", (state,)) if state else ("", ())
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT body FROM tickets {where} ORDER BY seq", given
            ).fetchall()
        )
        with self._readable():
            return tuple(decode(Ticket, row[0]) for row in rows)

    async def settle(self, ticket_id: str, state: TicketState, *, answered_by: str, at: datetime) -> Ticket:
        if state not in (TicketState.APPROVED, TicketState.DENIED):
            raise InvalidInput(f"A ticket is settled as approved or denied, not as {state}.")

        def change(ticket: Ticket) -> Ticket:
            if ticket.state is TicketState.PENDING:
                return replace(ticket, state=state, answered_by=answered_by, answered=at)
            if (ticket.state in _APPROVED) == (state in _APPROVED):
                return ticket
            raise Refusal(
                f"Ticket {ticket.id} was {_word(ticket.state)} before (by {ticket.answered_by}).",
                hint="An answer stays. Ask for the server again to get a new ticket.",
            )

        ticket = await self._change_ticket(ticket_id, change)
        if ticket is None:
            raise UnknownTicket(f"There is no ticket {ticket_id[:40]!r}.")
        return ticket

    async def use_ticket(self, ticket_id: str) -> bool:
        used = False

        def change(ticket: Ticket) -> Ticket:
            nonlocal used
            used = ticket.state is TicketState.APPROVED
            return replace(ticket, state=TicketState.USED) if used else ticket

        await self._change_ticket(ticket_id, change)
        return used

    async def latest_ticket(self, digest: str) -> Ticket | None:
        return await self._value(
            Ticket, "SELECT body FROM tickets WHERE digest = ? ORDER BY seq DESC LIMIT 1", digest
        )

    async def approved(self, digest: str) -> Ticket | None:
        ticket = await self._value(
            Ticket,
            "SELECT body FROM tickets WHERE digest = ? AND settled IS NOT NULL ORDER BY settled DESC LIMIT 1",
            digest,
        )
        return ticket if ticket is not None and ticket.state in _APPROVED else None

    # --- servers -----------------------------------------------------------------------------

    async def keep_definitions(self, server: str, definitions: Definitions) -> None:
        row = (_text(server), encode(definitions))
        await self._database.write(
            lambda connection: connection.execute("INSERT OR REPLACE INTO definitions VALUES (?, ?)", row)
        )

    async def definitions(self, server: str) -> Definitions | None:
        return await self._value(Definitions, "SELECT body FROM definitions WHERE server = ?", server)

    async def forget(self, server: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for table in ("definitions", "usage"):
                connection.execute(f"DELETE FROM {table} WHERE server = ?", (_text(server),))

        await self._database.write(work)

    async def add_usage(self, usage: Sequence[ToolUsage]) -> None:
        rows = [
            (_text(u.server), _text(u.tool), u.calls, u.errors, u.seconds, _moment(u.last_used))
            for u in usage
        ]
        if rows:
            await self._database.write(lambda connection: connection.executemany(_ADD_USAGE, rows))

    async def usage(self) -> tuple[ToolUsage, ...]:
        rows = await self._database.read(
            lambda connection: connection.execute("SELECT * FROM usage ORDER BY server, tool").fetchall()
        )
        with self._readable():
            return tuple(
                ToolUsage(server, tool, calls, errors, seconds, used and datetime.fromisoformat(used))
                for server, tool, calls, errors, seconds, used in rows
            )

    # --- rows --------------------------------------------------------------------------------

    async def _row(self, query: str, key: str) -> tuple[Any, ...] | None:
        def work(connection: sqlite3.Connection) -> tuple[Any, ...] | None:
            row: tuple[Any, ...] | None = connection.execute(query, (_text(key),)).fetchone()
            return row

        return await self._database.read(work)

    async def _value(self, kind: type[T], query: str, key: str) -> T | None:
        row = await self._row(query, key)
        if row is None:
            return None
        with self._readable():
            return decode(kind, str(row[0]))

    async def _keep(self, table: str, values: Sequence[tuple[str, str]], room: int) -> None:
        rows = [(_text(key), len(body), body) for key, body in values]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(f"INSERT OR REPLACE INTO {table} (key, size, body) VALUES (?, ?, ?)", rows)
            _make_room(connection, table, room)

        await self._database.write(work)

    async def _change_ticket(self, ticket_id: str, change: Callable[[Ticket], Ticket]) -> Ticket | None:
        """Read, change and write a ticket in one transaction; None when it is unknown."""

        def work(connection: sqlite3.Connection) -> Ticket | None:
            row = connection.execute("SELECT body FROM tickets WHERE id = ?", (_text(ticket_id),)).fetchone()
            if row is None:
                return None
            with self._readable():
                before = decode(Ticket, row[0])
            after = change(before)
            if after is not before:
                connection.execute(_UPDATE_TICKET, (after.state, encode(after), _text(ticket_id)))
            return after

        return await self._database.write(work)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ConfigCorrupt(
                f"{self._database.path} holds a value that cannot be read.",
                details={"path": str(self._database.path)},
            ) from error


_UPDATE_TICKET = """
    UPDATE tickets SET state = ?, body = ?,
        settled = coalesce(settled, (SELECT coalesce(max(settled), 0) + 1 FROM tickets))
    WHERE id = ?"""

_ADD_USAGE = """
    INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (server, tool) DO UPDATE SET
        calls = calls + excluded.calls,
        errors = errors + excluded.errors,
        seconds = seconds + excluded.seconds,
        last_used = nullif(max(coalesce(last_used, ''), coalesce(excluded.last_used, '')), '')"""


def _insert_ticket(connection: sqlite3.Connection, ticket: Ticket, body: str) -> None:
    pending = ticket.state is TicketState.PENDING
    order = "NULL" if pending else "(SELECT coalesce(max(settled), 0) + 1 FROM tickets)"
    connection.execute(
        f"INSERT INTO tickets (id, digest, state, settled, body) VALUES (?, ?, ?, {order}, ?)",
        (ticket.id, ticket.digest, ticket.state, body),
    )


def _make_room(connection: sqlite3.Connection, table: str, room: int) -> None:
    """Drop what was kept longest until the rest fits; the newest row always stays."""
    connection.execute(
        f"""DELETE FROM {table} WHERE seq <= (
            SELECT max(seq) FROM (
                SELECT seq, sum(size) OVER (ORDER BY seq DESC) AS total, max(seq) OVER () AS newest
                FROM {table})
            WHERE total > ? AND seq < newest)""",
        (room,),
    )


def _text(key: str) -> str:
    """A key that can be bound: half a surrogate pair is spelled out."""
    return key.encode("utf-8", "backslashreplace").decode("utf-8")


def _moment(moment: datetime | None) -> str | None:
    """A time as text that sorts as the time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment else None


def _word(state: TicketState) -> str:
    return "denied" if state is TicketState.DENIED else "approved"
