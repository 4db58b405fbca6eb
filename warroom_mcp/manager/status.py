"""Servers as they are shown: never a state without its reason and next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from warroom_mcp.manager.entry import Entry
from warroom_mcp.models import ChildState, ServerStatus, ToolUsage

NEXT_STEPS = {
    ChildState.ASLEEP: "Nothing: it starts at its first call.",
    ChildState.STARTING: "Wait until it is ready.",
    ChildState.READY: "Call its tools.",
    ChildState.FAILED: "It is started again at its next call.",
    ChildState.UNAPPROVED: "Add it with add_server, so that a person can approve it, or take it out of the "
    "config file.",
}


def status(entry: Entry, usage: tuple[ToolUsage, ...], memory: int | None) -> ServerStatus:
    """An added server; `memory` is in bytes, None if it does not run here."""
    server = entry.server
    notes = []
    for child in entry.lines.values():
        notes += [note for note in child.notes if note not in notes]
        if child.rubbish:
            notes.append(f"it printed {child.rubbish} lines that are no messages")
    failed = entry.state is ChildState.FAILED and entry.error is not None
    return ServerStatus(
        name=server.name,
        candidate_id=server.plan.candidate_id,
        state=entry.state,
        reason="; ".join([entry.reason, *notes]),
        next_step=entry.error.hint if failed and entry.error else NEXT_STEPS[entry.state],
        version=server.plan.package.version,
        approved_by=server.approved_by,
        added=server.added,
        tools=tuple(tool["name"] for tool in entry.definitions.tools),
        usage=usage,
        memory_bytes=memory,
    )


def foreign_status(name: str, why: str) -> ServerStatus:
    """An entry of the config file that nobody approved."""
    return ServerStatus(
        name=name,
        candidate_id="",
        state=ChildState.UNAPPROVED,
        reason=f"It is not started: {why}.",
        next_step=NEXT_STEPS[ChildState.UNAPPROVED],
        version=None,
        approved_by="nobody",
        added=datetime.now(UTC),
        tools=(),
    )


def memory_of(pids: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Resident bytes of each server and everything it started; those that are gone are left out. Blocks."""
    import psutil  # not loaded before somebody asks

    found: dict[str, int] = {}
    for name in pids:
        for pid in pids[name]:
            try:
                process = psutil.Process(pid)
                family = (process, *process.children(recursive=True))
                found[name] = found.get(name, 0) + sum(member.memory_info().rss for member in family)
            except psutil.Error:
                continue
    return found
