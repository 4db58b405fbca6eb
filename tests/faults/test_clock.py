"""Clocks that jump: nobody waits for ever, and nobody is stormed."""

import time
from pathlib import Path

import pytest

from tests.manager.house import Config, house, server
from warroom_mcp.errors import ChildGone, StartFailed
from warroom_mcp.manager.entry import LONGEST_BACKOFF, Entry

DAY = 86_400.0


def failed(times: int, now: float) -> Entry:
    """An entry that failed so many times, the last time now."""
    entry = Entry(server())
    for _ in range(times):
        entry.note_failure(ChildGone("it is gone"), now)
    return entry


@pytest.mark.parametrize("times", [1, 2, 5, 50, 2000])
@pytest.mark.parametrize("jump", [-10 * DAY, -DAY, -LONGEST_BACKOFF - 1])
def test_a_clock_that_is_set_back_does_not_lengthen_a_wait(times: int, jump: float) -> None:
    entry = failed(times, DAY)
    assert entry.waiting(DAY + jump) is None


@pytest.mark.parametrize("times", [1, 2, 5, 50, 2000])
def test_a_clock_that_jumps_forward_ends_a_wait_once(times: int) -> None:
    entry = failed(times, DAY)
    assert entry.waiting(2 * DAY) is None
    entry.note_failure(ChildGone("it is gone"), 2 * DAY)
    # It does not make up for the time that was skipped.
    assert (entry.waiting(2 * DAY) is None) is False
    assert entry.waiting(2 * DAY + LONGEST_BACKOFF) is None


def test_a_hopeless_failure_is_waited_out_by_no_clock() -> None:
    entry = Entry(server())
    entry.note_failure(StartFailed("it answered 401", details={"credential": "Authorization"}), DAY)
    for now in (-DAY, 0.0, DAY, 1000 * DAY):
        assert entry.waiting(now) is not None


@pytest.mark.slow
async def test_the_wall_clock_is_not_what_decides_when_a_child_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config({"start_once": server("start_once")})
    (tmp_path / "start_once").write_text("5")
    async with house(tmp_path, config) as our:
        await our.manager.restore()
        for _ in range(2):
            with pytest.raises(StartFailed):
                await our.call("start_once")
        asked = our.installer.asked.count("start_once")
        for jump in (-DAY, DAY):
            real = time.time()
            monkeypatch.setattr(time, "time", lambda there=real + jump: there)
            with pytest.raises(StartFailed):
                await our.call("start_once")
        assert our.installer.asked.count("start_once") == asked


@pytest.mark.slow
async def test_an_injected_clock_that_goes_back_starts_a_child_and_does_not_storm_it(tmp_path: Path) -> None:
    now = [DAY]
    config = Config({"start_once": server("start_once")})
    (tmp_path / "start_once").write_text("5")
    async with house(tmp_path, config, clock=lambda: now[0]) as our:
        await our.manager.restore()
        for _ in range(4):
            with pytest.raises(StartFailed):
                await our.call("start_once")
        asked = our.installer.asked.count("start_once")
        now[0] = 0.0
        for _ in range(20):
            with pytest.raises(StartFailed):
                await our.call("start_once")
        assert our.installer.asked.count("start_once") == asked + 1
        (tmp_path / "start_once").unlink()
        now[0] = LONGEST_BACKOFF
        assert await our.call("start_once")
