"""Calls that wait for the person behind a modern host while the child's call goes on."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.server.host import HANDSHAKE, MODERN
from tests.server.played import Message, Played, Request
from tests.server.wire import ABLE, Refused, Wire, staged, text_of
from warroom_mcp.server import parking

FORM = {"mode": "form", "message": "Which?", "requestedSchema": {"type": "object"}}
YES: Message = {"action": "accept", "content": {}}


async def park(host: Wire, child: Played, **more: Any) -> tuple[Request, Message]:
    """A call of the child that has asked one thing, and the question as the host got it."""
    number = host.call("child__act", {"n": 1}, **more)
    request = await child.takes()
    request.ask("elicitation/create", "q", **FORM)
    return request, await host.question(number)


def back(host: Wire, question: Message, answers: Message | None = None, tool: str = "child__act") -> int:
    """The retry of a parked call."""
    given = dict.fromkeys(question["inputRequests"], YES) if answers is None else answers
    return host.call(tool, {"n": 1}, requestState=question["requestState"], inputResponses=given)


async def refused(host: Wire, number: int) -> None:
    """A request has to be refused, with the code for it."""
    with pytest.raises(Refused, match="Invalid or expired requestState") as caught:
        await host.result(number)
    assert caught.value.code == -32602


async def test_a_question_comes_with_an_unguessable_state(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        states = set()
        for _ in range(3):
            request, question = await park(host, child)
            (asked,) = question["inputRequests"].values()
            assert asked == {"method": "elicitation/create", "params": FORM}
            assert len(question["requestState"]) >= 32
            states.add(question["requestState"])
            number = back(host, question)
            assert (await child.answered("q"))["result"] == YES
            request.says("done")
            assert text_of(await host.result(number)) == "done"
        assert len(states) == 3
        # The child was called once each time: a retry is no new call.
        assert child.received == []


async def test_a_state_is_good_once(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        request, question = await park(host, child)
        number = back(host, question)
        await refused(host, back(host, question))
        request.says("done")
        assert text_of(await host.result(number)) == "done"
        await refused(host, back(host, question))
        assert child.received == []


@pytest.mark.parametrize("state", ["made up", "", 7, None, {"a": 1}])
async def test_a_state_that_nobody_gave_out_calls_nothing(era: str, home: Path, state: Any) -> None:
    child = Played()
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        await refused(host, host.call("child__act", {}, requestState=state, inputResponses={}))
        wrapped = {"tool": "child__act", "arguments": {}}
        await refused(host, host.call("use_tool", wrapped, requestState=state))
        await refused(host, host.call("child__act", {}, inputResponses={"q": YES}))
        assert child.received == []


async def test_a_state_is_for_the_host_and_the_tool_that_it_was_given_to(home: Path) -> None:
    child = Played(tools=["act", "other"], prompts=[{"name": "act"}])
    async with (
        staged(home, MODERN, child=child) as stage,
        stage.host(MODERN, "one") as one,
        stage.host(MODERN, "two") as two,
    ):
        request, question = await park(one, child)
        await refused(two, back(two, question))
        await refused(one, back(one, question, tool="child__other"))
        await refused(
            one, one.call("use_tool", {"tool": "child__act"}, requestState=question["requestState"])
        )
        await refused(one, one.call("add_server", {}, requestState=question["requestState"]))
        await refused(one, one.post("prompts/get", name="child__act", requestState=question["requestState"]))
        assert child.received == []
        assert child.answers == {}
        # None of that took it away from the one who may use it.
        number = back(one, question)
        request.says("done")
        assert text_of(await one.result(number)) == "done"


async def test_a_call_that_nobody_comes_back_for_is_withdrawn(home: Path) -> None:
    child = Played()
    async with (
        staged(home, MODERN, child=child, ask_deadline=0.05) as stage,
        stage.host(MODERN) as host,
    ):
        request, question = await park(host, child)
        assert (await child.hears("notifications/cancelled"))["requestId"] == request.id
        assert "error" in await child.answered("q")
        await refused(host, back(host, question))


async def test_a_retry_that_is_cancelled_cancels_the_childs_call(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        request, question = await park(host, child)
        number = back(host, question)
        await child.answered("q")
        host.cancel(number)
        assert (await child.hears("notifications/cancelled"))["requestId"] == request.id
        again = host.call("child__act")
        (await child.takes()).says("next")
        assert text_of(await host.result(again)) == "next"


async def test_what_is_asked_in_one_breath_is_one_question(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        number = host.call("child__act")
        request = await child.takes()
        request.ask("elicitation/create", "a", **FORM)
        request.ask("roots/list", "b")
        request.ask("roots/list", 3)
        question = await host.question(number)
        methods = [one["method"] for one in question["inputRequests"].values()]
        assert methods == ["elicitation/create", "roots/list", "roots/list"]
        keys = list(question["inputRequests"])
        answers = {keys[2]: {"roots": [3]}, keys[0]: YES, keys[1]: {"roots": [2]}, "unknown": {}}
        number = back(host, question, answers)
        assert (await child.answered("a"))["result"] == YES
        assert (await child.answered("b"))["result"] == {"roots": [2]}
        assert (await child.answered(3))["result"] == {"roots": [3]}
        request.says("done")
        assert text_of(await host.result(number)) == "done"


async def test_missing_answers_are_asked_for_again_with_a_new_state(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        number = host.call("child__act")
        request = await child.takes()
        request.ask("elicitation/create", "a", **FORM)
        request.ask("roots/list", "b")
        first = await host.question(number)
        one, other = first["inputRequests"]
        second = await host.question(back(host, first, {one: YES}))
        assert (await child.answered("a"))["result"] == YES
        assert list(second["inputRequests"]) == [other]
        assert second["requestState"] != first["requestState"]
        await refused(host, back(host, first))
        for nothing in ({}, {"x": 1}):
            second = await host.question(back(host, second, nothing))
            assert list(second["inputRequests"]) == [other]
        number = back(host, second, {other: {"roots": []}})
        assert (await child.answered("b"))["result"] == {"roots": []}
        request.says("done")
        assert text_of(await host.result(number)) == "done"


async def test_a_child_may_ask_again_after_an_answer(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        request, question = await park(host, child)
        for turn in range(5):
            number = back(host, question)
            await child.answered("q" if turn == 0 else turn)
            request.ask("elicitation/create", turn + 1, **FORM)
            question = await host.question(number)
        number = back(host, question)
        request.says("done")
        assert text_of(await host.result(number)) == "done"


async def test_what_the_child_asks_while_the_host_is_away_is_asked_when_it_is_back(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        request, question = await park(host, child)
        request.ask("roots/list", "later")
        second = await host.question(back(host, question))
        (asked,) = second["inputRequests"].values()
        assert asked["method"] == "roots/list"
        number = back(host, second, {key: {"roots": []} for key in second["inputRequests"]})
        assert (await child.answered("later"))["result"] == {"roots": []}
        request.says("done")
        assert text_of(await host.result(number)) == "done"


@pytest.mark.parametrize("ending", ["result", "error", "death"])
async def test_what_happens_while_the_host_is_away_is_told_when_it_is_back(home: Path, ending: str) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        request, question = await park(host, child)
        if ending == "result":
            request.says("without you")
        elif ending == "error":
            request.fail(-32042, "no longer", data={"why": 1})
        else:
            request.over.die()
        await anyio.wait_all_tasks_blocked()
        number = back(host, question)
        if ending == "error":
            with pytest.raises(Refused, match="no longer") as caught:
                await host.result(number)
            assert (caught.value.code, caught.value.data) == (-32042, {"why": 1})
            return
        result = await host.result(number)
        if ending == "result":
            assert text_of(result) == "without you"
        else:
            assert result["structuredContent"]["error"]["code"] == "child_gone"
        await refused(host, back(host, question))


async def test_progress_and_logs_go_to_the_request_that_came_back(home: Path) -> None:
    child = Played(logging={})
    level = "io.modelcontextprotocol/logLevel"
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        request, question = await park(host, child, _meta={"progressToken": "first"})
        # While the host is away there is nobody to tell.
        request.progress(1)
        child.tell("notifications/message", level="error", data="to nobody")
        assert host.told == []
        state, given = question["requestState"], dict.fromkeys(question["inputRequests"], YES)
        meta = {"progressToken": "second", level: "info"}
        host.call("child__act", {}, requestState=state, inputResponses=given, _meta=meta)
        await child.answered("q")
        request.progress(2)
        assert (await host.hears("notifications/progress")) == {"progressToken": "second", "progress": 2}
        child.tell("notifications/message", level="error", data="heard")
        assert (await host.hears("notifications/message"))["data"] == "heard"


async def test_a_person_has_more_time_than_a_child(home: Path) -> None:
    child = Played()
    async with (
        staged(home, MODERN, child=child, call_deadline=0.05) as stage,
        stage.host(MODERN) as host,
    ):
        _, question = await park(host, child)
        # Another call is late meanwhile, and found to be.
        late = host.call("child__act")
        await host.result(late)
        assert text_of_error(await host.result(back(host, question))) == "call_timeout"


def text_of_error(result: Message) -> str:
    code: str = result["structuredContent"]["error"]["code"]
    return code


async def test_use_tool_is_parked_like_a_call_by_name(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        arguments = {"tool": "child__act", "arguments": {"n": 1}}
        number = host.call("use_tool", arguments)
        request = await child.takes()
        request.ask("elicitation/create", "q", **FORM)
        question = await host.question(number)
        given = dict.fromkeys(question["inputRequests"], YES)
        number = host.call("use_tool", arguments, requestState=question["requestState"], inputResponses=given)
        assert (await child.answered("q"))["result"] == YES
        request.says("done")
        assert text_of(await host.result(number)) == "done"


async def test_there_is_room_for_so_many_and_the_child_is_told_when_there_is_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "MAX_PARKED_PER_HOST", 2)
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        parked = [await park(host, child) for _ in range(2)]
        number = host.call("child__act")
        request = await child.takes()
        request.ask("elicitation/create", "third", **FORM)
        assert "Too many" in (await child.answered("third"))["error"]["message"]
        request.says("without")
        assert text_of(await host.result(number)) == "without"
        async with stage.host(MODERN, "other", capabilities={**ABLE, "x": 1}) as other:
            monkeypatch.setattr(parking, "MAX_PARKED", 2)
            monkeypatch.setattr(parking, "MAX_PARKED_PER_HOST", 16)
            number = other.call("child__act")
            request = await child.takes()
            if request.over is child.lines[0]:
                # The calls of two hosts are in flight on one connection: it cannot be told who is meant.
                request.ask("elicitation/create", "fourth", **FORM)
                assert (await child.answered("fourth"))["error"]["code"] == -32600
            request.says("done")
            await other.result(number)
        monkeypatch.setattr(parking, "MAX_PARKED", 64)
        for request, question in parked:
            number = back(host, question)
            request.says("done")
            assert text_of(await host.result(number)) == "done"


async def test_a_parked_call_ends_with_the_war_room(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        await park(host, child)
    assert child.lines[0].closed.is_set()


async def test_a_parked_call_ends_with_its_server(home: Path) -> None:
    child = Played()
    async with staged(home, MODERN, child=child, relist_wait=0.01) as stage, stage.host(MODERN) as host:
        _, question = await park(host, child)
        await host.own("remove_server", name="child")
        with pytest.raises(Refused, match="No tool is exposed"):
            await host.result(back(host, question))


async def test_a_host_with_a_handshake_is_never_parked(home: Path) -> None:
    child = Played()
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        number = host.call("child__act")
        request = await child.takes()
        request.ask("elicitation/create", "q", **FORM)
        host.reply((await host.is_asked())["id"], YES)
        assert (await child.answered("q"))["result"] == YES
        request.says("done")
        assert "resultType" not in await host.result(number)
