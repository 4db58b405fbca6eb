"""What hosts list: our own first, the children's as they came, and each item by itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.child import LOOK, PROMPTS, RESOURCES, TEMPLATES, TOOLS
from tests.server.host import ERAS, HANDSHAKE, MODERN, connected, war_room
from tests.server.played import OBJECT, Played
from tests.server.wire import staged
from warroom_mcp.events import Events, ToolboxChanged
from warroom_mcp.models import Definitions
from warroom_mcp.server.large import RESULT_TEMPLATE
from warroom_mcp.server.lists import Lists
from warroom_mcp.server.tools import OWN_TOOLS
from warroom_mcp.toolbox import Toolbox

RICH: dict[str, Any] = {"candidate_id": "npm:rich", "auto_approve": True}
METHODS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")


async def test_an_empty_war_room_offers_its_nine_tools_and_nothing_of_others(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        assert await host.names() == list(OWN_TOOLS)
        assert len(OWN_TOOLS) == 9
        assert (await host.raw("prompts/list"))["prompts"] == []
        assert (await host.raw("resources/list"))["resources"] == []
        # The one template is that of large results.
        assert (await host.raw("resources/templates/list"))["resourceTemplates"] == [RESULT_TEMPLATE]
        # Neither listing nor being asked what it can do leaves a trace.
        assert not home.exists()


async def test_lists_say_that_nobody_may_cache_them(home: Path) -> None:
    async with connected(MODERN, war_room(home)) as host:
        for method in METHODS:
            answer = await host.raw(method)
            assert (answer["ttlMs"], answer["cacheScope"]) == (0, "private")


async def test_lists_of_the_handshake_era_have_nothing_of_the_other(home: Path) -> None:
    async with staged(home, child=Played()) as stage, stage.host(HANDSHAKE) as host:
        assert [list(await host.get(method)) for method in METHODS] == [
            ["tools"],
            ["prompts"],
            ["resources"],
            ["resourceTemplates"],
        ]


@pytest.mark.slow
async def test_own_tools_come_first_and_new_servers_last(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        first = await host.names()
        await host.own("add_server", candidate_id="npm:ok", auto_approve=True)
        second = await host.names()
        assert first[:9] == list(OWN_TOOLS)
        assert second == [*first, "ok__echo", "ok__look"]


@pytest.mark.slow
async def test_a_definition_passes_unchanged_but_for_its_name(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        listed = (await host.raw("tools/list"))["tools"]
        look = next(tool for tool in listed if tool["name"] == "rich__look")
        assert look == {**LOOK, "name": "rich__look"}


@pytest.mark.slow
async def test_prompts_resources_and_templates_of_a_child_are_listed(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        prompts = (await host.raw("prompts/list"))["prompts"]
        assert prompts == [{**PROMPTS[0], "name": "rich__greet"}]
        assert (await host.raw("resources/list"))["resources"] == RESOURCES
        templates = (await host.raw("resources/templates/list"))["resourceTemplates"]
        assert templates == [*TEMPLATES, RESULT_TEMPLATE]


@pytest.mark.slow
async def test_what_a_version_cannot_say_is_left_out_for_it_alone(home: Path) -> None:
    shown: dict[str, list[dict[str, Any]]] = {}
    for era in (HANDSHAKE, MODERN):
        async with connected(era, war_room(home)) as host:
            await host.own("add_server", **RICH)
            shown[era] = (await host.raw("tools/list"))["tools"][9:]
    everything = [f"rich__{tool['name']}" for tool in TOOLS]
    assert [tool["name"] for tool in shown[MODERN]] == everything
    # Output that is no object cannot be promised before 2026-07-28; the tool itself can be called.
    assert [tool["name"] for tool in shown[HANDSHAKE]] == everything
    count = next(tool for tool in shown[HANDSHAKE] if tool["name"] == "rich__count")
    assert "outputSchema" not in count
    count = next(tool for tool in shown[MODERN] if tool["name"] == "rich__count")
    assert count["outputSchema"] == {"type": "array"}


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
    items: dict[str, Any] = {kind: (broken, good[kind])}
    async with staged(home) as stage, stage.host(era) as host:
        stage.gateway.war_room.toolbox.publish("some", Definitions(**items))
        listed = (await host.get(method))[key]
        assert any(one["name"].endswith(good[kind]["name"]) for one in listed)
        assert "some__x" not in json.dumps(listed)
        assert "x://" not in json.dumps(listed)


async def test_what_nobody_here_knows_of_an_item_reaches_the_host(era: str, home: Path) -> None:
    odd = {
        "name": "act",
        "inputSchema": {**OBJECT, "properties": {"n": {"maximum": 9007199254740993, "x-é": [1.0, None]}}},
        "icons": [{"src": "data:,x", "x-scale": 2}],
        "_meta": {"ui": {"resourceUri": "ui://app"}},
        "x-vendor": {"deep": [{}]},
    }
    async with staged(home, child=Played(tools=[odd])) as stage, stage.host(era) as host:
        assert (await host.get("tools/list"))["tools"][-1] == {**odd, "name": "child__act"}


async def test_a_list_is_encoded_once_for_each_change(home: Path) -> None:
    events = Events()
    toolbox = Toolbox(events)
    lists = Lists(toolbox, events)
    empty = lists.get("tools/list", modern=True)
    assert lists.get("tools/list", modern=True) is empty
    assert lists.get("tools/list", modern=False) != empty
    toolbox.publish("a", Definitions(tools=({"name": "act", "inputSchema": OBJECT},)))
    fuller = lists.get("tools/list", modern=True)
    assert b'"a__act"' in fuller
    events.publish(ToolboxChanged("a", frozenset({"prompts"})))
    assert lists.get("tools/list", modern=True) == fuller
    toolbox.withdraw("a")
    assert lists.get("tools/list", modern=True) == empty


def test_tools_beyond_a_hosts_budget_are_left_out_for_it_alone() -> None:
    events = Events()
    toolbox = Toolbox(events)
    tools = tuple({"name": name, "inputSchema": OBJECT} for name in ("act", "bow"))
    toolbox.publish("a", Definitions(tools=tools))
    lists = Lists(toolbox, events)
    for modern in (False, True):
        few = json.loads(lists.get("tools/list", modern=modern, hidden=frozenset({"a__bow"})))["tools"]
        assert [tool["name"] for tool in few] == [*OWN_TOOLS, "a__act"]
        every = json.loads(lists.get("tools/list", modern=modern))["tools"]
        assert [tool["name"] for tool in every] == [*OWN_TOOLS, "a__act", "a__bow"]


@pytest.mark.parametrize("other", ERAS)
async def test_two_hosts_list_the_same_tools_in_the_same_order(era: str, other: str, home: Path) -> None:
    async with (
        staged(home, one=Played(tools=["b", "a"]), two=Played(tools=["c"])) as stage,
        stage.host(era, "first") as first,
        stage.host(other, "second") as second,
    ):
        names = [
            [tool["name"] for tool in (await host.get("tools/list"))["tools"]] for host in (first, second)
        ]
        assert names[0] == names[1] == [*OWN_TOOLS, "one__b", "one__a", "two__c"]
