"""War Room ends, by whatever means: nothing that it started, and nothing that those started, is left."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.children.processes import gone, written
from tests.faults.host import Host, fake, war_room
from warroom_mcp.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="there is no watchdog on Windows")]

# Children that leave others behind, and such that do not leave when they are asked to.
FAMILIES = ("grandchild", "setsid", "daemon")
STUBBORN = ("ignore_term", "ignore_eof", "ignore_all")


def end_of_input(host: Host) -> None:
    """The host closes the pipe."""
    assert host.process.stdin is not None
    host.process.stdin.close()


ENDINGS: dict[str, Callable[[Host], None]] = {
    "end of input": end_of_input,
    "SIGTERM": lambda host: host.process.send_signal(signal.SIGTERM),
    "SIGINT": lambda host: host.process.send_signal(signal.SIGINT),
    "SIGKILL": lambda host: host.process.send_signal(signal.SIGKILL),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_no_process_survives_war_room(ending: str, home: Path, tmp_path: Path) -> None:
    servers = {mode: fake(mode, tmp_path / mode) for mode in (*FAMILIES, *STUBBORN, "ok")}
    # One of them with the deadline that people have: they wait for War Room to leave.
    default = str(Settings.model_fields["stop_deadline"].default)
    deadline = default if ending == "end of input" else "1"
    async with war_room(home, servers, env={"WARROOM_STOP_DEADLINE": deadline}) as host:
        # A call is under way, as it may be.
        host.ask("tools/call", {"name": "ok__echo", "arguments": {"mode": "hang"}})
        pids = host.children()
        for mode in FAMILIES:
            pids |= {int(pid) for pid in (await written(tmp_path / mode)).split()}
        assert len(pids) == len(servers) + len(FAMILIES)
        ENDINGS[ending](host)
        await gone({*pids, host.process.pid}, within=10)
        assert (await host.process.wait() == 0) is (ending != "SIGKILL")


async def test_a_war_room_that_is_killed_while_its_children_start_leaves_none(home: Path) -> None:
    async with war_room(home, {"ok": fake()}) as host:
        pids = host.children()
        await host.call("ok__echo", mode="crash")
        host.ask("tools/call", {"name": "ok__echo", "arguments": {}})
        while not (new := host.children() - pids):
            assert await host.names()
        host.process.kill()
        await gone({*pids, *new})


async def test_a_removed_server_takes_all_its_processes_along(home: Path, tmp_path: Path) -> None:
    modes = (*FAMILIES, *STUBBORN)
    servers = {mode: fake(mode, tmp_path / mode) for mode in modes}
    async with war_room(home, {"good": fake(), **servers}) as host:
        pids = host.children()
        for mode in FAMILIES:
            pids |= {int(pid) for pid in (await written(tmp_path / mode)).split()}
        for mode in modes:
            answer = await host.call("remove_server", name=mode)
            assert not answer.get("isError"), answer
            assert await host.text("good__echo", say="x")
        (good,) = host.children()
        await gone(pids - {good})


async def test_a_child_that_crashes_leaves_no_process_behind(home: Path, tmp_path: Path) -> None:
    servers = {mode: fake(mode, tmp_path / mode) for mode in FAMILIES}
    async with war_room(home, {"good": fake(), **servers}) as host:
        for mode in FAMILIES:
            left = {int(pid) for pid in (await written(tmp_path / mode)).split()}
            assert (await host.failure(f"{mode}__echo", mode="crash"))["code"] == "child_gone"
            await gone(left)
            assert await host.text("good__echo", say="x")
            (tmp_path / mode).unlink()
            assert await host.text(f"{mode}__echo", say="x")
