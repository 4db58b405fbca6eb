"""Children whose War Room is dead all the same: found by the marker, which says whose they are.

The watchdog ends children when their War Room dies. What outlives both (a machine out of memory kills the
watchdog too) is ended by the next War Room that starts a child.
"""

from __future__ import annotations

import os
import secrets
from functools import cache

import psutil

from warroom_mcp.engine.reaper import MARKER

_SLACK = 2.0
"""Seconds that two readings of one process's start may differ."""


@cache
def _own_start() -> int:
    return int(psutil.Process().create_time())


def new_marker() -> str:
    """A marker for a child of this process: its id, its start, and something that nobody guesses."""
    return f"{os.getpid()}.{_own_start()}.{secrets.token_hex(16)}"


def is_orphan(marker: str) -> bool:
    """Whether the War Room that made a marker no longer runs; a marker that says nothing is none."""
    owner, _, rest = marker.partition(".")
    start = rest.partition(".")[0]
    if not (owner.isdecimal() and start.isdecimal()):
        return False
    try:
        found = psutil.Process(int(owner))
        return abs(found.create_time() - int(start)) > _SLACK or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def find_orphans() -> list[int]:
    """Process ids of children whose War Room died; only this user's processes can be looked into. Blocks."""
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            marker = process.environ().get(MARKER)
            if marker is not None and process.status() != psutil.STATUS_ZOMBIE and is_orphan(marker):
                found.append(process.pid)
        except (psutil.Error, OSError, ValueError):
            continue
    return found


def end_orphans() -> int:
    """Kill what `find_orphans` finds; how many they were. Blocks."""
    pids = find_orphans()
    for pid in pids:
        try:
            psutil.Process(pid).kill()
        except psutil.Error:
            continue
    return len(pids)
