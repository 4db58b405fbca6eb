"""What passes through to children and back: calls, results, errors, progress, prompts, resources."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from tests.children.processes import written
from tests.server.child import PROMPTS, RESOURCES, TEMPLATES
from tests.server.host import MODERN, connected, official, war_room
from warroom_mcp import sdk
from warroom_mcp.models import Definitions
from warroom_mcp.server.proxy import Proxy
from warroom_mcp.toolbox import Exposed

# Each test starts real processes.
pytestmark = pytest.mark.slow

RICH: dict[str, Any] = {"candidate_id": "npm:rich", "auto_approve": True}


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


# --- a child of the modern era that asks back ----------------------------------------------------


class Asking:
    """A War Room whose child answers with a question until it gets its own state back."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    async def request(self, server: str, method: str, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.seen.append(params)
        if params.get("requestState") == "s1":
            return {"resultType": "complete", "content": [{"type": "text", "text": "done"}]}
        return {"resultType": "input_required", "requestState": "s1"}


async def test_a_childs_question_and_the_retry_to_it_pass_through() -> None:
    child, tool = Asking(), Exposed("a__b", "a", "b", {})
    proxy = Proxy(cast("Any", child))
    first = await proxy.call(context(MODERN), tool, {"x": 1})
    assert first == {"resultType": "input_required", "requestState": "s1"}
    given = {"approval": {"action": "accept"}}
    second = await proxy.call(context(MODERN, requestState="s1", inputResponses=given), tool, {"x": 1})
    assert second["content"] == [{"type": "text", "text": "done"}]
    assert child.seen[1]["inputResponses"] == given


async def test_a_question_that_the_host_cannot_take_is_an_error() -> None:
    answer = await Proxy(cast("Any", Asking())).call(context("2025-11-25"), Exposed("a__b", "a", "b", {}), {})
    assert answer["structuredContent"]["error"]["code"] == "child_protocol_error"


def context(version: str, **params: Any) -> Any:
    return SimpleNamespace(protocol_version=version, params=params, session=None)


async def test_a_result_waits_for_the_progress_before_it() -> None:
    order: list[str] = []

    class Session:
        async def report_progress(self, *step: Any) -> None:
            await anyio.wait_all_tasks_blocked()
            order.append("progress")

    class Quick:
        async def request(self, *_: Any, on_progress: Any) -> dict[str, Any]:
            tasks.start_soon(on_progress, 1, None, None)
            await anyio.lowlevel.checkpoint()
            return {"content": []}

    ctx = SimpleNamespace(protocol_version=MODERN, params={}, session=Session())
    async with anyio.create_task_group() as tasks:
        await Proxy(cast("Any", Quick())).call(cast("Any", ctx), Exposed("a__b", "a", "b", {}), {})
        order.append("result")
    assert order == ["progress", "result"]
