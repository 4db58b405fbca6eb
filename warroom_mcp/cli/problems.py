"""The commands that begin with a problem: analyze, find, solve."""

from typing import TYPE_CHECKING

from warroom_mcp import shapes
from warroom_mcp.cli import failing, views
from warroom_mcp.cli.running import Outcome, Session
from warroom_mcp.errors import Refusal

if TYPE_CHECKING:
    from warroom_mcp.warroom import Incident


async def analyze(session: Session, problem: str | bytes, *, deep: bool = False) -> Outcome:
    """What the problem says."""
    analysis = await session.war_room.analyze_problem(problem, deep=deep)
    return Outcome(shapes.analysis(analysis), views.analysis)


async def find(session: Session, query: str, limit: int) -> Outcome:
    """Which servers there are for some words; 1 when there is none."""
    analysis = await session.war_room.finding.known(query, None)
    found = await session.war_room.find_for(analysis, limit)
    answer = {**shapes.found(found), "why_nothing": analysis.why_nothing or None}
    good = answer["candidates"] or analysis.why_nothing
    return Outcome(answer, views.found, failing.OK if good else failing.FAILED)


async def find_for_steps(session: Session, queries: list[str], limit: int) -> Outcome:
    """Which servers there are for each step of a task; 1 when there is none for any."""
    answer = shapes.steps(await session.war_room.find_for_steps(queries, limit=limit))
    return Outcome(answer, views.steps, failing.OK if answer["cover"] else failing.FAILED)


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
