"""A thousand calls at once, and five hundred servers that come and go: nothing crossed, nothing kept."""

import gc
import json
import os
from collections.abc import Iterable
from pathlib import Path

import anyio
import psutil
import pytest

from tests.faults.host import fake, war_room
from tests.preloaded import added
from warroom_mcp.engine.local import LocalEngine
from warroom_mcp.engine.reaper import MARKER
from warroom_mcp.events import Events
from warroom_mcp.manager import Manager
from warroom_mcp.models import LaunchPlan, Package
from warroom_mcp.settings import Settings
from warroom_mcp.store import ConfigFile, SqliteStore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="the children are for POSIX")]

QUICK = Path(__file__).parent.parent / "children" / "quick.sh"


async def test_of_a_thousand_calls_at_once_each_gets_its_own_answer(home: Path) -> None:
    names = [f"child{number}" for number in range(10)]
    servers = {name: fake() for name in names}
    async with war_room(home, servers, env={"WARROOM_CALL_DEADLINE": "60"}) as host:
        files = host.room.num_fds()
        calls = [(f"{names[number % 10]}__echo", {"say": f"{number} für dich ✓"}) for number in range(1000)]
        answers = [host.ask("tools/call", {"name": name, "arguments": given})[1] for name, given in calls]
        for (_, given), answer in zip(calls, answers, strict=True):
            assert json.loads((await answer)["result"]["content"][0]["text"]) == given
        assert host.room.num_fds() == files


async def test_calls_that_fail_among_a_thousand_fail_alone(home: Path) -> None:
    servers = {f"child{number}": fake() for number in range(3)}
    async with war_room(home, servers, env={"WARROOM_CALL_DEADLINE": "60"}) as host:
        faults = {3: "deep", 7: "no_result", 13: "error", 17: "surrogate"}
        answers = []
        for number in range(1000):
            given = {"say": number, "mode": faults.get(number % 20, "")}
            params = {"name": f"child{number % 2}__echo", "arguments": given}
            answers.append((given, host.ask("tools/call", params)[1]))
        for given, answer in answers:
            said = await answer
            match given["mode"]:
                case "error":
                    assert said["error"]["message"] == "no luck"
                case "surrogate":
                    assert said["result"]["content"][0]["text"] == "a\ufffdb"
                case "":
                    assert json.loads(said["result"]["content"][0]["text"]) == given
                case _:
                    assert said["result"]["structuredContent"]["error"]["code"] == "child_protocol_error"
        assert json.loads(await host.text("child2__echo", say="x")) == {"say": "x"}


class Quick:
    """Every package is the same quick program."""

    passes: frozenset[str] = frozenset()

    def command(self, plan: LaunchPlan) -> tuple[str, ...]:
        return "/bin/sh", str(QUICK)

    async def install(self, package: Package) -> "Quick":
        return self


def own() -> tuple[int, set[int]]:
    """Open files of this process, and the children of a War Room below it: other tests have theirs."""
    this = psutil.Process()
    return this.num_fds(), {child.pid for child in this.children(recursive=True) if is_marked(child)}


def is_marked(process: psutil.Process) -> bool:
    """Whether War Room started it; one that nobody waited for counts as well."""
    try:
        return MARKER in process.environ()
    except psutil.ZombieProcess:
        return True
    except psutil.Error:
        return False


async def test_five_hundred_servers_that_come_and_go_leave_neither_file_nor_process(home: Path) -> None:
    settings = Settings(home=home, stop_deadline=2)
    store, config = SqliteStore(settings.database), ConfigFile(settings.config_file)
    manager = Manager(settings, store, config, Quick(), LocalEngine(), Events())

    async def come_and_go(name: str) -> None:
        await manager.add(added(name, command="quick"))
        await manager.request(name, "tools/call", {"name": "t"})
        await manager.remove(name)

    async def at_once(names: Iterable[str]) -> None:
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(come_and_go, name)

    with anyio.fail_after(120):
        async with manager:
            # The watchdog, the threads and the database are there then, to stay.
            await at_once(f"first{number}" for number in range(10))
            gc.collect()
            files, processes = own()
            for number in range(480):
                await come_and_go(f"s{number}")
            await at_once(f"last{number}" for number in range(20))
            assert own() == (files, processes)
            assert processes == set()
            assert await manager.statuses() == ()
        assert json.loads(settings.config_file.read_text())["mcpServers"] == {}
    await store.aclose()
