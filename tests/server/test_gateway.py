"""Which way a request takes: own tools, children's, tasks, completions, and what leads nowhere."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.server.child import LOOK
from tests.server.host import HANDSHAKE, MODERN, war_room
from tests.server.played import Message, Played
from tests.server.wire import Refused, staged, text_of
from warroom_mcp.models import Definitions
from warroom_mcp.server.gateway import input_schema
from warroom_mcp.server.tools import OWN_TOOLS

CHILD_ERAS = pytest.mark.parametrize("modern", [False, True], ids=["old-child", "modern-child"])


async def test_an_unknown_tool_is_an_error_of_the_protocol_that_helps(era: str, home: Path) -> None:
    async with staged(home, child=Played(tools=["look"])) as stage, stage.host(era) as host:
        with pytest.raises(Refused) as caught:
            await host.get("tools/call", name="child__lokk")
        assert caught.value.code == -32602
        assert "child__look" in caught.value.data["hint"]
        for name in ("child", "", "x" * 10_000, "\ud800", 7, None, ["child__look"]):
            with pytest.raises(Refused) as caught:
                await host.get("tools/call", name=name)
            assert caught.value.code == -32602
            assert len(str(caught.value)) < 1000


async def test_a_bare_name_reaches_the_only_tool_that_has_it(era: str, home: Path) -> None:
    one, two = Played(tools=["look", "see"]), Played(tools=["look"])
    async with staged(home, era, one=one, two=two) as stage, stage.host(era) as host:
        number = host.call("see")
        (await one.takes()).says("seen")
        assert text_of(await host.result(number)) == "seen"
        with pytest.raises(Refused, match="No tool is exposed"):
            await host.get("tools/call", name="look")


async def test_a_config_that_cannot_be_read_leaves_the_own_tools(era: str, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "mcp-config.json").write_text("{ this is no JSON")
    async with staged(home) as stage, stage.host(era) as host:
        assert [tool["name"] for tool in (await host.get("tools/list"))["tools"]] == list(OWN_TOOLS)
        assert (await host.own("list_servers"))["error"]["code"] == "config_corrupt"
        assert "error" not in await host.own("analyze_problem", problem="redis: connection refused")
        with pytest.raises(Refused, match="No tool is exposed"):
            await host.get("tools/call", name="rich__look")
        assert (home / "mcp-config.json").read_text() == "{ this is no JSON"


@pytest.mark.parametrize("arguments", [[], "text", 7, True])
async def test_arguments_that_are_no_object_are_refused(era: str, home: Path, arguments: Any) -> None:
    async with staged(home) as stage, stage.host(era) as host:
        for name in OWN_TOOLS:
            with pytest.raises(Refused) as caught:
                await host.get("tools/call", name=name, arguments=arguments)
            assert caught.value.code == -32602


async def test_a_tool_of_our_own_without_arguments_needs_none(era: str, home: Path) -> None:
    async with staged(home) as stage, stage.host(era) as host:
        for params in ({"name": "list_servers"}, {"name": "list_servers", "arguments": None}):
            assert (await host.get("tools/call", params))["structuredContent"]["servers"] == []


async def test_a_use_case_that_breaks_is_an_error_and_the_next_one_works(
    era: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(home) as stage, stage.host(era) as host:

        async def breaks(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError("secret words")

        for tool, use_case, arguments in (
            ("list_servers", "list_servers", {}),
            ("add_server", "add_server", {"candidate_id": "npm:x"}),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(stage.gateway.war_room, use_case, breaks)
                with pytest.raises(Refused) as caught:
                    await host.get("tools/call", name=tool, arguments=arguments)
                assert caught.value.code == -32603
                assert "secret" not in str(caught.value)
        assert await host.own("list_servers")


async def test_own_tools_carry_the_result_type_of_their_era_alone(era: str, home: Path) -> None:
    async with staged(home) as stage, stage.host(era) as host:
        result = await host.get("tools/call", name="list_servers")
        assert json.loads(text_of(result)) == result["structuredContent"]
        if era == MODERN:
            assert result["resultType"] == "complete"


def test_the_schema_behind_the_headers_is_the_childs_own(home: Path) -> None:
    room = war_room(home)
    room.toolbox.publish("rich", Definitions(tools=(LOOK,)))
    assert input_schema(room, "rich__look") == LOOK["inputSchema"]
    assert input_schema(room, "add_server") is None
    assert input_schema(room, "nobody__knows") is None


# --- completions ---------------------------------------------------------------------------------


@CHILD_ERAS
async def test_a_completion_is_asked_of_the_server_that_it_is_about(
    era: str, home: Path, modern: bool
) -> None:
    template = {"uriTemplate": "days://{day}", "name": "day"}
    child = Played(modern=modern, prompts=[{"name": "greet"}], templates=[template], completions={})
    other = Played(prompts=[{"name": "greet"}], completions={})
    argument = {"name": "who", "value": "A"}
    context = {"arguments": {"x": "1"}}
    async with staged(home, era, child=child, other=other) as stage, stage.host(era) as host:
        for reference, passed in (
            ({"type": "ref/prompt", "name": "child__greet", "title": "t"}, {"name": "greet", "title": "t"}),
            ({"type": "ref/resource", "uri": "days://{day}"}, {"uri": "days://{day}"}),
        ):
            number = host.post("completion/complete", ref=reference, argument=argument, context=context)
            request = await child.takes("completion/complete")
            assert request.params["ref"] == {"type": reference["type"], **passed}
            assert (request.params["argument"], request.params["context"]) == (argument, context)
            values = {"values": ["Ada"], "total": 1, "hasMore": False}
            request.answer(completion=values, **({"resultType": "complete"} if modern else {}))
            assert (await host.result(number))["completion"] == values
        assert other.received == []


# --- tasks ---------------------------------------------------------------------------------------


async def test_a_task_of_the_handshake_era_is_relayed_as_it_is(home: Path) -> None:
    abilities: Message = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
    child, other = Played(tasks=abilities), Played(tasks=abilities)
    async with staged(home, child=child, other=other) as stage, stage.host(HANDSHAKE) as host:
        number = host.call("child__act", {}, task={"ttl": 60_000})
        request = await child.takes()
        assert request.params["task"] == {"ttl": 60_000}
        task = {"taskId": "t1", "status": "working", "createdAt": "now", "ttl": 60_000, "x-new": 1.5}
        request.answer(task=task)
        assert await host.result(number) == {"task": task}

        for method, answer in (
            ("tasks/get", task),
            ("tasks/result", {"content": [{"type": "text", "text": "done"}], "isError": False}),
            ("tasks/cancel", {**task, "status": "cancelled"}),
        ):
            number = host.post(method, taskId="t1", extra=[1])
            request = await child.takes(method)
            assert (request.params["taskId"], request.params["extra"]) == ("t1", [1])
            request.answer(**answer)
            assert await host.result(number) == answer

        child.tell("notifications/tasks/status", taskId="t1", status="completed")
        assert (await host.hears("notifications/tasks/status"))["taskId"] == "t1"
        assert other.received == []
        # What is listed would be the tasks of all servers.
        with pytest.raises(Refused) as caught:
            await host.get("tasks/list")
        assert caught.value.code == -32601


async def test_a_task_of_the_modern_era_is_relayed_as_it_is(home: Path) -> None:
    child = Played(modern=True, extensions={"io.modelcontextprotocol/tasks": {}})
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        number = host.call("child__act")
        task: Message = {"resultType": "task", "taskId": "t1", "status": "working", "pollIntervalMs": 50}
        (await child.takes()).answer(**task)
        assert await host.result(number) == task
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            number = host.post(method, taskId="t1", inputResponses={"q": {"action": "accept"}})
            request = await child.takes(method)
            assert request.params["inputResponses"] == {"q": {"action": "accept"}}
            request.answer(resultType="complete", taskId="t1", status="completed", result={"content": []})
            assert (await host.result(number))["result"] == {"content": []}


@pytest.mark.parametrize("task", ["none", "", 7, None])
async def test_an_unknown_task_is_refused(era: str, home: Path, task: Any) -> None:
    async with staged(home, era, child=Played()) as stage, stage.host(era) as host:
        for method in ("tasks/get", "tasks/cancel", "tasks/result"):
            with pytest.raises(Refused) as caught:
                await host.get(method, taskId=task)
            assert caught.value.code == -32602


async def test_a_task_of_a_server_that_was_removed_is_an_error(home: Path) -> None:
    child = Played()
    async with staged(home, child=child, relist_wait=0.01) as stage, stage.host(HANDSHAKE) as host:
        number = host.call("child__act", {}, task={})
        (await child.takes()).answer(task={"taskId": "t1"})
        await host.result(number)
        await host.own("remove_server", name="child")
        with pytest.raises(Refused) as caught:
            await host.get("tasks/get", taskId="t1")
        assert caught.value.data["code"] == "unknown_server"


# --- many hosts at one War Room ------------------------------------------------------------------


@pytest.mark.parametrize("other_era", [HANDSHAKE, MODERN])
async def test_the_answers_of_two_hosts_are_never_mixed_up(era: str, other_era: str, home: Path) -> None:
    child = Played()
    async with (
        staged(home, era, child=child) as stage,
        stage.host(era, "one") as one,
        stage.host(other_era, "two") as two,
    ):
        hosts = [one, two] * 10
        numbers = [host.call("child__act", {"of": host.name, "n": n}) for n, host in enumerate(hosts)]
        requests = [await child.takes() for _ in hosts]
        for request in reversed(requests):
            arguments = request.params["arguments"]
            request.progress(1)
            request.says(f"{arguments['of']} {arguments['n']}")
        for n, (host, number) in enumerate(zip(hosts, numbers, strict=True)):
            assert text_of(await host.result(number)) == f"{host.name} {n}"
        assert one.told == two.told == []


async def test_a_host_that_leaves_takes_its_calls_with_it_and_no_others(era: str, home: Path) -> None:
    child = Played()
    async with staged(home, era, child=child) as stage, stage.host(era, "stays") as stays:
        number = stays.call("child__act", {"of": "stays"})
        kept = await child.takes()
        async with stage.host(era, "leaves") as leaves:
            leaves.call("child__act", {"of": "leaves"})
            left = await child.takes()
        assert (await child.hears("notifications/cancelled"))["requestId"] == left.id
        kept.says("still here")
        assert text_of(await stays.result(number)) == "still here"
        await anyio.wait_all_tasks_blocked()
        assert child.told == [] or all(one["method"] == "notifications/initialized" for one in child.told)
