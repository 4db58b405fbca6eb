"""Plays four incidents from the problem to the answer of a real tool, in a state directory of its own.

Nothing is prepared: candidates are found, resolved, installed and started as for any problem. At a
terminal the person is asked. Without one, starting the demo approves only the exact versions and
integrities that are pinned in `demo.toml`, for the demo's own directory.
"""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import anyio
from rich.console import RenderableType
from rich.rule import Rule

from warroom_mcp import shapes
from warroom_mcp.adding import Added
from warroom_mcp.approvals import Answer, Asker
from warroom_mcp.cli import failing, views
from warroom_mcp.cli.preparing import load_settings
from warroom_mcp.cli.running import Session, opened, show, write_json
from warroom_mcp.errors import Refusal, UnknownTool, WarRoomError
from warroom_mcp.models import Candidate, Ticket
from warroom_mcp.toolbox import Exposed

PINNED = "demo: pinned version and integrity"
_LOOK_DEADLINE = 60.0


@dataclass(frozen=True, slots=True)
class Look:
    """What the demo knows of a candidate: the reviewed content, and one read-only call."""

    version: str
    integrity: str
    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """The incidents, and the looks by candidate id."""

    scenarios: tuple[tuple[str, str], ...]
    looks: dict[str, Look]


class PinnedAsker:
    """Stands in where nobody can be asked: approves what is pinned, exactly, and leaves the rest open."""

    administrator = True

    async def ask(self, ticket: Ticket) -> Answer | None:
        """Yes for pinned content, else nothing."""
        package = ticket.plan.package
        look = script().looks.get(ticket.plan.candidate_id)
        pinned = look is not None and (look.version, look.integrity) == (package.version, package.integrity)
        return Answer(True, PINNED) if pinned else None


@cache
def script() -> Script:
    """The demo's data."""
    data = tomllib.loads((files("warroom_mcp.cli") / "demo.toml").read_text(encoding="utf-8"))
    scenarios = tuple((one["title"], one["problem"].strip()) for one in data["scenario"])
    return Script(scenarios, {name: Look(**look) for name, look in data["look"].items()})


def run_demo(*, as_json: bool) -> int:
    """Play all incidents; 0 when every one ended in an answer of a real tool, else 1."""
    return anyio.run(_play_all, as_json)


async def _play_all(as_json: bool) -> int:
    settings = load_settings()
    settings = settings.model_copy(update={"home": settings.home / "demo"})
    outcomes = []
    async with opened(settings) as session:
        for number, (title, problem) in enumerate(script().scenarios, 1):
            if not as_json:
                show([Rule(views.line(f"{number}. {title}"), align="left")])
            outcomes.append(await _play(session, title, problem, quiet=as_json))
    answered = sum("answer" in outcome for outcome in outcomes)
    if as_json:
        write_json({"scenarios": outcomes, "answered": answered})
    else:
        show(_end(outcomes, answered, str(settings.home)))
    return failing.OK if answered == len(outcomes) else failing.FAILED


async def _play(session: Session, title: str, problem: str, *, quiet: bool) -> dict[str, Any]:
    """One incident; what was found is shown as it comes."""
    outcome: dict[str, Any] = {"title": title, "problem": problem}

    def tell(lines: Iterator[RenderableType]) -> None:
        if not quiet:
            show(lines)

    tell(_quoted(problem))
    analysis = await session.war_room.analyze_problem(problem)
    outcome["analysis"] = shapes.analysis(analysis)
    tell(views.analysis(outcome["analysis"]))
    found = await session.war_room.find_servers(problem_id=analysis.problem_id, limit=4)
    outcome["candidates"] = shapes.found(found)
    tell(views.found(outcome["candidates"]))
    outcome["failed"] = []
    for candidate in found.candidates:
        try:
            added = await _add(session, candidate)
            tell(_started(added))
            outcome |= {"added": shapes.added(added), "answer": await _look(session, added)}
        except WarRoomError as error:
            outcome["failed"].append({"candidate_id": candidate.id, **error.to_dict()})
            tell(_failed(candidate, error))
            if isinstance(error, Refusal) and session.asker is not None:
                # The person's answer is the end of it; where nobody was asked, the next one may be pinned.
                break
            continue
        tell(_answered(outcome["answer"]))
        break
    return outcome


async def _add(session: Session, candidate: Candidate) -> Added:
    look = script().looks.get(candidate.id)
    asker: Asker = session.asker or PinnedAsker()
    return await session.war_room.add_server(
        candidate.id, version=look.version if look else None, auto_approve=True, asker=asker
    )


async def _look(session: Session, added: Added) -> dict[str, Any]:
    """The answer of one read-only call: the scripted one, or any that needs no arguments."""
    look = script().looks.get(added.server.plan.candidate_id)
    tool = _scripted(added.tools, look) or _harmless(added.tools)
    if tool is None:
        raise UnknownTool(f"{added.server.name} has no read-only tool that needs no arguments.")
    with anyio.move_on_after(_LOOK_DEADLINE):
        result = await session.war_room.call_tool(tool.name, look.arguments if look else {})
        return {"tool": tool.name, "result": result}
    return {"tool": tool.name, "result": {"content": [{"type": "text", "text": "no answer in time"}]}}


def _scripted(tools: Sequence[Exposed], look: Look | None) -> Exposed | None:
    return next((tool for tool in tools if look is not None and tool.original == look.tool), None)


def _harmless(tools: Sequence[Exposed]) -> Exposed | None:
    for tool in tools:
        hints = tool.definition.get("annotations") or {}
        schema = tool.definition.get("inputSchema") or {}
        if hints.get("readOnlyHint") and not schema.get("required"):
            return tool
    return None


# --- what a person sees ---------------------------------------------------------------------------


def _quoted(problem: str) -> Iterator[RenderableType]:
    yield from (views.line(f"  | {line}", "dim") for line in problem.splitlines())


def _started(added: Added) -> Iterator[RenderableType]:
    plan = added.server.plan
    yield views.line(f"approved by: {added.server.approved_by}")
    yield views.line(f"started: {' '.join(plan.command)}", "green")
    given = [f"{name}={value}" for name, value in plan.environment.items()]
    if given:
        yield views.line(f"given: {', '.join(given)}")
    yield views.line(f"tools: {len(added.tools)} ({', '.join(tool.name for tool in added.tools[:6])}, ...)")


def _failed(candidate: Candidate, error: WarRoomError) -> Iterator[RenderableType]:
    yield views.line(f"{candidate.id}: not started [{error.code}] {error.message}", "red")
    yield views.line(f"  {error.hint}")


def _answered(answer: dict[str, Any]) -> Iterator[RenderableType]:
    yield views.line(f"{answer['tool']} answers:")
    yield from views.called(answer["result"])
    yield views.line("")


def _end(outcomes: Sequence[dict[str, Any]], answered: int, home: str) -> Iterator[RenderableType]:
    yield Rule()
    yield views.line(f"{answered} of {len(outcomes)} incidents ended in the answer of a real tool.")
    if answered < len(outcomes):
        yield views.line("The others say above what could not be done, and what to do about it.")
    yield views.line(f"The demo keeps its state in {home}; remove that directory to play it afresh.")
