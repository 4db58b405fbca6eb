"""The commands that begin with a problem: analyze, find, solve."""

from typing import TYPE_CHECKING

from warroom_mcp import shapes
from warroom_mcp.cli import failing, views
from warroom_mcp.cli.running import Outcome, Session
from warroom_mcp.errors import Refusal

if TYPE_CHECKING:
    from warroom_mcp.warroom import Incident


async def analyze(session: Session, problem: str | bytes) -> Outcome:
    """What the problem says."""
    return Outcome(shapes.analysis(await session.war_room.analyze_problem(problem)), views.analysis)


async def find(session: Session, query: str, limit: int) -> Outcome:
    """Which servers there are for some words; 1 when there is none."""
    answer = shapes.found(await session.war_room.find_servers(query, limit=limit))
    return Outcome(answer, views.found, failing.OK if answer["candidates"] else failing.FAILED)


async def solve(session: Session, problem: str | bytes, *, auto_approve: bool) -> Outcome:
    """The whole flow."""
    incident = await session.war_room.handle_incident(problem, auto_approve=auto_approve, asker=session.asker)
    return Outcome(shapes.incident(incident), views.incident, incident_code(incident))


def incident_code(incident: "Incident") -> int:
    """4 when something waits, 0 when something is ready, 3 when all was refused, else 1."""
    if incident.waiting:
        return failing.WAITING
    if incident.added:
        return failing.OK
    refused = [isinstance(attempt.error, Refusal) for attempt in incident.failed]
    return failing.REFUSED if refused and all(refused) else failing.FAILED
