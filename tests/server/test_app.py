"""What a host sees: an empty start, advertised changes, children's lists and calls in both eras."""

import json
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from tests.server.child import LOOK, PROMPTS, RESOURCES, TEMPLATES, TOOLS
from tests.server.host import HANDSHAKE, MODERN, connected, war_room
from warroom_mcp.models import Definitions
from warroom_mcp.server.app import build_server
from warroom_mcp.server.tools import OWN_TOOLS

RICH: dict[str, Any] = {"candidate_id": "npm:rich", "auto_approve": True}


async def test_an_empty_war_room_offers_its_nine_tools_and_nothing_else(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        assert await host.names() == list(OWN_TOOLS)
        assert len(OWN_TOOLS) == 9
        assert (await host.raw("prompts/list"))["prompts"] == []
        assert (await host.raw("resources/list"))["resources"] == []
        assert (await host.raw("resources/templates/list"))["resourceTemplates"] == []
        # Neither listing nor being asked what it can do leaves a trace.
        assert not home.exists()


async def test_the_handshake_advertises_all_that_children_may_bring(home: Path) -> None:
    async with connected(HANDSHAKE, war_room(home)) as host:
        offers = host.client.server_capabilities.model_dump(by_alias=True, exclude_none=True)
        assert offers["tools"]["listChanged"]
        assert offers["prompts"]["listChanged"]
        assert offers["resources"]["listChanged"]
        assert "completions" in offers
        assert 0 < len((host.client.instructions or "").encode()) < 2048


async def test_discovery_advertises_all_that_children_may_bring(home: Path) -> None:
    async with connected(MODERN, war_room(home)) as host:
        found = await host.raw("server/discover")
        for kind in ("tools", "prompts", "resources"):
            assert found["capabilities"][kind]["listChanged"]
        assert 0 < len(found["instructions"].encode()) < 2048
        assert MODERN in found["supportedVersions"]


async def test_lists_say_that_nobody_may_cache_them(home: Path) -> None:
    async with connected(MODERN, war_room(home)) as host:
        for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list"):
            answer = await host.raw(method)
            assert (answer["ttlMs"], answer["cacheScope"]) == (0, "private")


async def test_own_tools_come_first_and_new_servers_last(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        first = await host.names()
        await host.own("add_server", candidate_id="npm:ok", auto_approve=True)
        second = await host.names()
        assert first[:9] == list(OWN_TOOLS)
        assert second == [*first, "ok__echo", "ok__look"]


async def test_a_definition_passes_unchanged_but_for_its_name(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        listed = (await host.raw("tools/list"))["tools"]
        look = next(tool for tool in listed if tool["name"] == "rich__look")
        # What no version of the protocol knows, the SDK leaves out on the wire; find_tools has it.
        assert look == {**{k: v for k, v in LOOK.items() if k != "x-unknown"}, "name": "rich__look"}
        (kept,) = (tool for tool in host.war_room.toolbox.tools() if tool.name == "rich__look")
        assert kept.definition == {**LOOK, "name": "rich__look"}


async def test_what_a_version_cannot_say_is_hidden_from_it_alone(home: Path) -> None:
    shown: dict[str, list[str]] = {}
    for era in (HANDSHAKE, MODERN):
        async with connected(era, war_room(home)) as host:
            await host.own("add_server", **RICH)
            shown[era] = [name for name in await host.names() if "__" in name]
    everything = [f"rich__{tool['name']}" for tool in TOOLS]
    assert shown[MODERN] == everything
    assert shown[HANDSHAKE] == [name for name in everything if name != "rich__count"]


@pytest.mark.parametrize("kind", ["tools", "prompts", "resources", "templates"])
async def test_a_broken_definition_hides_no_other(era: str, home: Path, kind: str) -> None:
    good: dict[str, dict[str, Any]] = {
        "tools": TOOLS[1],
        "prompts": PROMPTS[0],
        "resources": RESOURCES[0],
        "templates": TEMPLATES[0],
    }
    broken = {**good[kind], "name": "x", "uri": "x://", "uriTemplate": "x://{y}", "title": ["no", "text"]}
    method, key = {
        "tools": ("tools/list", "tools"),
        "prompts": ("prompts/list", "prompts"),
        "resources": ("resources/list", "resources"),
        "templates": ("resources/templates/list", "resourceTemplates"),
    }[kind]
    room = war_room(home)
    items: dict[str, Any] = {kind: (broken, good[kind])}
    async with connected(era, room) as host:
        room.toolbox.publish("some", Definitions(**items))
        listed = (await host.raw(method))[key]
        assert [one["name"] for one in listed][-1].endswith(good[kind]["name"])
        assert "some__x" not in json.dumps(listed)
        assert "x://" not in json.dumps(listed)


async def test_an_unknown_tool_is_an_error_of_the_protocol_that_helps(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        with pytest.raises(MCPError) as caught:
            await host.call("rich__lokk")
        assert caught.value.code == INVALID_PARAMS
        assert "rich__look" in caught.value.error.data["hint"]
        with pytest.raises(MCPError) as caught:
            await host.call("rich")
        assert caught.value.code == INVALID_PARAMS


async def test_a_config_that_cannot_be_read_leaves_the_own_tools(era: str, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "mcp-config.json").write_text("{ this is no JSON")
    async with connected(era, war_room(home)) as host:
        assert await host.names() == list(OWN_TOOLS)
        assert (await host.error("list_servers"))["code"] == "config_corrupt"
        assert "analyzed" not in await host.own("analyze_problem", problem="redis: connection refused")
        with pytest.raises(MCPError, match="No tool is exposed"):
            await host.call("rich__look")
        assert (home / "mcp-config.json").read_text() == "{ this is no JSON"


def test_the_schema_behind_the_headers_is_the_childs_own(home: Path) -> None:
    room = war_room(home)
    room.toolbox.publish("rich", Definitions(tools=(LOOK,)))
    from warroom_mcp.server.app import _Handlers
    from warroom_mcp.server.delivery import Delivery

    handlers = _Handlers(room, Delivery(room.events, wait=0))
    assert handlers.input_schema("rich__look") == LOOK["inputSchema"]
    assert "candidate_id" in handlers.input_schema("add_server")["properties"]
    assert handlers.input_schema("nobody__knows") is None
    assert build_server(room).name == "war-room"
