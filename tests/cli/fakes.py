"""A War Room that answers from values: what the command line is tested against."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from tests.cli.values import ANALYSIS, CANDIDATE, SERVER, STATUS
from warroom_mcp.adding import Added
from warroom_mcp.approvals import Approvals, Asker
from warroom_mcp.errors import InvalidInput, UnknownServer, WarRoomError
from warroom_mcp.events import Events, Progress
from warroom_mcp.models import Analysis, Definitions, FindResult, Proposal, ServerStatus
from warroom_mcp.settings import Settings
from warroom_mcp.store.sqlite import SqliteStore
from warroom_mcp.toolbox import Exposed, Toolbox
from warroom_mcp.warroom import Incident

TOOL = {"name": "get", "description": "Gets a key.", "inputSchema": {"type": "object"}}


class FakeWarRoom:
    """One server called redis with one tool; `error` is raised by every use case."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events = Events()
        self.toolbox = Toolbox(self.events)
        self.statuses: tuple[ServerStatus, ...] = (STATUS,)
        self.error: BaseException | None = None
        self.incident: Incident | None = None
        self.asked: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        self.store = SqliteStore(self.settings.database)
        self.approvals = Approvals(self.store)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.store.aclose()

    async def refresh(self) -> None:
        """Servers that were added before are known from here on, as with the real one."""
        self.toolbox.publish("redis", Definitions(tools=(TOOL,)))

    def _do(self, **asked: Any) -> None:
        self.asked = asked
        self.events.publish(Progress("install", "fetching", 0.5))
        self.events.publish(Progress("install", "done", 1.0))
        if self.error is not None:
            raise self.error

    async def analyze_problem(self, problem: str | bytes, *, deep: bool = False) -> Analysis:
        self._do(problem=problem)
        return ANALYSIS

    async def find_servers(
        self, query: str | None = None, *, problem_id: str | None = None, limit: int = 5
    ) -> FindResult:
        self._do(query=query, limit=limit)
        return FindResult((CANDIDATE,) if query != "nothing" else (), ())

    @property
    def finding(self) -> Self:
        """The part that reads and finds: this one too."""
        return self

    async def known(self, query: str | None, problem_id: str | None) -> Analysis:
        if not query:
            raise InvalidInput("Neither a query nor a problem_id was given.")
        return replace(ANALYSIS, text=query)

    async def find_for(self, analysis: Analysis, limit: int) -> FindResult:
        return await self.find_servers(analysis.text, limit=limit)

    async def add_server(
        self,
        candidate_id: str,
        *,
        parameters: Mapping[str, str] | None = None,
        auto_approve: bool = False,
        asker: Asker | None = None,
    ) -> Added:
        self._do(candidate_id=candidate_id, parameters=parameters, auto_approve=auto_approve, asker=asker)
        await self.refresh()
        return Added(SERVER, self.toolbox.tools("redis"), new=True)

    async def handle_incident(
        self, problem: str | bytes, *, auto_approve: bool = False, asker: Asker | None = None
    ) -> Incident:
        self._do(problem=problem, auto_approve=auto_approve, asker=asker)
        await self.refresh()
        added = (Added(SERVER, self.toolbox.tools("redis"), new=True),)
        return self.incident or Incident(ANALYSIS, FindResult((CANDIDATE,), ()), added, (), (), ())

    async def list_servers(self) -> tuple[ServerStatus, ...]:
        self._do()
        return self.statuses

    async def remove_server(self, name: str) -> None:
        self._do(name=name)
        if name != "redis":
            raise UnknownServer(f"No server is called {name!r}.")

    async def find_tools(self, query: str | Sequence[str], limit: int = 10) -> tuple[Exposed, ...]:
        return self.toolbox.search([query] if isinstance(query, str) else query, limit)

    async def call_tool(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._do(name=name, arguments=arguments)
        await self.refresh()
        self.toolbox.resolve(name)
        text = {"type": "text", "text": "one\x1b[2J\ntwo"}
        return {"content": [text], "isError": arguments.get("fail", False)}

    async def optimize(self, *, apply: bool = False) -> tuple[Proposal, ...]:
        self._do(apply=apply)
        return (Proposal("redis", "retire", "unused for 20 days", 900, 50_000_000),)


def wrapped(error: WarRoomError) -> BaseExceptionGroup[Exception]:
    """The error as a task group hands it on."""
    return ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("inner", [error])])
