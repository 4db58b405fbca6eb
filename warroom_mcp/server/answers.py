"""What the host's model reads: results of the use cases as compact JSON-ready objects.

An answer says what is ready and how to reach it, what waits and for whom, what failed and what to do.
Schemas of new tools travel in the answer, up to a budget, for hosts that freeze their tool list.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warroom_mcp import shapes
from warroom_mcp.adding import Added
from warroom_mcp.errors import WarRoomError
from warroom_mcp.finding import Offered, Steps
from warroom_mcp.hosts.route import Route
from warroom_mcp.models import (
    Analysis,
    Candidate,
    FindResult,
    Proposal,
    ServerStatus,
    SourceReport,
    SourceState,
)
from warroom_mcp.toolbox import Exposed, first_line
from warroom_mcp.warroom import Incident

# About 5,000 tokens of schemas in one answer; more tools are named, and find_tools has their schemas.
SCHEMA_BUDGET = 20_000
_MAX_SIGNALS = 20


@dataclass(frozen=True, slots=True)
class Reach:
    """How a host reaches the tools of children; `hidden` are those that it does not list, taking no more."""

    route: Route = Route.USE_TOOL
    hidden: frozenset[str] = frozenset()


def result(answer: Mapping[str, Any], *, error: bool = False) -> dict[str, Any]:
    """A tools/call result: the answer as structured content and as the same JSON in text."""
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": dict(answer),
        "isError": error,
        "resultType": "complete",
    }


def failure(error: WarRoomError) -> dict[str, Any]:
    """A tools/call result for an error: stable code, what happened, what to do."""
    return result({"error": error.to_dict()}, error=True)


def analysis(value: Analysis) -> dict[str, Any]:
    """Signals with evidence, needs, keywords, severity, plan."""
    shape = shapes.analysis(value)
    return _lean({**shape, "signals": shape["signals"][:_MAX_SIGNALS]})


def found(value: FindResult, analysis: Analysis | None = None) -> dict[str, Any]:
    """Ranked candidates, the smallest set that covers all needs, and the sources that did not answer."""
    if analysis is not None and analysis.why_nothing:
        return {"candidates": [], "next": f"No server is needed: {analysis.why_nothing}."}
    several = len({c.need for c in value.candidates if c.need}) > 1
    return {
        "candidates": [_lean(shapes.candidate(c)) for c in value.candidates],
        **_lean({"cover": list(value.cover) if several else [], "not_covered": list(value.uncovered)}),
        **_sources(value.sources),
        "next": "Call add_server with a candidate_id."
        if value.candidates
        else "Nothing fits. Search with other words, or name the technology.",
    }


def steps(value: Steps) -> dict[str, Any]:
    """The candidates of each step in short, and the smallest set for all steps in full."""
    return {
        "steps": [
            _lean(
                {
                    "query": step.query,
                    "why_nothing": step.analysis.why_nothing,
                    "candidates": [_short(c) for c in step.found.candidates],
                }
            )
            for step in value.steps
        ],
        "cover": [_lean(shapes.candidate(c)) for c in value.cover],
        **_lean({"not_covered": list(value.uncovered)}),
        **_sources(value.sources),
        "next": "Call add_server with each candidate_id of the cover."
        if value.cover
        else "Nothing fits any step. Use other words, or name the technologies.",
    }


def _short(value: Candidate) -> dict[str, Any]:
    return _lean(
        {
            "candidate_id": value.id,
            "description": value.description[:120],
            "score": value.score.total,
            "for": value.need,
            "unconfirmed": value.unconfirmed,
            "deprecated": value.deprecated,
        }
    )


def added(value: Added, ways: Reach) -> dict[str, Any]:
    """A server that is ready, its tools with schemas, and how to call them on this host."""
    tools, named = tool_cards(value.tools)
    return {
        **shapes.added(value),
        "state": "ready" if value.new else "was added before, and is ready",
        "tools": tools,
        **({"more_tools": named, "more_schemas": "find_tools"} if named else {}),
        **reach(value.tools, ways),
    }


def incident(value: Incident, ways: Reach) -> dict[str, Any]:
    """The outcome of the whole flow."""
    shape = shapes.incident(value)
    kept = ("problem_id", "severity", "needs", "waiting_for_approval", "failed", "not_covered")
    return {
        **_lean({key: shape[key] for key in kept}),
        "ready": [added(item, ways) for item in value.added],
        **_lean({"other_candidates": _others(value)}),
        **_sources(value.found.sources),
        "next": _next(value),
    }


def servers(values: Sequence[ServerStatus]) -> dict[str, Any]:
    """Every server with state, reason, next step."""
    if not values:
        return {
            "servers": [],
            "next": "No server is added yet: call handle_incident with a problem, or find_servers.",
        }
    return {"servers": [_lean(shapes.server(v)) for v in values]}


def tools(
    queries: Sequence[str],
    matches: Sequence[Exposed],
    all_tools: Sequence[Exposed],
    offered: Sequence[Offered] = (),
) -> dict[str, Any]:
    """Tools found; when nothing matched, what was searched, what there is, and what could be added."""
    if matches:
        cards, named = tool_cards(matches)
        return {"tools": cards, **({"more_tools": named} if named else {}), "call_with": "use_tool"}
    names = sorted({tool.server for tool in all_tools})
    return {
        "tools": [],
        "searched": f"{len(all_tools)} tools of {len(names)} servers ({', '.join(names) or 'none added'})",
        **_lean({"could_be_added": [_lean(shapes.offered(one)) for one in offered]}),
        "next": "Call add_server with a candidate_id of could_be_added, or use other words."
        if offered
        else "Use other words, or call find_servers to add a server.",
        "available": [tool.name for tool in all_tools[:40]],
        "query": queries[0] if len(queries) == 1 else list(queries),
    }


def proposals(values: Sequence[Proposal], *, applied: bool) -> dict[str, Any]:
    """What `optimize` proposes, or did."""
    shape = shapes.proposals(values, applied=applied)
    return shape if values else {**shape, "next": "Nothing to retire."}


def tool_cards(values: Iterable[Exposed]) -> tuple[list[dict[str, Any]], list[str]]:
    """Tools with schemas until the budget is spent, and the names with one line of the rest."""
    cards: list[dict[str, Any]] = []
    named: list[str] = []
    left = SCHEMA_BUDGET
    for tool in values:
        card = {
            "name": tool.name,
            "description": str(tool.definition.get("description") or "")[:1000],
            "inputSchema": tool.definition.get("inputSchema"),
        }
        left -= len(json.dumps(card, ensure_ascii=False))
        if left > 0:
            cards.append(card)
        else:
            named.append(f"{tool.name}: {first_line(tool.definition, 80)}")
    return cards, named


def reach(values: Sequence[Exposed], ways: Reach) -> dict[str, Any]:
    """How the tools are called on this host: natively as seen, or through `use_tool`, which always works."""
    shown = [tool.name for tool in values if tool.name not in ways.hidden]
    beyond = [tool.name for tool in values if tool.name in ways.hidden]
    if ways.route is not Route.NATIVE or not shown:
        example = (shown or beyond or ["server__tool"])[0]
        why = "it takes no more tools" if beyond and not shown else "this host was not seen to use new ones"
        how = f'Call use_tool with tool="{example}" and its arguments: {why}.'
        return {"route": Route.USE_TOOL.value, "how_to_call": how}
    how = f"Your tool list now has them: call {shown[0]} directly. use_tool works too."
    if beyond:
        how += f" {len(beyond)} more than this host takes are called with use_tool only."
    return {"route": Route.NATIVE.value, "how_to_call": how, **({"use_tool_only": beyond} if beyond else {})}


def _others(value: Incident) -> list[dict[str, Any]]:
    tried = {a.server.plan.candidate_id for a in value.added}
    tried |= {a.candidate_id for a in (*value.waiting, *value.failed)}
    rest = [c for c in value.found.candidates if c.id not in tried]
    return [{"candidate_id": c.id, "for": c.need, "score": c.score.total} for c in rest[:5]]


def _next(value: Incident) -> str:
    if value.waiting:
        return f"A person has to approve: {value.waiting[0].error.hint}"
    if value.added:
        return "Use the tools of the ready servers to look into the problem."
    if value.analysis.why_nothing:
        return f"No server is needed: {value.analysis.why_nothing}."
    if not value.analysis.needs:
        return "No technology speaks in this text; no server is needed, or name the technology."
    return "No server became ready: see `failed` for the reasons, and try another candidate."


def _sources(reports: Sequence[SourceReport]) -> dict[str, Any]:
    late = [shapes.source(s) for s in reports if s.state is not SourceState.OK]
    return _lean({"sources_not_fresh": [_lean(row) for row in late]})


def _lean(shape: Mapping[str, Any]) -> dict[str, Any]:
    """A shape without what says nothing: the model pays for every character."""
    return {key: value for key, value in shape.items() if value is not None and value not in ("", [], {})}
