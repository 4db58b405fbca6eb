"""What a child asks in mid-call: every pair of eras, every kind of question, and nobody asked wrongly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.server.host import HANDSHAKE, MODERN
from tests.server.played import Message, Played, Request
from tests.server.wire import ABLE, PREFIX, Refused, Wire, staged, text_of
from warroom_mcp.server import questions

FORM = {"mode": "form", "message": "Which?", "requestedSchema": {"type": "object", "x-new": [1]}}
QUESTIONS: dict[str, tuple[str, Message, Message]] = {
    "form": ("elicitation/create", FORM, {"action": "accept", "content": {"which": "ü"}, "x": 1}),
    "older form": (
        "elicitation/create",
        {"message": "Which?", "requestedSchema": {"type": "object"}},
        {"action": "decline"},
    ),
    "url": (
        "elicitation/create",
        {"mode": "url", "message": "Log in", "url": "https://example.org/", "elicitationId": "e1"},
        {"action": "accept"},
    ),
    "sampling": (
        "sampling/createMessage",
        {"messages": [{"role": "user", "content": {"type": "text", "text": "?"}}], "maxTokens": 5},
        {"role": "assistant", "content": {"type": "text", "text": "!"}, "model": "m"},
    ),
    "roots": ("roots/list", {}, {"roots": [{"uri": "file:///x", "_meta": {"k": 1}}]}),
}
kinds = pytest.mark.parametrize("kind", list(QUESTIONS))


class Answering:
    """A host that answers what it is asked, in its own era, and goes on until there is a result."""

    def __init__(self, host: Wire, answers: Mapping[str, Message]) -> None:
        self.host = host
        self.seen: list[Message] = []
        self.states: list[str] = []
        self._answers = answers
        host.on_ask = self._asked

    def _asked(self, message: Message) -> Message:
        self.seen.append({"method": message["method"], "params": message.get("params", {})})
        return self._answers[message["method"]]

    async def outcome(self, tool: str, arguments: Message | None = None, **more: Any) -> Message:
        """The result of a call, after all questions."""
        while True:
            result = await self.host.result(self.host.call(tool, arguments, **more))
            if result.get("resultType") != "input_required":
                return result
            self.states.append(result["requestState"])
            given = {}
            for key, question in result["inputRequests"].items():
                self.seen.append({"method": question["method"], "params": question.get("params", {})})
                given[key] = self._answers[question["method"]]
            more = {"requestState": result["requestState"], "inputResponses": given}


async def asks_old(child: Played, method: str, params: Message) -> Message:
    """The child of the handshake era asks within its next call, and says what it was told."""
    request = await child.takes()
    request.ask(method, "q1", **params)
    answer = await child.answered("q1")
    request.answer(content=[{"type": "text", "text": "done"}], seen=answer.get("result"))
    return answer


async def asks_modern(child: Played, method: str, params: Message) -> Message:
    """The child of the modern era asks by its result, and says what it was told."""
    first = await child.takes()
    asked = {"method": method, "params": params}
    state = 'opaque "state" \u00e4'
    first.answer(resultType="input_required", inputRequests={"the key": asked}, requestState=state)
    second = await child.takes()
    assert second.params["requestState"] == state
    assert second.params["arguments"] == first.params["arguments"]
    (given,) = second.params["inputResponses"].items()
    assert given[0] == "the key"
    second.answer(resultType="complete", content=[{"type": "text", "text": "done"}], seen=given[1])
    return {"result": given[1]}


@kinds
@pytest.mark.parametrize("modern", [False, True], ids=["old-child", "modern-child"])
async def test_a_question_reaches_the_host_and_the_answer_the_child(
    era: str, home: Path, modern: bool, kind: str
) -> None:
    child = Played(modern=modern)
    method, params, reply = QUESTIONS[kind]
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        answering = Answering(host, {method: reply})
        for tool, arguments in (("child__act", {"a": 1}), ("use_tool", {"tool": "child__act"})):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asks_modern if modern else asks_old, child, method, params)
                result = await answering.outcome(tool, arguments)
            assert text_of(result) == "done"
            assert result["seen"] == reply
            assert answering.seen.pop() == {"method": method, "params": params}


@pytest.mark.parametrize("modern", [False, True], ids=["old-child", "modern-child"])
@pytest.mark.parametrize(
    ("method", "params"), [("prompts/get", {"name": "child__greet"}), ("resources/read", {"uri": "a://b"})]
)
async def test_prompts_and_resources_may_ask_as_well(
    era: str, home: Path, modern: bool, method: str, params: Message
) -> None:
    child = Played(modern=modern, prompts=[{"name": "greet"}], resources=[{"uri": "a://b", "name": "b"}])
    question, asked, reply = QUESTIONS["form"]
    body: Message = {"messages": []} if method == "prompts/get" else {"contents": []}

    async def play() -> None:
        request = await child.takes(method)
        if modern:
            given = {"q": {"method": question, "params": asked}}
            request.answer(resultType="input_required", inputRequests=given, requestState="s")
            request = await child.takes(method)
            assert request.params["inputResponses"] == {"q": reply}
            request.answer(**body, resultType="complete", ttlMs=0, cacheScope="private")
        else:
            request.ask(question, 1, **asked)
            assert (await child.answered(1))["result"] == reply
            request.answer(**body)

    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        Answering(host, {question: reply})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(play)
            result = await host.get(method, params)
            if result.get("resultType") == "input_required":
                given = dict.fromkeys(result["inputRequests"], reply)
                state = result["requestState"]
                result = await host.get(method, params, requestState=state, inputResponses=given)
            assert next(iter(body)) in result


# --- what may be asked ---------------------------------------------------------------------------


@kinds
async def test_a_child_that_asks_what_its_host_does_not_offer_is_told_so(
    era: str, home: Path, kind: str
) -> None:
    child = Played()
    method, params, _ = QUESTIONS[kind]
    # A capability without sub-capabilities is the older way to offer forms, and nothing else.
    older: dict[str, Message] = {"form": {"elicitation": {"url": {}}}, "url": {"elicitation": {}}}
    unable = older.get(kind, {})
    async with staged(home, era, unable, child=child) as stage, stage.host(era, capabilities=unable) as host:
        number = host.call("child__act")
        request = await child.takes()
        request.ask(method, 5, **params)
        assert (await child.answered(5))["error"]["code"] == -32601
        request.says("without")
        assert text_of(await host.result(number)) == "without"
        assert host.asked == []


async def test_a_host_is_never_asked_what_is_no_question(era: str, home: Path) -> None:
    child = Played()
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        number = host.call("child__act")
        request = await child.takes()
        for asked, method in enumerate(("tools/call", "no/such", "initialize", "x" * 10_000)):
            request.ask(method, asked)
            assert (await child.answered(asked))["error"]["code"] == -32601
        request.over.send({"id": "list", "method": "elicitation/create", "params": [1]})
        request.over.send({"id": "text", "method": "roots/list", "params": "x"})
        request.ask("ping", "p")
        assert (await child.answered("p"))["result"] == {}
        request.says("done")
        await host.result(number)
        assert host.asked == []


async def test_a_modern_child_may_not_ask_by_a_request(era: str, home: Path) -> None:
    child = Played(modern=True)
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        host.call("child__act")
        (await child.takes()).ask("roots/list", 1)
        assert (await child.answered(1))["error"]["code"] == -32601
        assert host.asked == []


async def test_a_child_that_asks_without_a_call_asks_the_only_host_there_is(home: Path) -> None:
    child = Played()
    async with staged(home, HANDSHAKE, child=child) as stage, stage.host(HANDSHAKE) as host:
        child.lines[0].send({"id": 1, "method": "roots/list"})
        asked = await host.is_asked()
        assert asked["method"] == "roots/list"
        host.reply(asked["id"], {"roots": [{"uri": "file:///tmp"}]})
        assert (await child.answered(1))["result"] == {"roots": [{"uri": "file:///tmp"}]}
        child.lines[0].send({"id": 2, "method": "weather/get"})
        assert (await child.answered(2))["error"]["code"] == -32601


async def test_a_child_that_asks_without_a_call_is_refused_where_there_is_no_one_host(
    era: str, home: Path
) -> None:
    child = Played()
    method, params, _ = QUESTIONS["form"]
    async with (
        staged(home, era, child=child) as stage,
        stage.host(era, "one") as one,
        stage.host(MODERN, "two") as two,
    ):
        for host in (one, two):
            await host.get("tools/list")
        child.lines[0].send({"id": 1, "method": method, "params": params})
        assert (await child.answered(1))["error"]["code"] == -32600
        assert one.asked == two.asked == []


@pytest.mark.parametrize("other_era", [HANDSHAKE, MODERN])
async def test_a_question_that_may_be_anothers_is_asked_of_nobody(
    era: str, other_era: str, home: Path
) -> None:
    child = Played()
    method, params, _ = QUESTIONS["form"]
    async with (
        staged(home, era, child=child) as stage,
        stage.host(era, "one") as one,
        stage.host(other_era, "two") as two,
    ):
        numbers = one.call("child__act"), two.call("child__act")
        requests = [await child.takes(), await child.takes()]
        assert requests[0].over is requests[1].over
        for asked, request in enumerate(requests):
            request.ask(method, asked, **params)
            assert (await child.answered(asked))["error"]["code"] == -32600
        requests[0].says("first")
        assert text_of(await one.result(numbers[0])) == "first"
        # With one of them left, it is clear who is meant.
        requests[1].ask(method, 7, **params)
        if other_era == MODERN:
            assert await two.question(numbers[1])
        else:
            assert (await two.is_asked())["method"] == method
        assert one.asked == []


async def test_hosts_that_can_be_asked_other_things_have_connections_of_their_own(home: Path) -> None:
    child = Played()
    method, params, reply = QUESTIONS["form"]
    async with (
        staged(home, child=child) as stage,
        stage.host(HANDSHAKE, "able", on_ask=lambda message: reply) as able,
        stage.host(HANDSHAKE, "unable", capabilities={}) as unable,
    ):
        unable_call, able_call = unable.call("child__act"), able.call("child__act")
        first, second = await child.takes(), await child.takes()
        lines = {bool(request.over.capabilities): request for request in (first, second)}
        assert lines[True].over.capabilities == ABLE
        assert lines[False].over.capabilities == {}
        # Each is asked over its own connection, although both have a call in flight.
        lines[True].ask(method, 1, **params)
        assert (await child.answered(1))["result"] == reply
        lines[False].ask(method, 2, **params)
        assert (await child.answered(2))["error"]["code"] == -32601
        for request in lines.values():
            request.says("done")
        await unable.result(unable_call)
        await able.result(able_call)


# --- a host with a handshake ---------------------------------------------------------------------


async def test_what_the_host_answers_with_an_error_is_one_for_the_child(home: Path) -> None:
    child = Played()
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        number = host.call("child__act")
        request = await child.takes()
        request.ask("sampling/createMessage", 1, messages=[])
        asked = await host.is_asked()
        host.send({"id": asked["id"], "error": {"code": -1, "message": "no", "data": {"why": 2}}})
        assert (await child.answered(1))["error"] == {"code": -1, "message": "no", "data": {"why": 2}}
        request.says("without")
        assert text_of(await host.result(number)) == "without"


async def test_a_question_to_a_modern_childs_rounds_that_is_refused_ends_the_call(home: Path) -> None:
    child = Played(modern=True)
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        number = host.call("child__act")
        question = {"method": "sampling/createMessage", "params": {"messages": []}}
        (await child.takes()).answer(resultType="input_required", inputRequests={"q": question})
        asked = await host.is_asked()
        host.send({"id": asked["id"], "error": {"code": -1, "message": "rejected by the person"}})
        with pytest.raises(Refused, match="rejected by the person") as caught:
            await host.result(number)
        assert caught.value.code == -1


async def test_nobody_who_answers_is_an_error_for_the_child(home: Path) -> None:
    child = Played()
    async with staged(home, child=child, ask_deadline=0.05) as stage, stage.host(HANDSHAKE) as host:
        number = host.call("child__act")
        request = await child.takes()
        request.ask("roots/list", 1)
        assert "in time" in (await child.answered(1))["error"]["message"]
        asked = await host.is_asked()
        assert (await host.hears("notifications/cancelled"))["requestId"] == asked["id"]
        request.says("without")
        assert text_of(await host.result(number)) == "without"


async def test_a_child_that_no_longer_wants_to_know_withdraws_its_question(home: Path) -> None:
    child = Played()
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        host.call("child__act")
        request = await child.takes()
        request.ask("roots/list", "q")
        asked = await host.is_asked()
        child.tell("notifications/cancelled", requestId="q")
        assert (await host.hears("notifications/cancelled"))["requestId"] == asked["id"]


@pytest.mark.parametrize("modern", [False, True], ids=["old-child", "modern-child"])
async def test_a_question_ends_with_its_call(home: Path, modern: bool) -> None:
    child = Played(modern=modern)
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        number = host.call("child__act")
        request = await child.takes()
        if modern:
            question = {"q": {"method": "roots/list", "params": {}}}
            request.answer(resultType="input_required", inputRequests=question)
        else:
            request.ask("roots/list", 1)
        asked = await host.is_asked()
        host.cancel(number)
        assert (await host.hears("notifications/cancelled"))["requestId"] == asked["id"]
        again = host.call("child__act")
        (await child.takes()).says("next")
        assert text_of(await host.result(again)) == "next"


async def test_a_child_that_never_stops_asking_is_given_up(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "PAUSE", 0)
    child = Played(modern=True)
    rounds: list[Request] = []

    def ask(request: Request) -> Message:
        rounds.append(request)
        return {"resultType": "input_required", "requestState": str(len(rounds))}

    child.on["tools/call"] = ask
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        with pytest.raises(Refused, match="more than 10 times") as caught:
            await host.get("tools/call", name="child__act")
        assert caught.value.code == -32603
    assert [one.params.get("requestState") for one in rounds] == [None, *map(str, range(1, 11))]
    # Nothing was asked, so nothing is answered.
    assert not any("inputResponses" in one.params for one in rounds)


async def test_rounds_carry_what_belongs_to_them_and_nothing_older(home: Path) -> None:
    child = Played(modern=True)
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        Answering(host, {"roots/list": {"roots": []}, "sampling/createMessage": {"model": "m"}})
        number = host.call("child__act", {"a": 1}, _meta={"progressToken": "t", "x/y": 1})
        asks = {
            "r": {"method": "roots/list"},
            "s": {"method": "sampling/createMessage", "params": {"maxTokens": 1}},
        }
        (await child.takes()).answer(resultType="input_required", inputRequests=asks, requestState="one")
        second = await child.takes()
        assert second.params["inputResponses"] == {"r": {"roots": []}, "s": {"model": "m"}}
        assert second.meta["x/y"] == 1
        second.progress(1)
        assert (await host.hears("notifications/progress"))["progressToken"] == "t"
        second.answer(resultType="input_required", inputRequests={"only": {"method": "roots/list"}})
        third = await child.takes()
        assert third.params["inputResponses"] == {"only": {"roots": []}}
        assert "requestState" not in third.params
        third.answer(resultType="complete", content=[])
        assert await host.result(number) == {"content": []}


# --- a modern host and a modern child ------------------------------------------------------------


async def test_rounds_between_two_modern_ends_pass_to_the_byte(home: Path) -> None:
    child = Played(modern=True)
    body = (
        b'{"resultType":"input_required","inputRequests":{"k":{"method":"x/new","params":{"n":1.0}}},'
        b'"requestState":"\\u00e4"}'
    )
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        number = host.call("child__act")
        (await child.takes()).answer_raw(body)
        await host.message(number)
        assert body in host.lines[-1]
        host.call("child__act", {}, requestState="ä", inputResponses={"k": {"y": 2}})
        request = await child.takes()
        assert (request.params["requestState"], request.params["inputResponses"]) == ("ä", {"k": {"y": 2}})


async def test_a_modern_child_learns_the_capabilities_of_each_request(home: Path) -> None:
    child = Played(modern=True)
    async with (
        staged(home, MODERN, child=child) as stage,
        stage.host(MODERN, "one") as one,
        stage.host(MODERN, "two", capabilities={"sampling": {}}) as two,
    ):
        seen = []
        for host in (one, two):
            host.call("child__act")
            seen.append((await child.takes()).meta[f"{PREFIX}clientCapabilities"])
        assert seen == [ABLE, {"sampling": {}}]
        assert len(child.lines) == 1


# --- log messages --------------------------------------------------------------------------------


async def test_a_host_with_a_handshake_sets_the_level_of_old_children(home: Path) -> None:
    child = Played(logging={})
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        await host.get("logging/setLevel", level="warning")
        assert (await child.takes("logging/setLevel")).params == {"level": "warning"}
        number = host.call("child__act")
        request = await child.takes()
        for level in ("info", "warning", "unheard of"):
            child.tell("notifications/message", level=level, logger="l", data={"n": [1]})
        request.says("done")
        await host.result(number)
        levels = [one["params"]["level"] for one in host.told]
        assert levels == ["warning", "unheard of"]
        assert host.told[0]["params"] == {"level": "warning", "logger": "l", "data": {"n": [1]}}


async def test_a_level_set_before_a_child_starts_is_told_to_it(home: Path) -> None:
    child = Played(logging={})
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        await host.get("logging/setLevel", level="error")
        assert (await child.takes("logging/setLevel")).params == {"level": "error"}
        for running in stage.gateway.war_room.running():
            running.stop()
            await running.over.wait()
        host.call("child__act")
        assert (await child.takes("logging/setLevel")).params == {"level": "error"}


async def test_a_modern_host_gets_the_log_that_it_wants_with_each_request(home: Path) -> None:
    child = Played(logging={})
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        number = host.call("child__act", {}, _meta={f"{PREFIX}logLevel": "error"})
        request = await child.takes()
        assert (await child.takes("logging/setLevel")).params == {"level": "error"}
        for level in ("debug", "error"):
            child.tell("notifications/message", level=level, data=level)
        request.says("done")
        await host.result(number)
        assert [one["params"]["level"] for one in host.told] == ["error"]
        host.told.clear()
        # A request that wants none gets none.
        number = host.call("child__act")
        request = await child.takes()
        child.tell("notifications/message", level="emergency", data="x")
        request.says("done")
        await host.result(number)
        assert host.told == []


async def test_a_modern_child_is_told_the_level_with_each_request(era: str, home: Path) -> None:
    child = Played(modern=True, logging={})
    async with staged(home, era, child=child) as stage, stage.host(era) as host:
        if era == HANDSHAKE:
            await host.get("logging/setLevel", level="notice")
            number = host.call("child__act")
        else:
            number = host.call("child__act", {}, _meta={f"{PREFIX}logLevel": "notice"})
        request = await child.takes()
        assert request.meta[f"{PREFIX}logLevel"] == "notice"
        child.tell("notifications/message", level="notice", data="x")
        request.says("done")
        await host.result(number)
        assert [one["method"] for one in host.told] == ["notifications/message"]


async def test_a_log_that_belongs_to_no_call_reaches_the_only_host(home: Path) -> None:
    child = Played(logging={})
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE, "one") as one:
        child.tell("notifications/message", level="info", data="alone")
        assert (await one.hears("notifications/message"))["data"] == "alone"
        async with stage.host(HANDSHAKE, "two") as two:
            child.tell("notifications/message", level="info", data="whose?")
            await anyio.wait_all_tasks_blocked()
            assert (one.told, two.told) == ([], [])


async def test_changed_roots_are_told_to_old_children(home: Path) -> None:
    old, modern = Played(), Played(modern=True)
    async with staged(home, old=old, new=modern) as stage, stage.host(HANDSHAKE) as host:
        host.send({"method": "notifications/roots/list_changed"})
        await old.hears("notifications/roots/list_changed")
        assert modern.told == []
