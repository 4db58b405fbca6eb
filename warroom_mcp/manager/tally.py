"""Counts calls in memory, off the hot path; what was counted is handed to the store in one go."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from warroom_mcp.models import ToolUsage

Key = tuple[str, str]


class Tally:
    """What was counted since it was taken last, by server and tool."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._fresh: dict[Key, list[float]] = {}
        self._counts: dict[Key, ToolUsage] = {}

    def count(self, server: str, tool: str, *, seconds: float, error: bool) -> None:
        """Note one call, now. This is on the way of every call: four numbers and nothing else."""
        row = self._fresh.get((server, tool))
        if row is None:
            row = self._fresh[server, tool] = [0, 0, 0.0, 0.0]
        row[0] += 1
        row[1] += error
        row[2] += seconds
        row[3] = self._clock()

    def _settle(self) -> None:
        fresh, self._fresh = self._fresh, {}
        for (server, tool), (calls, errors, seconds, last) in fresh.items():
            used = datetime.fromtimestamp(last, UTC)
            self.add([ToolUsage(server, tool, int(calls), int(errors), seconds, used)])

    def add(self, counts: Iterable[ToolUsage]) -> None:
        """Add counts, such as those that could not be kept."""
        for one in counts:
            key = (one.server, one.tool)
            known = self._counts.get(key)
            self._counts[key] = one if known is None else summed(known, one)

    def take(self) -> tuple[ToolUsage, ...]:
        """Everything counted so far; counting begins anew."""
        self._settle()
        counts, self._counts = self._counts, {}
        return tuple(counts.values())

    def forget(self, server: str) -> None:
        """Drop what was counted for a server."""
        self._settle()
        self._counts = {key: one for key, one in self._counts.items() if key[0] != server}

    def on_top_of(self, kept: Iterable[ToolUsage]) -> tuple[ToolUsage, ...]:
        """The kept counts with ours added, sorted by server and tool."""
        self._settle()
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
