"""Children that wake when they are needed, sleep when they are not, and serve hosts of both eras."""

import itertools
import os
import signal
from pathlib import Path

import anyio
import pytest

from tests.children.processes import alive, gone, written
from tests.manager.house import Config, House, house, server
from warroom_mcp.errors import StartFailed, StartTimeout
from warroom_mcp.manager import handshake, waking
from warroom_mcp.manager.child import Child
from warroom_mcp.models import ChildState, Speech

# Each test starts real processes.
pytestmark = pytest.mark.slow

LEGACY, MODERN = Speech(), Speech(True)
ASKING = Speech(capabilities={"elicitation": {}})


def began(path: Path) -> list[str]:
    """How the lives of a child began."""
    asked = path.read_text().split()
    return [method for method in asked if method in ("initialize", "server/discover")]


async def hold(our: House, name: str, speech: Speech = LEGACY) -> None:
    """A call that is never answered."""
    await our.call(name, "hang", speech=speech)


# --- sleep ---------------------------------------------------------------------------------------


async def test_a_child_that_nobody_uses_is_stopped_and_wakes_at_its_next_call(tmp_path: Path) -> None:
    async with house(tmp_path, given={"idle_seconds": 0.2}) as our:
        await our.manager.add(server())
        pid = await our.pid("ok")
        await our.becomes("ok", ChildState.ASLEEP)
        await gone([pid])
        assert "without use" in our.manager._entries["ok"].reason
        assert len(our.manager.definitions("ok").tools) == 2
        assert await our.call("ok")
        assert our.states("ok")[:5] == ["starting", "ready", "asleep", "starting", "ready"]


async def test_a_child_that_is_being_called_does_not_sleep(tmp_path: Path) -> None:
    async with house(tmp_path, given={"idle_seconds": 0.1}) as our:
        await our.manager.add(server(name="busy"))
        await our.manager.add(server(name="idle"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold, our, "busy")
            await our.becomes("idle", ChildState.ASLEEP)
            assert our.manager._entries["busy"].state is ChildState.READY
            tasks.cancel_scope.cancel()
        await our.becomes("busy", ChildState.ASLEEP)


async def test_a_child_whose_resources_are_watched_does_not_sleep(tmp_path: Path) -> None:
    config = Config({"dual": server("modern/dual"), "ok": server()})
    async with house(tmp_path, config, given={"idle_seconds": 0.2}) as our:
        await our.manager.restore()
        await our.manager.watch("dual", frozenset({"a://b"}), LEGACY)
        assert await our.call("ok")
        await our.becomes("ok", ChildState.ASLEEP)
        assert our.manager._entries["dual"].state is ChildState.READY
        await our.manager.watch("dual", frozenset(), LEGACY)
        await our.becomes("dual", ChildState.ASLEEP)


async def test_with_no_idle_time_all_keep_running(tmp_path: Path) -> None:
    async with house(tmp_path, given={"idle_seconds": 0}) as our:
        with anyio.fail_after(5):
            await our.manager._waker.put_to_sleep()


async def test_a_call_that_meets_a_child_on_its_way_to_sleep_wakes_another(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server())
        child = await our.manager.wake("ok")
        child.stop("It was stopped.")
        assert await our.call("ok")
        assert await our.manager.wake("ok") is not child


# --- several lines -------------------------------------------------------------------------------


async def test_a_server_of_both_eras_is_spoken_to_in_the_era_of_each_host(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server("modern/dual"), LEGACY)
        one = await our.call("dual", speech=LEGACY)
        other = await our.call("dual", speech=MODERN)
        again = await our.call("dual", speech=LEGACY)
    assert (one["content"][0]["text"], other["content"][0]["text"]) == ("legacy", "modern")
    assert one["_pid"] == again["_pid"] != other["_pid"]


@pytest.mark.parametrize(("mode", "first", "second"), [("exits", LEGACY, MODERN), ("modern", MODERN, LEGACY)])
async def test_hosts_of_both_eras_share_the_one_line_of_a_server_that_speaks_one(
    tmp_path: Path, mode: str, first: Speech, second: Speech
) -> None:
    async with house(tmp_path, Config({mode: server(f"modern/{mode}")})) as our:
        await our.manager.restore()
        one = await our.call(mode, speech=first)
        kept = await our.manager.wake(mode, first)
        other = await our.call(mode, speech=second)
        assert one["_pid"] == other["_pid"]
        assert await our.manager.wake(mode, second) is kept
        assert our.manager.running() == (kept,)
        assert our.manager._entries[mode].only is kept.modern
        pid = one["_pid"]
        await our.manager.remove(mode)
        assert not alive(pid)


async def test_the_one_era_of_a_server_is_remembered_when_it_is_started_again(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server("modern/exits"), MODERN)
        assert began(tmp_path / "exits") == ["server/discover", "initialize"]
        os.kill(await our.pid("exits"), signal.SIGKILL)
        await our.becomes("exits", ChildState.FAILED)
        assert await our.call("exits", speech=MODERN)
        assert began(tmp_path / "exits") == ["server/discover", "initialize", "initialize"]


async def test_a_server_that_says_nothing_to_a_probe_is_shaken_hands_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "PROBE_DEADLINE", 0.05)
    async with house(tmp_path) as our:
        await our.manager.add(server("modern/silent"), MODERN)
        assert (await our.call("silent", speech=MODERN))["content"][0]["text"] == "legacy"
        assert our.manager._entries["silent"].only is False


async def test_hosts_that_may_be_asked_different_things_have_different_lines_and_alike_ones_share(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server(), LEGACY)
        plain = await our.manager.wake("ok", LEGACY)
        asking = await our.manager.wake("ok", ASKING)
        assert plain is not asking
        assert await our.manager.wake("ok", ASKING) is asking
        assert await our.manager.wake("ok", Speech(capabilities={"experimental": {"a": 1}})) is plain


async def test_there_is_a_limit_to_the_lines_of_one_server(tmp_path: Path) -> None:
    speeches = [Speech(capabilities={"elicitation": {"n": n}}) for n in range(6)]
    async with house(tmp_path) as our:
        await our.manager.add(server(), speeches[0])
        children = [await our.manager.wake("ok", speech) for speech in speeches]
        assert len(set(children)) == 4
        assert children[4] is children[5] is children[0]


async def test_when_one_line_dies_the_others_work_on_and_it_is_started_again(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server(), LEGACY)
        plain = await our.manager.wake("ok", LEGACY)
        asking = await our.manager.wake("ok", ASKING)
        assert asking.pid is not None
        os.kill(asking.pid, signal.SIGKILL)
        await asking.over.wait()
        assert await our.state("ok") is ChildState.READY
        assert await our.manager.wake("ok", LEGACY) is plain
        assert await our.manager.wake("ok", ASKING) is not asking
        await our.manager.remove("ok")
        assert plain.over.is_set()


async def test_a_second_line_that_cannot_be_started_leaves_the_first(tmp_path: Path) -> None:
    (tmp_path / "start_once").write_text("0")
    async with house(tmp_path) as our:
        await our.manager.add(server("start_once"), LEGACY)
        with pytest.raises(StartFailed, match="exited with code 7"):
            await our.manager.wake("start_once", ASKING)
        assert await our.state("start_once") is ChildState.READY
        assert await our.call("start_once", speech=LEGACY)
        (tmp_path / "start_once").write_text("0")
        assert await our.call("start_once", speech=ASKING)


# --- listened to ---------------------------------------------------------------------------------


@pytest.mark.parametrize("speech", [LEGACY, MODERN])
async def test_a_child_that_is_listened_to_is_started_and_watched_again_when_it_dies(
    tmp_path: Path, speech: Speech
) -> None:
    config = Config({"dual": server("modern/dual")})
    watching = "subscriptions/listen" if speech.modern else "resources/subscribe"
    async with house(tmp_path, config) as our:
        await our.manager.restore()
        await our.manager.watch("dual", frozenset({"a://b"}), speech)
        first = await our.manager.wake("dual", speech)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        await our.becomes("dual", ChildState.FAILED)
        await our.becomes("dual", ChildState.READY)
        again = await our.manager.wake("dual", speech)
        assert again is not first
        assert again.modern is speech.modern
        lives = (tmp_path / "dual").read_text().split("tools/list")
        while watching not in lives[2]:
            await anyio.sleep(0.01)
            lives = (tmp_path / "dual").read_text().split("tools/list")


async def test_a_child_that_does_not_come_up_again_is_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "MAX_REVIVALS", 3)
    count = tmp_path / "start_once"
    async with house(tmp_path, clock=itertools.count(0.0, 1000.0).__next__) as our:
        await our.manager.add(server("start_once"))
        await our.manager.wake("start_once")
        our.manager._entries["start_once"].watched = frozenset({"a://b"})
        os.kill(await our.pid("start_once"), signal.SIGKILL)
        while our.states("start_once").count("failed") < 4:
            await our.changes()
        await anyio.wait_all_tasks_blocked()
        assert our.states("start_once").count("failed") == 4
        assert count.read_text() == "4"
        count.write_text("0")
        assert await our.call("start_once")  # the next use does start it


# --- starting ------------------------------------------------------------------------------------


async def test_of_many_first_calls_of_hosts_of_both_eras_each_line_is_started_once(tmp_path: Path) -> None:
    async with house(tmp_path, Config({"dual": server("modern/dual")})) as our:
        await our.manager.restore()
        woken: list[Child] = []

        async def wake(speech: Speech) -> None:
            woken.append(await our.manager.wake("dual", speech))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(wake, MODERN if number % 2 else LEGACY)
        assert len(woken) == 20
        assert len(set(woken)) == 2
        assert began(tmp_path / "dual") in (
            ["initialize", "server/discover"],
            ["server/discover", "initialize"],
        )


async def test_failures_are_waited_out_longer_and_longer_and_a_success_ends_that(tmp_path: Path) -> None:
    now = [0.0]
    count = tmp_path / "start_once"
    config = Config({"start_once": server("start_once")})
    async with house(tmp_path, config, clock=lambda: now[0]) as our:
        await our.manager.restore()

        async def tried() -> bool:
            count.write_text("5")
            with pytest.raises(StartFailed, match="exited with code 7"):
                await our.call("start_once")
            return count.read_text() != "5"

        assert [await tried() for _ in range(4)] == [True, True, False, False]
        now[0] = 1.0
        assert [await tried() for _ in range(2)] == [True, False]
        now[0] = 2.5
        assert not await tried()
        now[0] = 3.0
        assert await tried()
        now[0] = 1e9
        count.write_text("0")
        assert await our.call("start_once")
        os.kill(await our.pid("start_once"), signal.SIGKILL)
        await our.becomes("start_once", ChildState.FAILED)
        assert await tried()  # the first failure after a success may be tried again at once


async def test_a_start_that_was_given_up_is_no_failure(tmp_path: Path) -> None:
    async with house(tmp_path, Config({"no_initialize": server("no_initialize")})) as our:
        await our.manager.restore()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(our.call, "no_initialize")
            await our.becomes("no_initialize", ChildState.STARTING)
            tasks.cancel_scope.cancel()
        entry = our.manager._entries["no_initialize"]
        assert (entry.state, entry.failures, entry.error) == (ChildState.ASLEEP, 0, None)


async def test_a_start_that_takes_too_long_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    config = Config({"no_initialize": server("no_initialize")})
    async with house(tmp_path, config, given={"start_deadline": 0.5}) as our:
        await our.manager.restore()
        with pytest.raises(StartTimeout, match="was not ready"):
            await our.call("no_initialize")
        assert await our.state("no_initialize") is ChildState.FAILED


async def test_a_server_that_is_removed_while_it_starts_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "grandchild"
    async with house(tmp_path, Config({"grandchild": server("grandchild")})) as our:
        await our.manager.restore()
        async with anyio.create_task_group() as tasks:

            async def wake_in_vain() -> None:
                with pytest.raises(Exception, match="No server is called"):
                    await our.manager.wake("grandchild")

            tasks.start_soon(wake_in_vain)
            await our.becomes("grandchild", ChildState.STARTING)
            await our.manager.remove("grandchild")
        pids = [int(pid) for pid in (await written(path)).split()]
        await gone(pids)
