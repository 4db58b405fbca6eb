"""What a host sees: an empty start, advertised changes, children's lists and calls in both eras."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from tests.children.processes import written
from tests.server.child import LOOK, PROMPTS, RESOURCES, TEMPLATES, TOOLS
from tests.server.host import HANDSHAKE, MODERN, connected, official, war_room
from warroom_mcp import sdk
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
    async with connected(era, room) as host:
        room.toolbox.publish("some", replace(Definitions(), **{kind: (broken, good[kind])}))
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


# --- prompts, resources, completions -------------------------------------------------------------


async def test_prompts_resources_and_templates_of_a_child_are_listed(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        prompts = (await host.raw("prompts/list"))["prompts"]
        assert prompts == [{**PROMPTS[0], "name": "rich__greet"}]
        assert (await host.raw("resources/list"))["resources"] == RESOURCES
        assert (await host.raw("resources/templates/list"))["resourceTemplates"] == TEMPLATES


async def test_prompts_resources_and_completions_of_a_child_pass_through(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        got = await host.raw("prompts/get", {"name": "rich__greet", "arguments": {"who": "Ada"}})
        assert got["messages"][0]["content"]["text"] == "Hello Ada"
        for uri in ("notes://today", "notes://monday"):
            read = await host.raw("resources/read", {"uri": uri})
            assert read["contents"][0]["text"] == f"of {uri}"
        argument = {"name": "who", "value": "A"}
        for reference, of in (
            ({"type": "ref/prompt", "name": "rich__greet"}, "greet"),
            ({"type": "ref/resource", "uri": "notes://{day}"}, "notes://{day}"),
        ):
            done = await host.raw("completion/complete", {"ref": reference, "argument": argument})
            assert done["completion"]["values"] == [f"{of}:A"]


async def test_what_is_not_exposed_is_not_reachable(era: str, home: Path) -> None:
    argument = {"name": "who", "value": "A"}
    unknown: list[tuple[str, dict[str, Any]]] = [
        ("prompts/get", {"name": "greet", "arguments": {"who": "Ada"}}),
        ("resources/read", {"uri": "file:///etc/passwd"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": argument}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "notes://x"}, "argument": argument}),
    ]
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        for method, params in unknown:
            with pytest.raises(MCPError) as caught:
                await host.raw(method, params)
            assert caught.value.code == INVALID_PARAMS


async def test_a_child_that_died_answers_a_prompt_with_an_error_of_ours(era: str, home: Path) -> None:
    async with connected(era, war_room(home, official("exit"))) as host:
        host.war_room.toolbox.publish("gone", Definitions(prompts=({"name": "ask"},)))
        with pytest.raises(MCPError) as caught:
            await host.raw("prompts/get", {"name": "gone__ask"})
        assert caught.value.error.data["code"] == "unknown_server"


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


# --- calls ---------------------------------------------------------------------------------------


async def test_arguments_and_meta_reach_the_child_and_nothing_of_the_hop_does(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        arguments = {"deep": {"list": [1, None, "ü"]}}
        for tool, given in (
            ("rich__echo", arguments),
            ("use_tool", {"tool": "rich__echo", "arguments": arguments}),
        ):
            result = await host.call(tool, given, _meta={"example.org/trace": "t1", "progressToken": "mine"})
            seen = json.loads(result["content"][0]["text"])
            assert seen["arguments"] == arguments
            assert seen["meta"]["example.org/trace"] == "t1"
            assert seen["meta"].get("progressToken") != "mine"
            assert not [key for key in seen["meta"] if key.startswith("io.modelcontextprotocol/")]


async def test_a_result_passes_unchanged(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        for how in (await host.call("rich__look"), await host.call("use_tool", {"tool": "rich__look"})):
            assert how["content"] == [{"type": "text", "text": "much"}]
            assert how["structuredContent"] == {"seen": "much"}
            assert how["_meta"]["a/b"] == 1
        failed = await host.call("rich__fail")
        assert failed["isError"] is True
        assert failed["content"] == [{"type": "text", "text": "no such table"}]
        assert failed["_meta"]["hint"] == "x"
        assert "structuredContent" not in failed


async def test_structured_content_that_is_no_object_reaches_those_who_can_take_it(
    era: str, home: Path
) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        result = await host.call("rich__list")
        assert result["content"] == [{"type": "text", "text": "[1,2]"}]
        assert result.get("structuredContent") == ([1, 2] if era == MODERN else None)


async def test_a_childs_own_error_passes_unchanged(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        for tool, arguments in (("rich__refuse", {}), ("use_tool", {"tool": "rich__refuse"})):
            with pytest.raises(MCPError) as caught:
                await host.call(tool, arguments)
            error = caught.value.error
            assert (error.code, error.message, error.data) == (-32042, "not today", {"why": [1]})


async def test_a_result_that_is_none_is_no_empty_success(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        error = await host.error("rich__odd")
        assert error["code"] == "child_protocol_error"
        assert "rich" in error["message"]
        bare = await host.call("rich__bare")
        assert (bare["content"], bare["structuredContent"]) == ([], {"a": 1})


@pytest.mark.parametrize(
    ("mode", "code"),
    [("crash", "child_gone"), ("hang", "call_timeout"), ("no_result", "child_protocol_error")],
)
async def test_a_child_that_fails_is_a_tool_error_with_code_and_hint(
    era: str, home: Path, mode: str, code: str
) -> None:
    async with connected(era, war_room(home, call_deadline=0.3)) as host:
        await host.own("add_server", candidate_id="npm:ok", auto_approve=True)
        error = await host.error("ok__echo", mode=mode)
        assert error["code"] == code
        assert error["hint"]


async def test_progress_of_a_child_is_passed_on(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        steps: list[tuple[float, float | None, str | None]] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            steps.append((progress, total, message))

        call = {"name": "rich__steps", "arguments": {}}
        await sdk.raw_request(host.client.session, "tools/call", call, on_progress=note)
        assert steps == [(1, 2, "step 1"), (2, 2, "step 2")]


async def test_cancelling_a_call_reaches_the_child(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.call, "rich__hang")
            # A call that is answered behind it: the first one has arrived.
            await host.call("rich__echo")
            tasks.cancel_scope.cancel()
        assert await written(home.parent / "rich.note") == "cancelled"
        assert not (await host.call("rich__echo")).get("isError")
