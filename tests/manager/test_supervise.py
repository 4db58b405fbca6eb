"""The manager: servers added, woken, restarted, removed and counted, with real (fake) children."""

import os
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from tests.children.processes import alive, gone, written
from tests.manager.house import Config, Memory, house, server
from warroom_mcp.errors import (
    ApprovalRequired,
    ChildGone,
    InstallFailed,
    InvalidInput,
    MissingInput,
    StartFailed,
    StateError,
    UnknownServer,
)
from warroom_mcp.events import ToolboxChanged
from warroom_mcp.manager import child as life
from warroom_mcp.models import (
    ChildState,
    Definitions,
    Package,
    PackageKind,
    Speech,
)
from warroom_mcp.wire.codec import RpcError

# Each test starts real processes.
pytestmark = pytest.mark.slow


async def test_an_added_server_is_ready_remembered_and_shown(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        offered = await our.manager.add(server())
        (status,) = await our.manager.statuses()
        assert our.manager.servers() == (our.config.servers["ok"],)
        assert our.memory.kept == {"ok": offered}
        assert our.manager.definitions("ok") == offered
        assert (status.state, status.tools, status.version) == (ChildState.READY, ("echo", "look"), "1.0.0")
        assert status.reason
        assert status.next_step
        assert status.memory_bytes is not None
        assert status.memory_bytes > 1_000_000
        assert ToolboxChanged("ok", frozenset({"tools"})) in our.events
        assert our.states("ok") == ["starting", "ready"]
        place = tmp_path / "home" / "run" / "ok"
        assert place.stat().st_mode & 0o777 == 0o700
        pid = await our.pid("ok")
    assert not alive(pid)


async def test_definitions_are_told_to_the_callback_instead_of_an_event(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    async with house(tmp_path, on_definitions=lambda name, d: told.append((name, len(d.tools)))) as our:
        await our.manager.add(server())
        await our.manager.remove("ok")
        assert not [event for event in our.events if isinstance(event, ToolboxChanged)]
    assert told == [("ok", 2), ("ok", 0)]


@pytest.mark.parametrize(("mode", "kind"), [("exit", StartFailed), ("missing", InstallFailed)])
async def test_a_server_that_cannot_be_added_leaves_nothing_and_harms_nobody(
    tmp_path: Path, mode: str, kind: type[Exception]
) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server())
        with pytest.raises(kind):
            await our.manager.add(server(mode))
        assert [one.name for one in await our.manager.statuses()] == ["ok"]
        assert set(our.config.servers) == set(our.memory.kept) == {"ok"}
        assert await our.call("ok")


@pytest.mark.parametrize("what", ["config", "memory"])
async def test_a_server_that_cannot_be_remembered_is_not_added(tmp_path: Path, what: str) -> None:
    async with house(tmp_path) as our:
        (our.config if what == "config" else our.memory).broken = True
        with pytest.raises(StateError):
            await our.manager.add(server())
        assert our.manager.servers() == ()
        assert our.config.servers == {}
        with pytest.raises(UnknownServer):
            await our.call("ok")
        our.config.broken = our.memory.broken = False
        await our.manager.add(server())


async def test_adding_the_same_server_again_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        one = server()
        offered = await our.manager.add(one)
        pid = await our.pid("ok")
        assert await our.manager.add(replace(one, added=datetime.now(UTC))) == offered
        assert await our.pid("ok") == pid
        with pytest.raises(InvalidInput, match="already called"):
            await our.manager.add(server("pages", name="ok"))


async def test_two_additions_at_once_run_side_by_side(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(our.manager.add, server("ok", name="one"))
            tasks.start_soon(our.manager.add, server("ok", name="two"))
            tasks.start_soon(our.manager.add, server("ok", name="two"))
        assert sorted(one.name for one in our.manager.servers()) == ["one", "two"]
        assert len(our.installer.asked) == 2


async def test_a_cancelled_addition_leaves_no_process(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        with anyio.move_on_after(0.5) as scope:
            await our.manager.add(server("no_initialize"))
        assert scope.cancelled_caught
        assert our.manager.servers() == ()
        assert our.config.servers == {}


async def test_a_child_survives_the_task_that_added_it(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(our.manager.add, server())
        assert await our.call("ok")


async def test_a_removed_server_is_gone_from_everywhere(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server())
        await our.call("ok")
        pid = await our.pid("ok")
        await our.manager.remove("ok")
        assert not alive(pid)
        assert (our.config.servers, our.memory.kept, await our.manager.statuses()) == ({}, {}, ())
        for attempt in (our.call("ok"), our.manager.remove("ok"), our.manager.wake("ok")):
            with pytest.raises(UnknownServer):
                await attempt
        await our.manager.flush()
        assert await our.memory.usage() == ()


async def test_a_server_that_cannot_be_taken_out_of_the_config_stays(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server())
        our.config.broken = True
        with pytest.raises(StateError):
            await our.manager.remove("ok")
        assert await our.call("ok")


# --- restoring -----------------------------------------------------------------------------------


async def test_restoring_starts_nothing_and_the_first_call_wakes(tmp_path: Path) -> None:
    memory = Memory()
    memory.kept["ok"] = known = Definitions(tools=({"name": "echo", "inputSchema": {}},))
    config = Config({"ok": server()}, {"theirs": "it was added by hand"})
    async with house(tmp_path, config, memory) as our:
        await our.manager.restore()
        assert our.installer.asked == []
        assert our.manager.definitions("ok") == known
        asleep, foreign = await our.manager.statuses()
        assert (asleep.state, foreign.state) == (ChildState.ASLEEP, ChildState.UNAPPROVED)
        assert "added by hand" in foreign.reason
        assert asleep.reason
        assert asleep.next_step
        assert foreign.next_step
        assert await our.call("ok")
        assert len(our.manager.definitions("ok").tools) == 2  # as it lists now
        assert our.memory.kept["ok"] == our.manager.definitions("ok")


async def test_what_nobody_approved_is_not_started(tmp_path: Path) -> None:
    async def approved(digest: str) -> object:
        return None

    config = Config({"ok": server()}, {"theirs": "it was added by hand"})
    async with house(tmp_path, config, approved=approved) as our:
        await our.manager.restore()
        for name in ("ok", "theirs"):
            with pytest.raises(ApprovalRequired):
                await our.call(name)
            with pytest.raises(InvalidInput):
                await our.manager.add(server("ok", name=name))
        assert our.installer.asked == []


async def test_what_another_war_room_took_out_is_stopped_and_forgotten(tmp_path: Path) -> None:
    config = Config({"ok": server()})
    async with house(tmp_path, config) as our:
        await our.manager.restore()
        await our.manager.add(server("ok", name="new"))
        assert await our.call("ok")
        config.remove("ok")
        await our.manager.restore()
        assert [one.name for one in our.manager.servers()] == ["new"]
        with pytest.raises(UnknownServer):
            await our.call("ok")
        assert await our.call("new")


async def test_what_another_war_room_put_in_the_place_of_a_server_replaces_it(tmp_path: Path) -> None:
    config = Config({"ok": server()})
    async with house(tmp_path, config) as our:
        await our.manager.restore()
        assert await our.call("ok")
        config.servers["ok"] = newer = replace(server(), approved="sha256:of-another-version")
        await our.manager.restore()
        assert our.manager.servers() == (newer,)
        (status,) = await our.manager.statuses()
        assert status.state is ChildState.ASLEEP


async def test_of_many_first_calls_one_starts_the_child(tmp_path: Path) -> None:
    async with house(tmp_path, Config({"ok": server()})) as our:
        await our.manager.restore()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(our.call, "ok")
        assert our.installer.asked == ["ok"]


async def test_prefetching_installs_and_starts_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.prefetch(Package(PackageKind.NPM, "grandchild", "1.0.0"))
        assert our.installer.asked == ["grandchild"]
        assert not (tmp_path / "grandchild").exists()


# --- deaths --------------------------------------------------------------------------------------


async def test_a_killed_child_is_started_again_at_its_next_call(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server())
        pid = await our.pid("ok")
        os.kill(pid, signal.SIGKILL)
        await gone([pid])
        await our.becomes("ok", ChildState.FAILED)
        (status,) = await our.manager.statuses()
        assert status.state is ChildState.FAILED
        assert "signal 9" in status.reason
        assert await our.call("ok")
        assert await our.pid("ok") != pid
        assert our.states("ok") == ["starting", "ready", "failed", "starting", "ready"]


async def test_a_call_that_may_have_had_an_effect_is_not_sent_twice(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server("crash_once"))
        with pytest.raises(ChildGone) as caught:
            await our.call("crash_once")
        assert not caught.value.retryable
        assert "not known" in caught.value.hint
        assert (await our.call("crash_once"))["content"][0]["text"] == "second life"


async def test_a_call_of_a_tool_that_only_reads_is_sent_once_more(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server("crash_once"))
        assert (await our.call("crash_once", "crash_once", "look"))["content"][0]["text"] == "second life"


async def test_a_child_that_dies_each_time_is_tried_less_and_less_often(tmp_path: Path) -> None:
    now = [0.0]
    config = Config({"start_once": server("start_once")})
    async with house(tmp_path, config, clock=lambda: now[0]) as our:
        await our.manager.add(server("ok"))
        await our.manager.restore()
        (tmp_path / "start_once").write_text("5")
        for _ in range(2):  # one restart is free
            with pytest.raises(StartFailed, match="exited with code 7"):
                await our.call("start_once")
        for _ in range(5):
            with pytest.raises(StartFailed, match="exited with code 7"):
                await our.call("start_once")
        assert our.installer.asked.count("start_once") == 2
        now[0] = 1.5
        (tmp_path / "start_once").write_text("0")
        assert await our.call("start_once")
        assert await our.call("ok")


async def test_a_missing_secret_parks_the_server_until_it_is_added_again(tmp_path: Path) -> None:
    known: dict[str, str] = {}

    def resolve(reference: str) -> str:
        if reference not in known:
            raise MissingInput(f"{reference} is not set", hint="Set it.")
        return known[reference]

    one = server(secrets={"API_KEY": "env:KEY"})
    async with house(tmp_path, Config({"ok": one}), resolve=resolve) as our:
        await our.manager.restore()
        for _ in range(3):
            with pytest.raises(MissingInput, match="env:KEY"):
                await our.call("ok")
        assert our.states("ok") == ["starting", "failed"]
        (status,) = await our.manager.statuses()
        assert status.next_step == "Set it."
        known["env:KEY"] = "s3cret"
        await our.manager.add(one)
        assert await our.call("ok")


# --- changes and counts --------------------------------------------------------------------------


async def test_a_changed_list_is_remembered_and_told(tmp_path: Path) -> None:
    told: list[int] = []
    heard = anyio.Event()

    def hear(name: str, definitions: Definitions) -> None:
        told.append(len(definitions.tools))
        if len(told) == 2:
            heard.set()

    async with house(tmp_path, on_definitions=hear) as our:
        await our.manager.add(server())
        await our.call("ok", "change_list")
        await heard.wait()
        assert told == [2, 3]
        assert len(our.memory.kept["ok"].tools) == len(our.manager.definitions("ok").tools) == 3


async def test_calls_are_counted_by_tool_and_handed_over(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server())
        await our.call("ok")
        await our.call("ok", tool="look")
        with pytest.raises(Exception, match="no luck"):
            await our.call("ok", "error")
        await our.manager.request("ok", "ping", {})
        (status,) = await our.manager.statuses()
        assert [(one.tool, one.calls, one.errors) for one in status.usage] == [("echo", 2, 1), ("look", 1, 0)]
        our.memory.broken = True
        with pytest.raises(StateError):
            await our.manager.flush()
        our.memory.broken = False
        await our.manager.flush()
        await our.call("ok")
    assert [(one.tool, one.calls) for one in await our.memory.usage()] == [("echo", 3), ("look", 1)]


@pytest.mark.slow
async def test_leaving_stops_every_child_also_under_cancellation(tmp_path: Path) -> None:
    pids: list[int] = []
    with anyio.CancelScope() as scope:
        async with house(tmp_path) as our:
            await our.manager.add(server("ignore_all"))
            await our.manager.add(server("setsid"))
            pids += [await our.pid("ignore_all"), await our.pid("setsid")]
            pids += [int(pid) for pid in (await written(tmp_path / "setsid")).split()]
            scope.cancel()
            await anyio.sleep(60)
    assert scope.cancelled_caught
    await gone(pids)


async def test_an_error_inside_of_the_block_comes_out_as_it_is(tmp_path: Path) -> None:
    async def fail() -> None:
        async with house(tmp_path) as our:
            await our.manager.add(server())
            raise KeyError("mine")

    with pytest.raises(KeyError):
        await fail()


async def test_a_name_that_is_a_path_is_not_started(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        with pytest.raises(InvalidInput, match="cannot be a server's name"):
            await our.manager.add(server(name="../../escape"))
        assert not (tmp_path / "escape").exists()


# --- hosts of different eras -----------------------------------------------------------------------

MODERN = Speech(True)


async def test_removing_a_server_ends_every_line_to_it(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server("modern/dual"), MODERN)
        await our.call("dual")
        lines = our.manager.running()
        pids = [line.pid for line in lines if line.pid is not None]
        assert sorted(line.modern for line in lines) == [False, True]
        (status,) = await our.manager.statuses()
        assert status.memory_bytes is not None
        await our.manager.remove("dual")
        assert not any(alive(pid) for pid in pids)
        assert our.manager.running() == ()
        assert our.manager.line("dual", MODERN) is None


async def test_a_ready_line_is_had_without_waiting(tmp_path: Path) -> None:
    async with house(tmp_path, Config({"dual": server("modern/dual")})) as our:
        assert our.manager.line("dual", MODERN) is None
        await our.manager.restore()
        assert our.manager.line("dual", MODERN) is None
        child = await our.manager.wake("dual", MODERN)
        assert our.manager.line("dual", MODERN) is child
        assert our.manager.line("dual", Speech()) is None
        assert our.manager.line("nobody", MODERN) is None


async def test_a_watched_server_tells_all_its_lines_and_one_that_cannot_watch_is_called_all_the_same(
    tmp_path: Path,
) -> None:
    config = Config({"dual": server("modern/dual"), "ok": server()})
    async with house(tmp_path, config) as our:
        await our.manager.restore()
        await our.manager.watch("dual", frozenset({"a://b"}), Speech())
        assert "resources/subscribe" in await written(tmp_path / "dual")
        await our.manager.wake("dual", MODERN)  # a line that comes later watches too
        assert all(line._watched == {"a://b"} for line in our.manager.running())
        with pytest.raises(RpcError):
            await our.manager.watch("ok", frozenset({"a://b"}), Speech())
        with pytest.raises(RpcError):  # and again: nothing was noted that is not so
            await our.manager.watch("ok", frozenset({"a://b"}), Speech())
        our.manager._entries["ok"].watched = frozenset({"a://b"})
        os.kill(await our.pid("ok"), signal.SIGKILL)
        await our.becomes("ok", ChildState.FAILED)
        assert await our.call("ok")


async def test_what_servers_bring_is_known_of_all(tmp_path: Path) -> None:
    memory = Memory()
    memory.kept["ok"] = Definitions(capabilities={"extensions": {"a": {"n": 1}}, "tasks": {"list": {}}})
    memory.kept["dual"] = Definitions(capabilities={"extensions": {"a": {"n": 2}, "b": {}}})
    config = Config({"ok": server(), "dual": server("modern/dual")})
    async with house(tmp_path, config, memory) as our:
        assert our.manager.brought() == {"extensions": {}}
        await our.manager.restore()
        assert our.manager.brought() == {
            "extensions": {"a": {"n": 1}, "b": {}},
            "tasks": {"list": {}},
        }


async def test_whether_a_call_may_be_repeated_is_said_by_its_tool(tmp_path: Path) -> None:
    async with house(tmp_path) as our:
        await our.manager.add(server())
        assert our.manager.may_repeat("ok", "tools/call", {"name": "look"})
        assert not our.manager.may_repeat("ok", "tools/call", {"name": "echo"})
        assert not our.manager.may_repeat("ok", "tools/call", {"name": "unknown"})
        assert our.manager.may_repeat("ok", "resources/read", {"uri": "a://b"})
        assert not our.manager.may_repeat("nobody", "resources/read", {"uri": "a://b"})


async def test_a_suspected_child_that_is_wedged_is_ended_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "PING_DEADLINE", 0.2)
    async with house(tmp_path) as our:
        await our.manager.add(server())
        child = await our.manager.wake("ok")
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)
        our.manager.suspect(child)
        await our.becomes("ok", ChildState.FAILED)
        assert "neither a call nor a ping" in our.manager._entries["ok"].reason
        assert await our.call("ok")
