"""One added server and what is known of its child: state, last failure, and when to try again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from warroom_mcp.errors import ChildGone, IntegrityMismatch, MissingInput, WarRoomError
from warroom_mcp.models import AddedServer, ChildState, Definitions

if TYPE_CHECKING:
    from warroom_mcp.manager.child import Child

LONGEST_BACKOFF = 60.0
"""Seconds; a child that fails again and again is tried no more often than this."""


@dataclass(slots=True, eq=False)
class Entry:
    """One row of the manager's table. `error` is why it failed last, None while it is well."""

    server: AddedServer
    definitions: Definitions = field(default_factory=Definitions)
    state: ChildState = ChildState.ASLEEP
    reason: str = "It has not been needed yet."
    child: Child | None = None
    error: WarRoomError | None = None
    failures: int = 0
    retry_at: float = 0.0
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def name(self) -> str:
        """The server's name."""
        return self.server.name

    def note_failure(self, error: WarRoomError, now: float) -> None:
        """The first failure may be tried again at once, further ones later and later, hopeless ones not."""
        self.error = error
        self.failures += 1
        pause = min(LONGEST_BACKOFF, 2.0 ** min(self.failures - 2, 10)) if self.failures > 1 else 0.0
        self.retry_at = math.inf if hopeless(error) else now + pause

    def waiting(self, now: float) -> WarRoomError | None:
        """The error to answer with, while it is too early to try again."""
        if self.error is None or now >= self.retry_at:
            return None
        error = self.error  # a copy, without the traceback of the first time
        return type(error)(error.message, hint=error.hint, retryable=error.retryable, details=error.details)


def hopeless(error: WarRoomError) -> bool:
    """Whether trying again can only do harm: a server that turns us away must not be stormed."""
    return isinstance(error, MissingInput | IntegrityMismatch) or "credential" in error.details


def repeatable(definitions: Definitions, method: str, params: Mapping[str, Any] | None) -> bool:
    """Whether a request may be sent twice: all but calls of tools that do not say so."""
    if method != "tools/call":
        return True
    name = (params or {}).get("name")
    for tool in definitions.tools:
        if tool["name"] == name:
            hints = tool.get("annotations")
            hints = hints if isinstance(hints, Mapping) else {}
            return hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True
    return False


def uncertain(error: ChildGone) -> ChildGone:
    """The error for a call that may have been carried out before its child died."""
    return ChildGone(
        error.message,
        hint="Whether the call took effect is not known: look before calling again. The server is started "
        "again at the next call.",
        retryable=False,
        details=error.details,
    )
