"""What passes through to children and back: calls, results to the byte, errors, progress, cancellation."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from tests.children.processes import written
from tests.server.host import HANDSHAKE, MODERN, connected, official, war_room
from tests.server.played import Message, Played
from tests.server.wire import ABLE, PREFIX, Refused, Wire, staged, text_of
from warroom_mcp.models import Definitions

RICH: dict[str, Any] = {"candidate_id": "npm:rich", "auto_approve": True}
CHILD_ERAS = pytest.mark.parametrize("modern", [False, True], ids=["old-child", "modern-child"])


# --- real processes ------------------------------------------------------------------------------


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
async def test_a_childs_own_error_passes_unchanged(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        for tool, arguments in (("rich__refuse", {}), ("use_tool", {"tool": "rich__refuse"})):
            with pytest.raises(MCPError) as caught:
                await host.call(tool, arguments)
            error = caught.value.error
            assert (error.code, error.message, error.data) == (-32042, "not today", {"why": [1]})


@pytest.mark.slow
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


@pytest.mark.slow
async def test_progress_of_a_child_is_passed_on(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        steps: list[tuple[float, float | None, str | None]] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            steps.append((progress, total, message))

        await host.raw("tools/call", {"name": "rich__steps", "arguments": {}}, on_progress=note)
        assert steps == [(1, 2, "step 1"), (2, 2, "step 2")]


@pytest.mark.slow
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


@pytest.mark.slow
async def test_prompts_resources_and_completions_of_a_child_pass_through(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        got = await host.raw("prompts/get", {"name": "rich__greet", "arguments": {"who": "Ada"}})
        assert got["messages"][0]["content"]["text"] == "Hello Ada"
        for uri in ("notes://today", "notes://monday"):
            read = await host.raw("resources/read", {"uri": uri})
            assert read["contents"][0]["text"] == f"of {uri}"
            assert read.get("ttlMs") == (0 if era == MODERN else None)
        argument = {"name": "who", "value": "A"}
        for reference, of in (
            ({"type": "ref/prompt", "name": "rich__greet"}, "greet"),
            ({"type": "ref/resource", "uri": "notes://{day}"}, "notes://{day}"),
        ):
            done = await host.raw("completion/complete", {"ref": reference, "argument": argument})
            assert done["completion"]["values"] == [f"{of}:A"]


@pytest.mark.slow
async def test_what_is_not_exposed_is_not_reachable(era: str, home: Path) -> None:
    argument = {"name": "who", "value": "A"}
    unknown: list[tuple[str, dict[str, Any], int]] = [
        ("prompts/get", {"name": "greet", "arguments": {"who": "Ada"}}, INVALID_PARAMS),
        ("prompts/get", {}, INVALID_PARAMS),
        ("resources/read", {"uri": "file:///etc/passwd"}, INVALID_PARAMS if era == MODERN else -32002),
        ("resources/read", {"uri": 7}, INVALID_PARAMS),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": argument},
            INVALID_PARAMS,
        ),
        (
            "completion/complete",
            {"ref": {"type": "ref/resource", "uri": "notes://x"}, "argument": argument},
            INVALID_PARAMS,
        ),
        ("completion/complete", {"ref": "greet", "argument": argument}, INVALID_PARAMS),
        ("tools/call", {"name": 7}, INVALID_PARAMS),
    ]
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **RICH)
        for method, params, code in unknown:
            with pytest.raises(MCPError) as caught:
                await host.raw(method, params)
            assert caught.value.code == code


async def test_a_server_that_is_gone_answers_a_prompt_with_an_error_of_ours(era: str, home: Path) -> None:
    async with connected(era, war_room(home, official("exit"))) as host:
        host.war_room.toolbox.publish("gone", Definitions(prompts=({"name": "ask"},)))
        with pytest.raises(MCPError) as caught:
            await host.raw("prompts/get", {"name": "gone__ask"})
        assert caught.value.error.data["code"] == "unknown_server"


# --- to the byte ---------------------------------------------------------------------------------

BODY = (
    b'"content":[{"type":"text","text":"\\u00fc \xc3\xa4 \\/","x":1.0}, {"type":"smell","strength":3}],'
    b'"structuredContent":{"n":123456789012345678901234567890,"f":1e400,"z":-0.0,"a":{"a":[]}},'
    b'"_meta":{"a/b":null},"x-new":[1.10,{"y":1E5}]'
)


@CHILD_ERAS
async def test_every_byte_of_a_result_survives(era: str, home: Path, modern: bool) -> None:
    child = Played(modern=modern)
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        for tool, arguments in (("child__act", {}), ("use_tool", {"tool": "child__act"})):
            number = host.call(tool, arguments)
            told = b'"resultType":"complete",' if modern else b""
            (await child.takes()).answer_raw(b"{" + told + BODY + b"}")
            await host.message(number)
            kind = b'"resultType":"complete",' if era == MODERN else b""
            line = b'{"jsonrpc":"2.0","id":%d,"result":{%b%b}}\n' % (number, kind, BODY)
            assert host.lines[-1] == line


async def test_every_byte_of_the_arguments_survives(era: str, home: Path) -> None:
    child = Played()
    arguments = b'{"n":123456789012345678901234567890,"t":"\\u00fc\xc3\xa4","f":1.10,"o":{"b":1,"a":[{ }]}}'
    meta = json.dumps({"progressToken": 1, "x/y": 2, **({} if era == HANDSHAKE else Wire(era).meta)}).encode()
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        for wrapped in (
            b'"name":"child__act","arguments":%b' % arguments,
            b'"name":"use_tool","arguments":{"tool":"child__act","arguments":%b}' % arguments,
        ):
            host.write(
                b'{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{%b,"x-new":[ 1.0 ],"_meta":%b}}'
                % (wrapped, meta)
            )
            request = await child.takes()
            assert b'"arguments":' + arguments in request.line
            assert b'"x-new":[ 1.0 ]' in request.line
            assert (request.params["name"], request.meta["x/y"]) == ("act", 2)
            request.says("done")
            assert text_of(await host.result("a")) == "done"


@pytest.mark.parametrize("request_id", [0, -1, 2**60, 1.5, "", "1", 'ä\\"\n', "x" * 5000])
async def test_an_answer_has_the_id_of_its_request(era: str, home: Path, request_id: Any) -> None:
    child = Played()
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        meta = {"_meta": host.meta} if era == MODERN else {}
        host.send({"id": request_id, "method": "tools/call", "params": {"name": "child__act", **meta}})
        (await child.takes()).says("yes")
        assert text_of(await host.result(request_id)) == "yes"


async def test_structured_content_that_is_no_object_reaches_those_who_can_take_it(
    era: str, home: Path
) -> None:
    child = Played(modern=True)
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        for value in ([1, 2], "text", 7, None, False):
            number = host.call("child__act")
            (await child.takes()).answer(
                resultType="complete", content=[{"type": "text", "text": "1"}], structuredContent=value
            )
            result = await host.result(number)
            assert text_of(result) == "1"
            assert result.get("structuredContent", "absent") == (value if era == MODERN else "absent")
            assert result.get("resultType") == ("complete" if era == MODERN else None)


async def test_a_result_without_content_gets_an_empty_one(era: str, home: Path) -> None:
    child = Played()
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        number = host.call("child__act")
        (await child.takes()).answer(structuredContent={"a": 1}, other=2)
        result = await host.result(number)
        assert (result["content"], result["structuredContent"], result["other"]) == ([], {"a": 1}, 2)


@pytest.mark.parametrize(
    "result",
    [
        b'"a text"',
        b"[]",
        b"null",
        b'{"content":"text"}',
        b'{"content":[{"text":"no type"}]}',
        b'{"content":[{"type":"text"}]}',
        b'{"content":[{"type":"text","text":7}]}',
        b'{"content":[{"type":"image"}]}',
        b'{"content":[{"type":"resource","resource":"x"}]}',
        b'{"content":[7]}',
        b'{"content":[],"isError":"no"}',
        b'{"content":[],"resultType":7}',
    ],
)
async def test_a_result_that_is_none_is_no_empty_success(era: str, home: Path, result: bytes) -> None:
    child = Played()
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        number = host.call("child__act")
        (await child.takes()).answer_raw(result)
        error = (await host.result(number))["structuredContent"]["error"]
        assert error["code"] == "child_protocol_error"
        assert "child" in error["message"]


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("prompts/get", {"name": "child__greet"}, {"messages": "none"}),
        ("prompts/get", {"name": "child__greet"}, {}),
        ("resources/read", {"uri": "a://b"}, {"contents": [{"text": "no address"}]}),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "child__greet"}, "argument": {"name": "a", "value": ""}},
            {"completion": 3},
        ),
    ],
)
async def test_a_result_of_another_method_that_is_none_is_an_error_of_ours(
    era: str, home: Path, method: str, params: dict[str, Any], result: dict[str, Any]
) -> None:
    child = Played(prompts=[{"name": "greet"}], resources=[{"uri": "a://b", "name": "b"}])
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        number = host.post(method, params)
        (await child.takes(method)).answer(**result)
        with pytest.raises(Refused) as caught:
            await host.result(number)
        assert caught.value.code == -32603
        assert caught.value.data["code"] == "child_protocol_error"


@CHILD_ERAS
async def test_the_host_speaks_to_the_child_in_the_childs_era(era: str, home: Path, modern: bool) -> None:
    child = Played(modern=modern, prompts=[{"name": "greet"}], resources=[{"uri": "a://b", "name": "b"}])
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        calls: list[tuple[str, Message, Message]] = [
            ("tools/call", {"name": "child__act", "arguments": {}}, {"content": []}),
            ("prompts/get", {"name": "child__greet", "arguments": {}}, {"messages": []}),
            ("resources/read", {"uri": "a://b"}, {"contents": []}),
        ]
        for method, params, answer in calls:
            number = host.post(method, params, _meta={"x/y": 1})
            request = await child.takes(method)
            assert request.meta["x/y"] == 1
            assert (request.meta.get(f"{PREFIX}protocolVersion") == MODERN) == modern
            assert request.meta.get(f"{PREFIX}clientCapabilities") == (ABLE if modern else None)
            if modern:
                assert request.meta[f"{PREFIX}clientInfo"]["name"] == "war-room"
                answer = {"resultType": "complete", **answer}
                if method == "resources/read":
                    answer = {**answer, "ttlMs": 5000, "cacheScope": "public"}
            request.answer(**answer)
            result = await host.result(number)
            assert result.get("resultType") == ("complete" if era == MODERN else None)
            if method == "resources/read" and era == MODERN:
                cached = (5000, "public") if modern else (0, "private")
                assert (result["ttlMs"], result["cacheScope"]) == cached


async def test_a_child_of_both_eras_is_met_in_that_of_its_host(era: str, home: Path) -> None:
    child = Played(modern=None)
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        number = host.call("child__act")
        request = await child.takes()
        assert request.over.modern is (era == MODERN)
        request.answer(content=[], resultType="complete")
        await host.result(number)
        assert len(child.lines) == 1
        # A host of the other era at the same War Room gets a connection of its own.
        async with stage.host(HANDSHAKE if era == MODERN else MODERN, "other") as other:
            number = other.call("child__act")
            request = await child.takes()
            assert request.over.modern is (era != MODERN)
            assert request.over is not child.lines[0]
            request.answer(content=[], resultType="complete")
            await other.result(number)


@CHILD_ERAS
async def test_progress_goes_by_the_token_of_the_host(era: str, home: Path, modern: bool) -> None:
    child = Played(modern=modern)
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        for token in ("mine", 0, 2**60):
            number = host.call("child__act", {}, _meta={"progressToken": token})
            request = await child.takes()
            assert request.meta["progressToken"] != token
            request.progress(1, total=2, message="half", extra={"kept": 1.5})
            assert await host.hears("notifications/progress") == {
                "progressToken": token,
                "progress": 1,
                "total": 2,
                "message": "half",
                "extra": {"kept": 1.5},
            }
            request.says("done")
            await host.result(number)
            # What comes too late is not passed on.
            request.progress(2, total=2)
        number = host.call("child__act")
        request = await child.takes()
        request.progress(1)
        request.says("done")
        await host.result(number)
        assert host.told == []


@CHILD_ERAS
async def test_a_call_that_is_given_up_is_withdrawn_from_the_child(
    era: str, home: Path, modern: bool
) -> None:
    child = Played(modern=modern)
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        for tool, arguments in (("child__act", {}), ("use_tool", {"tool": "child__act"})):
            number = host.call(tool, arguments)
            request = await child.takes()
            host.cancel(number)
            assert (await child.hears("notifications/cancelled"))["requestId"] == request.id
            request.says("too late")
            again = host.call("child__act")
            (await child.takes()).says("in time")
            assert text_of(await host.result(again)) == "in time"
            assert not host.has(number)


async def test_calls_are_answered_in_the_order_in_which_their_child_answers(era: str, home: Path) -> None:
    child = Played()
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        numbers = [host.call("child__act", {"n": n}) for n in range(20)]
        requests = [await child.takes() for _ in numbers]
        for request in reversed(requests):
            request.says(str(request.params["arguments"]["n"]))
        assert [text_of(await host.result(number)) for number in numbers] == [str(n) for n in range(20)]


# --- when a child does not answer ----------------------------------------------------------------


async def test_a_call_ends_at_its_deadline_and_the_child_is_looked_at(era: str, home: Path) -> None:
    child = Played()
    async with staged(home, era, child=child, call_deadline=0.3) as stage, stage.host(era) as host:
        number = host.call("child__act")
        request = await child.takes()
        error = (await host.result(number))["structuredContent"]["error"]
        assert error["code"] == "call_timeout"
        assert (await child.hears("notifications/cancelled"))["requestId"] == request.id
        await child.takes("ping")  # it is looked at whether the child still lives


async def test_progress_extends_the_deadline_up_to_the_longest_call(home: Path) -> None:
    child = Played()
    async with staged(home, child=child, call_deadline=10) as stage, stage.host(HANDSHAKE) as host:
        relay = stage.gateway._relay
        now = 1000.0
        relay.clock = lambda: now
        number = host.call("child__act")
        request = await child.takes()
        for now in range(1008, 1000 + 3600, 8):
            relay._sweep()
            assert not host.has(number)
            request.progress(now)
        now = 1000.0 + 3600 + 1
        relay._sweep()
        assert (await host.result(number))["structuredContent"]["error"]["code"] == "call_timeout"


async def test_a_child_that_dies_is_called_once_more_only_where_that_does_no_harm(
    era: str, home: Path
) -> None:
    reads = {"name": "read", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
    child = Played(tools=["write", reads])
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        number = host.call("child__read")
        (await child.takes()).over.die()
        (await child.takes()).says("second life")
        assert text_of(await host.result(number)) == "second life"
        assert len(child.lines) == 2

        number = host.call("child__write")
        (await child.takes()).over.die()
        error = (await host.result(number))["structuredContent"]["error"]
        assert (error["code"], error["retryable"]) == ("child_gone", False)
        assert "not known" in error["hint"]


@pytest.mark.parametrize("asks", [False, True])
async def test_a_war_room_that_ends_answers_the_calls_in_flight(era: str, home: Path, asks: bool) -> None:
    child = Played()
    async with staged(home, era, child=child) as stage:
        host = stage.meet(Wire(era))
        await host.open()
        number = host.call("child__act")
        request = await child.takes()
        if asks:
            request.ask("roots/list", 1)
            await (host.question(number) if era == MODERN else host.is_asked())
    with anyio.fail_after(5):
        for open_call in (number, host.call("child__act"), host.post("tools/list")):
            if not (asks and open_call == number and era == MODERN):
                with pytest.raises(Refused, match="has ended"):
                    await host.result(open_call)
    assert child.lines[0].closed.is_set()
    assert "notifications/cancelled" in [one["method"] for one in child.told]


async def test_a_removed_server_answers_the_calls_in_flight_with_an_error(era: str, home: Path) -> None:
    child = Played()
    async with staged(home, era, child=child, relist_wait=0.01) as stage, stage.host(era) as host:
        number = host.call("child__act")
        await child.takes()
        assert await host.own("remove_server", name="child") == {"removed": "child"}
        error = (await host.result(number))["structuredContent"]["error"]
        assert error["code"] == "child_gone"
        with pytest.raises(Refused, match="No tool is exposed"):
            await host.get("tools/call", name="child__act")


async def test_a_sleeping_child_is_woken_by_a_call(era: str, home: Path) -> None:
    child = Played()
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        room = stage.gateway.war_room
        for running in room.running():
            running.stop()
            await running.over.wait()
        numbers = [host.call("child__act"), host.call("child__act")]
        for _ in numbers:
            (await child.takes()).says("awake")
        assert [text_of(await host.result(number)) for number in numbers] == ["awake", "awake"]
        assert len(child.lines) == 2
