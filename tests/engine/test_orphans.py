"""Children whose War Room died together with its watchdog."""

import os
import subprocess
import sys

import anyio
import psutil
import pytest

from warroom_mcp.engine.orphans import end_orphans, find_orphans, is_orphan, new_marker
from warroom_mcp.engine.reaper import MARKER

SLEEPER = [sys.executable, "-S", "-E", "-c", "import sys; sys.stdin.read()"]


def test_a_child_of_a_running_war_room_is_no_orphan() -> None:
    assert not is_orphan(new_marker())


def test_two_children_have_two_markers() -> None:
    assert new_marker() != new_marker()


@pytest.mark.parametrize("marker", ["", "x", "12", "a.b.c", "1.x.y"])
def test_a_marker_that_names_no_owner_is_left_alone(marker: str) -> None:
    assert not is_orphan(marker)


def test_a_process_that_took_over_the_id_of_a_dead_war_room_is_not_taken_for_it() -> None:
    started = int(psutil.Process().create_time())
    assert is_orphan(f"{os.getpid()}.{started - 3600}.token")


def start_left_behind() -> subprocess.Popen[bytes]:
    """A child of a War Room that is no more."""
    told = [sys.executable, "-c", "import os; print(os.getpid())"]
    gone = subprocess.run(told, capture_output=True, check=True)
    marker = f"{int(gone.stdout)}.1.token"
    return subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, env={MARKER: marker})


async def test_what_a_dead_war_room_left_behind_is_found_and_ended() -> None:
    child = start_left_behind()
    try:
        with anyio.fail_after(20):
            found = await anyio.to_thread.run_sync(find_orphans)
            # A War Room of another test may have been quicker: it ends every orphan it sees.
            assert child.pid in found or child.poll() is not None
            await anyio.to_thread.run_sync(end_orphans)
            assert await anyio.to_thread.run_sync(child.wait) < 0
    finally:
        child.kill()
        child.communicate()
