"""Counts calls in memory, off the hot path; what was counted is handed to the store in one go."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from warroom_mcp.models import ToolUsage

Key = tuple[str, str]


class Tally:
    """What was counted since it was taken last, by server and tool."""

    def __init__(self) -> None:
        self._counts: dict[Key, ToolUsage] = {}

    def count(self, server: str, tool: str, *, seconds: float, error: bool) -> None:
        """Note one call, now."""
        one = ToolUsage(server, tool, 1, int(error), seconds, datetime.now(UTC))
        self.add([one])

    def add(self, counts: Iterable[ToolUsage]) -> None:
        """Add counts, such as those that could not be kept."""
        for one in counts:
            key = (one.server, one.tool)
            known = self._counts.get(key)
            self._counts[key] = one if known is None else summed(known, one)

    def take(self) -> tuple[ToolUsage, ...]:
        """Everything counted so far; counting begins anew."""
        counts, self._counts = self._counts, {}
        return tuple(counts.values())

    def forget(self, server: str) -> None:
        """Drop what was counted for a server."""
        self._counts = {key: one for key, one in self._counts.items() if key[0] != server}

    def on_top_of(self, kept: Iterable[ToolUsage]) -> tuple[ToolUsage, ...]:
        """The kept counts with ours added, sorted by server and tool."""
        total = Tally()
        total.add(kept)
        total.add(self._counts.values())
        return tuple(sorted(total.take(), key=lambda one: (one.server, one.tool)))


def summed(one: ToolUsage, other: ToolUsage) -> ToolUsage:
    """Both counts as one."""
    used = [moment for moment in (one.last_used, other.last_used) if moment is not None]
    return replace(
        one,
        calls=one.calls + other.calls,
        errors=one.errors + other.errors,
        seconds=one.seconds + other.seconds,
        last_used=max(used, default=None),
    )
