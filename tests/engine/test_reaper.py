"""The watchdog: nothing survives War Room, however it dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.children.processes import alive, environment, fake, gone, written
from warroom_mcp.engine import reaper
from warroom_mcp.engine.local import LocalEngine

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

HOST = """
import sys, anyio
from pathlib import Path
from tests.children.processes import environment, fake
from warroom_mcp.engine.local import LocalEngine

async def main():
    here = Path(sys.argv[1])
    engine = LocalEngine()
    for mode in sys.argv[2:]:
        await engine.spawn(fake(mode, here / mode), env=environment(), cwd=here, name=mode)
    (here / "ready").write_text("yes")
    await anyio.sleep(600)

anyio.run(main)
"""


def start_host(here: Path, modes: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", HOST, str(here), *modes], start_new_session=True)


def watchdogs(owner: int) -> set[int]:
    """The watchdogs at the other end of a pipe of this process; other tests have their own."""
    pipes = {_target(file) for file in Path(f"/proc/{owner}/fd").iterdir()}
    found = set()
    for process in psutil.process_iter():
        try:
            ours = reaper.__file__ in process.cmdline() and alive(process.pid)
        except psutil.Error:
            continue
        if ours and _target(Path(f"/proc/{process.pid}/fd/0")) in pipes:
            found.add(process.pid)
    return found


def _target(file: Path) -> str | None:
    try:
        return os.readlink(file)
    except OSError:
        return None


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_survives_the_death_of_war_room(tmp_path: Path, how: signal.Signals) -> None:
    modes = ["grandchild", "setsid", "daemon", "ignore_all"]
    host = start_host(tmp_path, modes)
    try:
        await written(tmp_path / "ready", within=30)
        pids: list[int] = []
        for mode in modes[:3]:
            pids += [int(pid) for pid in (await written(tmp_path / mode)).split()]
        pids += [process.pid for process in psutil.Process(host.pid).children(recursive=True)]
        assert sum(alive(pid) for pid in pids) >= 5
        ours = watchdogs(host.pid)
    finally:
        # the whole group, as a host does it: the watchdog must not go along
        os.killpg(host.pid, how)
        await anyio.to_thread.run_sync(host.wait)
    await gone(pids)
    await gone(ours)
    assert len(ours) == 1


async def test_the_watchdog_is_no_descendant_and_leaves_with_its_engine(tmp_path: Path) -> None:
    engine = LocalEngine()
    with anyio.fail_after(15):
        child = await engine.spawn(fake("ok"), env=environment(), cwd=tmp_path, name="fake")
        (ours,) = watchdogs(os.getpid())
        assert ours not in {process.pid for process in psutil.Process().children(recursive=True)}
        os.kill(ours, signal.SIGTERM)
        os.kill(ours, signal.SIGINT)
        await child.stop(2)
        assert alive(ours)
        await engine.aclose()
        await gone([ours])


async def test_a_watchdog_that_was_killed_is_replaced_and_knows_the_children(tmp_path: Path) -> None:
    engine = LocalEngine()
    with anyio.fail_after(15):
        first = await engine.spawn(fake("ignore_all"), env=environment(), cwd=tmp_path, name="one")
        (old,) = watchdogs(os.getpid())
        os.kill(old, signal.SIGKILL)
        await gone([old])
        second = await engine.spawn(fake("ok"), env=environment(), cwd=tmp_path, name="two")
        assert len(watchdogs(os.getpid())) == 1
        await engine.aclose()  # as if War Room had died: both are still registered
        await gone([first.pid, second.pid])
        await first.stop(1)
        await second.stop(1)


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=12)))
def test_no_line_breaks_the_watchdog_or_names_a_group_that_it_must_not_kill(lines: list[str]) -> None:
    watched: reaper.Watched = {}
    for line in lines:
        reaper.note(line, watched)
    assert all(group is None or group > 1 for group in watched.values())


def test_facts_are_applied_in_order() -> None:
    watched: reaper.Watched = {}
    for line in ("+a", "+b", "+a 17", "+b 18", "-b", "+c"):
        reaper.note(line, watched)
    assert watched == {"a": 17, "c": None}
