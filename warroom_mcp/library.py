"""The synchronous faces: the asynchronous War Room behind a thread of its own, and nothing else.

Creating a face starts nothing. The first use starts one thread with an event loop and enters the
asynchronous War Room there; `close` leaves it in the same task. A face may be used from any thread, and
from inside of a running event loop, which it blocks for the time of the call.
"""

import atexit
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import anyio
import anyio.from_thread

from warroom_mcp.adding import Added
from warroom_mcp.approvals import Asker
from warroom_mcp.errors import StateError
from warroom_mcp.models import Analysis, Candidate, FindResult, Proposal, ServerStatus
from warroom_mcp.settings import Settings
from warroom_mcp.toolbox import Exposed
from warroom_mcp.warroom import AsyncWarRoom, Incident

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """A server that a search found: its name, its score (0..100), and everything known of it."""

    name: str
    score: int
    candidate: Candidate


class _Call(Generic[T]):
    """One call into the portal, which can be given up from outside, whether it has begun or not."""

    def __init__(self, work: Callable[[AsyncWarRoom], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._given_up = False
        self._scope: anyio.CancelScope | None = None

    async def run(self, war_room: AsyncWarRoom) -> T:
        with anyio.CancelScope() as self._scope:
            if self._given_up:
                self._scope.cancel()
            return await self._work(war_room)
        raise StateError("The call was interrupted.", hint="Call again.", retryable=True)

    def give_up(self, portal: anyio.from_thread.BlockingPortal) -> None:
        """Cancel the work. An interruption can come before there is a future, so that is not asked."""
        portal.start_task_soon(self._cancel)

    def _cancel(self) -> None:
        self._given_up = True
        if self._scope is not None:
            self._scope.cancel()


class _Portal:
    """An asynchronous War Room in a thread of its own, entered at the first call."""

    def __init__(self, make: Callable[[], AsyncWarRoom]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._entered: tuple[anyio.from_thread.BlockingPortal, AsyncWarRoom] | None = None
        self._closed = False

    def call(self, work: Callable[[AsyncWarRoom], Coroutine[Any, Any, T]]) -> T:
        """Run work on the War Room and wait for it; an interruption of the waiting cancels the work.

        Raises:
            StateError: the face is closed.
        """
        portal, war_room = self._enter()
        call = _Call(work)
        try:
            future: Future[T] = portal.start_task_soon(call.run, war_room)
            return future.result()
        except (KeyboardInterrupt, SystemExit):
            call.give_up(portal)
            raise

    def _enter(self) -> tuple[anyio.from_thread.BlockingPortal, AsyncWarRoom]:
        with self._lock:
            if self._closed:
                raise StateError("This War Room is closed.", hint="Make a new one.")
            if self._entered is None:
                with ExitStack() as stack:
                    portal = stack.enter_context(anyio.from_thread.start_blocking_portal("asyncio"))
                    # The portal keeps one task for entering and leaving: task groups demand it.
                    war_room = stack.enter_context(portal.wrap_async_context_manager(self._make()))
                    self._stack = stack.pop_all()
                self._entered = portal, war_room
                atexit.register(self._close_at_exit)
            return self._entered

    def close(self) -> None:
        """Leave the War Room and end its thread; doing so again changes nothing."""
        with self._lock:
            self._closed = True
            self._entered = None
            stack, self._stack = self._stack, ExitStack()
        atexit.unregister(self._close_at_exit)
        stack.close()

    def _close_at_exit(self) -> None:
        """For a program that forgot to close; what a dying interpreter cannot do, the watchdog does."""
        with suppress(Exception):
            self.close()


class _Face:
    """What all faces share: a War Room behind a portal, closing, and `with`."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._portal = _Portal(lambda: AsyncWarRoom(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all servers and the thread behind; the object cannot be used afterwards."""
        self._portal.close()


class _Servers(_Face):
    """What can be asked of the servers that were added."""

    def list_servers(self) -> tuple[ServerStatus, ...]:
        """Every server with its state, the reason for it, and the next step."""
        return self._portal.call(lambda war_room: war_room.list_servers())

    def remove_server(self, name: str) -> None:
        """Stop and forget a server.

        Raises:
            UnknownServer: no server has that name.
        """
        self._portal.call(lambda war_room: war_room.remove_server(name))

    def optimize(self, *, apply: bool = False) -> tuple[Proposal, ...]:
        """What to retire, by a stated rule; with `apply` it is done."""
        return self._portal.call(lambda war_room: war_room.optimize(apply=apply))

    def _handle(self, problem: str | bytes, auto_approve: bool, asker: Asker | None) -> Incident:
        return self._portal.call(
            lambda war_room: war_room.handle_incident(problem, auto_approve=auto_approve, asker=asker)
        )


class WarRoom(_Servers):
    """War Room for programs that are not asynchronous; see `AsyncWarRoom` for each use case.

    Without an `asker` nobody is asked: what needs a person's approval waits as a ticket for
    `warroom approve`.
    """

    def handle_incident(
        self, problem: str | bytes, auto_approve: bool = False, asker: Asker | None = None
    ) -> Incident:
        """The whole flow: analyse, find, verify, ask, add.

        Raises:
            InvalidProblem: the problem is empty, binary or too large.
        """
        return self._handle(problem, auto_approve, asker)

    def analyze(self, problem: str | bytes) -> Analysis:
        """Read a problem: signals, needs, keywords, severity, search plan.

        Raises:
            InvalidProblem: it is empty, binary or too large.
        """
        return self._portal.call(lambda war_room: war_room.analyze_problem(problem))

    def find_servers(
        self, query: str | None = None, *, problem_id: str | None = None, limit: int = 5
    ) -> FindResult:
        """Ranked candidates for words, or for a problem that was analysed before.

        Raises:
            InvalidInput: neither a query nor a known problem was given.
        """
        return self._portal.call(
            lambda war_room: war_room.find_servers(query, problem_id=problem_id, limit=limit)
        )

    def add_server(
        self,
        candidate_id: str,
        *,
        parameters: Mapping[str, str] | None = None,
        auto_approve: bool = False,
        asker: Asker | None = None,
    ) -> Added:
        """Verify, decide, ask, install, start and expose one candidate.

        Raises:
            UnknownCandidate, Refusal, MissingInput, InstallError, ChildError, SourceUnavailable.
        """
        return self._portal.call(
            lambda war_room: war_room.add_server(
                candidate_id, parameters=parameters, auto_approve=auto_approve, asker=asker
            )
        )

    def call_tool(self, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call a tool of an added server and return the server's raw result.

        Raises:
            UnknownTool: nothing is exposed under that name.
            ChildError: the server could not answer.
        """
        return self._portal.call(lambda war_room: war_room.call_tool(name, arguments or {}))

    def find_tools(self, query: str, limit: int = 10) -> tuple[Exposed, ...]:
        """Tools of the added servers that match the query, best first."""
        return self._portal.call(lambda war_room: war_room.find_tools(query, limit))

    def show_status(self) -> None:
        """Print a table of the servers to stdout."""
        sys.stdout.write(_status(self.list_servers()))


class DynamicMCPManager(_Servers):
    """The servers that were added, and the flow that adds them."""

    def handle_problem(self, problem: str | bytes, auto_approve: bool = False) -> Incident:
        """The whole flow, as `WarRoom.handle_incident`."""
        return self._handle(problem, auto_approve, None)

    def get_stats(self) -> dict[str, Any]:
        """Counts of servers, tools, calls and errors, and the calls of each tool by its server."""
        servers = self.list_servers()
        usage = [used for server in servers for used in server.usage]
        return {
            "servers": len(servers),
            "tools": sum(len(server.tools) for server in servers),
            "calls": sum(used.calls for used in usage),
            "errors": sum(used.errors for used in usage),
            "usage": {server.name: {used.tool: used.calls for used in server.usage} for server in servers},
        }


class MCPCatalogSync(_Face):
    """The catalog: which MCP servers there are for some words."""

    def search_servers(self, keywords: Sequence[str], limit: int = 5) -> list[Found]:
        """The best servers for the keywords together, best first.

        Raises:
            InvalidInput: there is no keyword.
        """
        words = [keywords] if isinstance(keywords, str) else keywords
        found = self._portal.call(lambda war_room: war_room.find_servers(" ".join(words), limit=limit))
        return [Found(c.name, c.score.total, c) for c in found.candidates]


def _status(servers: Sequence[ServerStatus]) -> str:
    if not servers:
        return "No server is added yet.\n"
    rows = [("server", "state", "version", "tools", "calls")]
    rows += [
        (s.name, s.state.value, s.version or "-", str(len(s.tools)), str(sum(u.calls for u in s.usage)))
        for s in servers
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(line.rstrip() + "\n" for line in lines)


__all__ = ["DynamicMCPManager", "Found", "MCPCatalogSync", "WarRoom"]
