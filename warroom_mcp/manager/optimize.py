"""Says what could go: servers that nobody calls, that only fail, or that have been given up. Pure."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from warroom_mcp.models import ChildState, Definitions, Proposal, ServerStatus

RETIRE = "retire"
CHARACTERS_PER_TOKEN = 4
FAILURES = 3
"""Calls that must all have failed before a server is called one that only fails."""


def count_tokens(definitions: Definitions) -> int:
    """What a host's model pays to see these definitions, counted at four characters a token."""
    seen = [*definitions.tools, *definitions.prompts, *definitions.resources, *definitions.templates]
    return sum(len(json.dumps(item, ensure_ascii=False)) for item in seen) // CHARACTERS_PER_TOKEN


def propose(
    statuses: Sequence[ServerStatus],
    *,
    now: datetime,
    unused_days: int,
    definitions: Mapping[str, Definitions] | None = None,
    tokens_of: Callable[[Definitions], int] = count_tokens,
    deprecated: Mapping[str, str] | None = None,
) -> tuple[Proposal, ...]:
    """The servers to retire, each with the reason in words, the largest saving of tokens first.

    `definitions` and `deprecated` (the reason) go by server name. Entries that were never approved are a
    person's own and are left alone.
    """
    found = []
    for status in statuses:
        reason = _reason(status, now, timedelta(days=unused_days), (deprecated or {}).get(status.name))
        if reason is not None:
            offered = (definitions or {}).get(status.name, Definitions())
            found.append(Proposal(status.name, RETIRE, reason, tokens_of(offered), status.memory_bytes or 0))
    return tuple(sorted(found, key=lambda one: (-one.tokens_saved, -one.memory_saved, one.server)))


def _reason(status: ServerStatus, now: datetime, unused: timedelta, deprecated: str | None) -> str | None:
    """The strongest reason to retire a server, or None."""
    if status.state in (ChildState.UNAPPROVED, ChildState.STARTING):
        return None
    if deprecated is not None:
        return f"It is deprecated: {deprecated}"
    calls = sum(one.calls for one in status.usage)
    errors = sum(one.errors for one in status.usage)
    if calls >= FAILURES and errors >= calls:
        return f"All of its {calls} calls failed."
    last = max((one.last_used for one in status.usage if one.last_used is not None), default=None)
    if last is None and now - status.added >= unused:
        return f"It was never called in the {_days(now - status.added)} since it was added."
    if last is not None and now - last >= unused:
        return f"Nobody called it for {_days(now - last)}."
    return None


def _days(time: timedelta) -> str:
    return "1 day" if time.days == 1 else f"{time.days} days"
