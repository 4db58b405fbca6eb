"""Results of the use cases as JSON-ready values: one shape each, whichever edge they leave by."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from warroom_mcp.models import (
    Analysis,
    Candidate,
    FindResult,
    Proposal,
    ServerStatus,
    SourceReport,
    Ticket,
    ToolUsage,
)

if TYPE_CHECKING:
    from warroom_mcp.adding import Added
    from warroom_mcp.catalog.sync import Synced
    from warroom_mcp.finding import Offered, Steps
    from warroom_mcp.listing import SourceStatus
    from warroom_mcp.toolbox import Exposed
from warroom_mcp.warroom import Attempt, Incident

Answer = dict[str, Any]


def analysis(value: Analysis) -> Answer:
    """Signals with evidence, needs, keywords, severity, plan."""
    return {
        "problem_id": value.problem_id,
        "kind": value.kind.value,
        "why_nothing": value.why_nothing or None,
        "notes": list(value.notes),
        "severity": value.severity.value,
        "needs": [
            {
                "technology": need.technology,
                "capabilities": list(need.capabilities),
                "confidence": round(need.confidence, 2),
                "parameters": dict(need.parameters),
            }
            for need in value.needs
        ],
        "signals": [
            {
                "kind": signal.kind.value,
                "value": signal.value,
                "evidence": signal.evidence,
                "span": [signal.span.start, signal.span.end],
            }
            for signal in value.signals
        ],
        "keywords": list(value.keywords),
        "search_plan": {"keywords": list(value.plan.keywords), "queries": list(value.plan.queries)},
        "secrets_redacted": value.redactions,
    }


def found(value: FindResult) -> Answer:
    """Ranked candidates, and what became of every source."""
    return {
        "candidates": [candidate(c) for c in value.candidates],
        "cover": list(value.cover),
        "not_covered": list(value.uncovered),
        "sources": [source(s) for s in value.sources],
    }


def steps(value: "Steps") -> Answer:
    """What was found for each of several queries, and the smallest set of servers for all."""
    return {
        "steps": [
            {
                "query": step.query,
                "why_nothing": step.analysis.why_nothing or None,
                "candidates": [candidate(c) for c in step.found.candidates],
            }
            for step in value.steps
        ],
        "cover": [c.id for c in value.cover],
        "not_covered": list(value.uncovered),
        "sources": [source(s) for s in value.sources],
    }


def offered(value: "Offered") -> Answer:
    """A tool of a server that is not added, as a catalog tells of it."""
    return {
        "tool": value.tool.name,
        "description": value.tool.description,
        "server": value.server,
        "candidate_id": value.candidate_id,
    }


def source_status(value: "SourceStatus") -> Answer:
    """What the catalog holds of one source, and since when."""
    age = (datetime.now(UTC) - value.synced).total_seconds() if value.synced else None
    return {
        "source": value.name,
        "servers": value.listings,
        "synced": value.synced.isoformat() if value.synced else None,
        "age_seconds": round(age) if age is not None else None,
        "cut_off": bool(value.walk),
        "reason": value.failure,
    }


def synced(value: "Synced") -> Answer:
    """What the sync of one source did."""
    return {
        "source": value.name,
        "seen": value.seen,
        "removed": value.removed,
        "pages": value.pages,
        "whole": value.whole,
        "seconds": round(value.seconds, 1),
        "reason": value.failure,
    }


def candidate(value: Candidate) -> Answer:
    """One candidate: what it is, its score with reasons, what it needs."""
    inputs = value.package.inputs
    return {
        "candidate_id": value.id,
        "name": value.name,
        "description": value.description,
        "score": value.score.total,
        "why": [f"{p.name} {round(p.points, 1):g}/{p.maximum}: {p.why}" for p in value.score.parts],
        "origin": value.origin.value,
        "origin_evidence": value.origin_evidence,
        "runtime": value.package.kind.value,
        "version": value.package.version,
        "for": value.need,
        "relevance": round(value.relevance, 3),
        "unconfirmed": value.unconfirmed or None,
        "parameters": dict(value.parameters),
        "inputs": [i.name for i in inputs if i.required and not i.secret],
        "credentials": [i.name for i in inputs if i.required and i.secret],
        "weekly_downloads": value.weekly_downloads,
        "updated": value.updated.isoformat() if value.updated else None,
        "deprecated": value.deprecated,
        "heir": value.heir,
        "repository": value.repository,
        "sources": list(value.sources),
    }


def source(value: SourceReport) -> Answer:
    """How one source answered."""
    return {
        "source": value.name,
        "state": value.state.value,
        "found": value.found,
        "reason": value.reason,
        "age_seconds": value.age,
    }


def added(value: "Added") -> Answer:
    """A server that is ready, and its tools."""
    return {
        "server": value.server.name,
        "candidate_id": value.server.plan.candidate_id,
        "version": value.server.plan.package.version,
        "new": value.new,
        "approved_by": value.server.approved_by,
        "tools": [tool(t) for t in value.tools],
    }


def attempt(value: "Attempt") -> Answer:
    """A candidate that did not become ready, and why."""
    return {"candidate_id": value.candidate_id, "for": value.need, **value.error.to_dict()}


def incident(value: "Incident") -> Answer:
    """The outcome of the whole flow."""
    return {
        **found(value.found),
        "problem_id": value.analysis.problem_id,
        "severity": value.analysis.severity.value,
        "needs": [need.technology for need in value.analysis.needs],
        "ready": [added(a) for a in value.added],
        "waiting_for_approval": [attempt(a) for a in value.waiting],
        "failed": [attempt(a) for a in value.failed],
        "not_covered": list(value.uncovered),
    }


def server(value: ServerStatus) -> Answer:
    """One server with state, reason, next step."""
    return {
        "name": value.name,
        "candidate_id": value.candidate_id,
        "version": value.version,
        "state": value.state.value,
        "reason": value.reason,
        "next_step": value.next_step,
        "tools": list(value.tools),
        "approved_by": value.approved_by,
        "added": value.added.isoformat(timespec="seconds"),
        "usage": [usage(u) for u in value.usage],
        "memory_bytes": value.memory_bytes,
    }


def usage(value: ToolUsage) -> Answer:
    """How often one tool was called."""
    return {
        "server": value.server,
        "tool": value.tool,
        "calls": value.calls,
        "errors": value.errors,
        "seconds": round(value.seconds, 3),
        "last_used": value.last_used.isoformat(timespec="seconds") if value.last_used else None,
    }


def tool(value: "Exposed") -> Answer:
    """One exposed tool, with its schema."""
    return {
        "name": value.name,
        "server": value.server,
        "description": str(value.definition.get("description") or ""),
        "inputSchema": value.definition.get("inputSchema"),
    }


def proposals(values: Sequence[Proposal], *, applied: bool) -> Answer:
    """What `optimize` proposes, or did."""
    rows = [
        {
            "server": p.server,
            "action": p.action,
            "reason": p.reason,
            "tokens_saved": p.tokens_saved,
            "memory_saved": p.memory_saved,
        }
        for p in values
    ]
    return {"applied": applied, "proposals": rows}


def ticket(value: Ticket) -> Answer:
    """One question to a person; references to secrets, never their values."""
    return {
        "ticket": value.id,
        "candidate_id": value.plan.candidate_id,
        "state": value.state.value,
        "level": value.level.value,
        "approver": value.approver.value,
        "why": value.why,
        "card": list(value.card),
        "created": value.created.isoformat(timespec="seconds"),
        "answered_by": value.answered_by,
        "command": f"warroom approve {value.id}",
    }


def rows(name: str, values: Sequence[Mapping[str, Any]]) -> Answer:
    """A list under a name."""
    return {name: [dict(value) for value in values]}
