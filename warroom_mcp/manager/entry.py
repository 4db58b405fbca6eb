"""One added server and what is known of its child: state, last failure, and when to try again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from warroom_mcp.errors import ChildGone, IntegrityMismatch, MissingInput, WarRoomError
from warroom_mcp.models import AddedServer, ChildState, Definitions, Speech
from warroom_mcp.wire.codec import encode
from warroom_mcp.wire.protocol import ASKING

if TYPE_CHECKING:
    from warroom_mcp.manager.child import Child

LONGEST_BACKOFF = 60.0
"""Seconds; a child that fails again and again is tried no more often than this."""


LineKey = tuple[bool, str]
"""How a line to a child is told from another: its era, and what a child with a handshake may ask."""
MAX_LINES = 4
"""Connections to one server; hosts that differ in more ways share the first of their era."""


@dataclass(slots=True, eq=False)
class Entry:
    """One row of the manager's table. `error` is why it failed last, None while it is well.

    `lines` are its running children: one as a rule, more when hosts that speak differently share this
    War Room. `only` is the one era that the server speaks, if it is known to speak no other.
    """

    server: AddedServer
    definitions: Definitions = field(default_factory=Definitions)
    state: ChildState = ChildState.ASLEEP
    reason: str = "It has not been needed yet."
    lines: dict[LineKey, Child] = field(default_factory=dict)
    only: bool | None = None
    error: WarRoomError | None = None
    failures: int = 0
    retry_at: float = 0.0
    watched: frozenset[str] = frozenset()
    latest: tuple[Speech, Child] | None = None
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    def key(self, speech: Speech) -> LineKey:
        """The line for a host that speaks like this."""
        modern = speech.modern if self.only is None else self.only
        key = (modern, "" if modern else _asks(speech.capabilities))
        if key not in self.lines and len(self.lines) >= MAX_LINES:
            return next((known for known in self.lines if known[0] == modern), key)
        return key

    def line(self, speech: Speech) -> Child | None:
        """The child to call for such a host, if it is ready."""
        if self.latest is not None and self.latest[0] is speech:
            child: Child | None = self.latest[1]
        else:
            child = self.lines.get(self.key(speech))
            self.latest = (speech, child) if child is not None else None
        return child if child is not None and child.ready else None

    def speech_for(self, speech: Speech) -> Speech:
        """How the server is to be spoken to for such a host."""
        return Speech(speech.modern if self.only is None else self.only, speech.capabilities)

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
        if LONGEST_BACKOFF < self.retry_at - now < math.inf:  # the clock was set back
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


def _asks(capabilities: Mapping[str, Any]) -> str:
    """What of a host's capabilities decides what a server with a handshake offers and asks."""
    asked = {name: capabilities[name] for name in sorted(set(ASKING.values())) if name in capabilities}
    return encode(asked).decode() if asked else ""
