"""New tools arrive: one announcement, an answer that waits for the host's list, and a route that works."""

from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from tests.server.host import APPROVE, HANDSHAKE, MODERN, connected, official, war_room
from tests.server.played import Played
from tests.server.wire import staged
from warroom_mcp.events import ToolboxChanged
from warroom_mcp.models import Definitions
from warroom_mcp.server import delivery
from warroom_mcp.server.caller import Host
from warroom_mcp.server.tools import OWN_TOOLS

# Each test starts real processes.
pytestmark = pytest.mark.slow

RICH: dict[str, Any] = {"candidate_id": "npm:rich"}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was waited for, one entry a time."""
    seen: list[str] = []
    wait = Host.wait_for_list

    async def counted(self: Host) -> None:
        seen.append(self.name or "")
        await wait(self)

    monkeypatch.setattr(Host, "wait_for_list", counted)
    return seen


async def test_the_answer_is_held_until_the_host_has_listed_the_new_tools(era: str, home: Any) -> None:
    gate = anyio.Event()
    async with connected(era, war_room(home), gate=gate) as host:

        async def add() -> None:
            assert (await host.own("add_server", **RICH))["route"] == "native"
            host.note("answered")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(add)
            await host.until("tools changed")
            # The child was published before the announcement.
            assert [one["state"] for one in (await host.own("list_servers"))["servers"]] == ["ready"]
            await anyio.wait_all_tasks_blocked()
            assert "answered" not in host.log
            gate.set()
        seen = [entry for entry in host.log if entry not in ("prompts changed", "resources changed")]
        assert seen == ["tools changed", "listed", "answered"]
        assert "rich__look" in await host.names()


async def test_a_host_that_never_lists_is_waited_for_once(era: str, home: Any, waits: list[str]) -> None:
    async with connected(era, war_room(home, relist_wait=0.01), relists=False) as host:
        for candidate_id in ("npm:rich", "npm:ok"):
            added = await host.own("add_server", candidate_id=candidate_id)
            assert added["route"] == "use_tool"
            assert f'tool="{added["tools"][0]["name"]}"' in added["how_to_call"]
        await host.own("remove_server", name="ok")
        assert len(waits) == 1
        await host.until("tools changed", 3)


async def test_a_host_that_lists_late_is_waited_for_again(era: str, home: Any, waits: list[str]) -> None:
    async with connected(era, war_room(home, relist_wait=0.01), relists=False) as host:
        await host.own("add_server", **RICH)
        await host.names()
        assert not (await host.call("rich__echo")).get("isError")
        added = await host.own("add_server", candidate_id="npm:ok")
        assert added["route"] == "native"
        assert len(waits) == 2


async def test_what_a_host_did_wins_over_what_is_known_of_it(era: str, home: Any) -> None:
    async with connected(era, war_room(home), name="claude-ai") as host:
        assert (await host.own("add_server", **RICH))["route"] == "use_tool"
        assert host.log.count("listed") == 1
        await host.call("use_tool", {"tool": "rich__echo"})
        assert (await host.own("add_server", candidate_id="npm:ok"))["route"] == "use_tool"
        await host.call("rich__echo")
        assert (await host.own("add_server", candidate_id="npm:rich-two"))["route"] == "native"


async def test_a_known_host_that_did_not_list_again_is_not_believed(era: str, home: Any) -> None:
    room = war_room(home, relist_wait=0.01)
    async with connected(era, room, name="claude-code", relists=False) as host:
        assert (await host.own("add_server", **RICH))["route"] == "use_tool"


async def test_removing_announces_once_and_nothing_is_callable(era: str, home: Any) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        assert await host.own("remove_server", name="rich") == {"removed": "rich"}
        assert host.log.count("tools changed") == 2
        assert not any("__" in name for name in await host.names())
        with pytest.raises(MCPError, match="No tool is exposed"):
            await host.call("rich__look")


async def test_a_failed_addition_announces_nothing(era: str, home: Any) -> None:
    async with connected(era, war_room(home, official("missing"), official("exit"))) as host:
        assert (await host.error("add_server", candidate_id="npm:missing"))["code"] == "install_failed"
        error = await host.error("add_server", candidate_id="npm:exit")
        assert error["code"] == "start_failed"
        assert "the API key is missing" in error["message"]
        await anyio.wait_all_tasks_blocked()
        assert host.log == []
        assert len(await host.names()) == 9


async def test_a_childs_own_change_is_announced(era: str, home: Any) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        await host.call("rich__grow")
        await host.until("tools changed", 2)
        assert "rich__new11" in await host.names()


async def test_a_childs_change_is_announced_after_a_call_that_changed_nothing(home: Any) -> None:
    child = Played()
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        await anyio.wait_all_tasks_blocked()
        assert await host.own("optimize", apply=True)
        child.items["tools"].append({"name": "more", "inputSchema": {"type": "object"}})
        child.tell("notifications/tools/list_changed")
        await host.hears("notifications/tools/list_changed")


async def test_a_change_is_told_while_a_person_decides(era: str, home: Any) -> None:
    decide = anyio.Event()
    asked = anyio.Event()

    async def form(card: str) -> dict[str, Any]:
        if "rich-two" in card:
            asked.set()
            await decide.wait()
        return APPROVE

    async with connected(era, war_room(home), form=form) as host:
        await host.own("add_server", **RICH)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: host.own("add_server", candidate_id="npm:rich-two"))
            await asked.wait()
            await host.call("rich__grow")
            await host.until("tools changed", 2)
            decide.set()
        assert host.log.count("tools changed") == 3


async def test_what_another_war_room_added_is_listed_first_and_then_started(era: str, home: Any) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
    async with connected(era, war_room(home)) as host:
        prompts = (await host.raw("prompts/list"))["prompts"]
        assert [one["name"] for one in prompts] == ["rich__greet"]
    async with connected(era, war_room(home)) as host:
        result = await host.call("rich__look")
        assert result["structuredContent"] == {"seen": "much"}


async def test_what_another_war_room_removed_is_not_callable(era: str, home: Any) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        async with war_room(home) as other:
            await other.remove_server("rich")
        # A call looks at the config file now and then, everything else each time.
        assert await host.names() == list(OWN_TOOLS)
        with pytest.raises(MCPError, match="No tool is exposed"):
            await host.call("rich__look")


async def test_additions_at_the_same_time_both_wait_for_the_list(home: Any) -> None:
    async with connected(MODERN, war_room(home)) as host:
        routes: list[str] = []

        async def add(candidate_id: str) -> None:
            routes.append((await host.own("add_server", candidate_id=candidate_id))["route"])
            assert f"{candidate_id.removeprefix('npm:')}__echo" in await host.names()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(add, "npm:rich")
            tasks.start_soon(add, "npm:ok")
        assert routes == ["native", "native"]


async def test_changes_in_one_breath_are_one_announcement_with_the_tools_first(home: Any) -> None:
    room = war_room(home)
    async with connected(HANDSHAKE, room) as host:
        for kind in ("resources", "prompts", "tools", "tools"):
            room.events.publish(ToolboxChanged("some", frozenset({kind})))
        await host.until("resources changed")
        assert [entry for entry in host.log if "changed" in entry] == [
            "tools changed",
            "prompts changed",
            "resources changed",
        ]


async def test_a_host_that_left_is_not_announced_to(home: Any) -> None:
    async with staged(home) as stage, stage.host(HANDSHAKE, "stays") as stays:
        async with stage.host(HANDSHAKE, "leaves") as leaves, stage.host(MODERN, "listens") as listens:
            listens.post("subscriptions/listen", notifications={"toolsListChanged": True})
            await listens.hears("notifications/subscriptions/acknowledged")
        stage.gateway.war_room.toolbox.publish("some", Definitions(tools=({"name": "act"},)))
        await stays.hears("notifications/tools/list_changed")
        assert leaves.told == []
        assert listens.told == []
        assert stage.gateway.subscriptions.hosts() == (stays.front.host,)


def test_a_host_is_native_only_when_it_was_seen_to_be() -> None:
    def route(name: str | None, relisted: bool | None, native: bool = False) -> str:
        return delivery.route(Host(HANDSHAKE, name, relisted=relisted, called_native=native))

    assert [route(None, seen) for seen in (None, False, True)] == ["use_tool", "use_tool", "native"]
    assert [route("claude-ai", seen) for seen in (None, True)] == ["use_tool", "use_tool"]
    assert route("claude-ai", None, native=True) == "native"


async def test_a_host_that_takes_so_many_tools_lists_no_more_and_reaches_the_rest(home: Any) -> None:
    child = Played(tools=[f"t{number}" for number in range(60)])
    async with staged(home, HANDSHAKE, child=child) as stage, stage.host(HANDSHAKE, "cursor-vscode") as host:
        names = [tool["name"] for tool in (await host.get("tools/list"))["tools"]]
        assert len(names) == 40
        assert "child__t59" not in names
        number = host.call("use_tool", {"tool": "child__t59", "arguments": {}})
        (await child.takes()).says("reached")
        assert (await host.result(number))["content"][0]["text"] == "reached"
        # What was used stays, and something that was not makes room.
        names = [tool["name"] for tool in (await host.get("tools/list"))["tools"]]
        assert len(names) == 40
        assert "child__t59" in names
