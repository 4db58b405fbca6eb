"""One end of a connection: every request gets exactly one outcome, whoever asked and whatever comes."""

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from warroom_mcp.wire.codec import Fields, RpcError, encode
from warroom_mcp.wire.lines import MAX_DEPTH
from warroom_mcp.wire.peer import (
    BrokenAnswer,
    ConnectionLost,
    Incoming,
    Peer,
    Unanswered,
    params_of,
)
from warroom_mcp.wire.protocol import INVALID_REQUEST, PARSE_ERROR


class Outcome:
    """A sink that remembers everything it is told."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.steps: list[dict[str, Any]] = []

    def replied(self, result: Raw) -> None:
        self.said.append(json.loads(bytes(result)))

    def refused(self, error: RpcError) -> None:
        self.said.append(error)

    def lost(self, error: Unanswered) -> None:
        self.said.append(error)

    def progressed(self, fields: Fields) -> None:
        self.steps.append({name: json.loads(bytes(value)) for name, value in fields.items()})


class End:
    """A peer, what it sent, and what it was asked and told."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.asked: list[Incoming] = []
        self.told: list[tuple[str, bytes]] = []
        self.peer = Peer(self._send, self.asked.append, lambda m, p: self.told.append((m, bytes(p))))

    def _send(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        self.sent.append(json.loads(line))

    def post(self, method: str = "tools/call", params: bytes = b"{}") -> Outcome:
        outcome = Outcome()
        self.peer.post(method, params, outcome)
        return outcome

    def receive(self, **message: Any) -> None:
        self.peer.receive(encode({"jsonrpc": "2.0", **message}))


# --- what it asks --------------------------------------------------------------------------------


def test_each_answer_reaches_who_asked_in_whatever_order_they_come() -> None:
    end = End()
    outcomes = [end.post() for _ in range(3)]
    assert [message["id"] for message in end.sent] == [1, 2, 3]
    for number in (2, 3, 1):
        end.receive(id=number, result={"n": number})
    assert [outcome.said for outcome in outcomes] == [[{"n": 1}], [{"n": 2}], [{"n": 3}]]


def test_the_id_of_the_next_request_is_known_before_it_is_sent() -> None:
    end = End()
    number = end.peer.next_id()
    assert end.peer.post("ping", b"", Outcome()) == number == end.sent[0]["id"]


def test_an_answer_to_the_number_as_a_text_is_taken() -> None:
    end = End()
    outcome = end.post()
    end.receive(id="1", result={})
    assert outcome.said == [{}]


@pytest.mark.parametrize("request_id", [2, 0, -1, "x", "", 1.5, True, None, {"a": 1}, "9" * 30])
def test_an_answer_to_nobody_is_dropped(request_id: object) -> None:
    end = End()
    outcome = end.post()
    end.receive(id=request_id, result={})
    assert outcome.said == []
    end.receive(id=1, result={})
    end.receive(id=1, result={"again": True})
    assert outcome.said == [{}]


def test_an_error_reaches_who_asked_with_all_it_says() -> None:
    end = End()
    outcome = end.post()
    end.receive(id=1, error={"code": -32000, "message": "no luck", "data": {"why": [1]}})
    (error,) = outcome.said
    assert isinstance(error, RpcError)
    assert (error.code, error.message, error.data) == (-32000, "no luck", {"why": [1]})


def test_an_empty_error_beside_a_result_is_none() -> None:
    end = End()
    one, two = end.post(), end.post()
    end.receive(id=1, result={"a": 1}, error=None)
    end.receive(id=2, error=None)
    assert one.said == [{"a": 1}]
    assert isinstance(two.said[0], RpcError)


def test_progress_reaches_the_request_with_its_token_and_no_other() -> None:
    end = End()
    one, two = end.post(), end.post()
    end.receive(method="notifications/progress", params={"progressToken": 2, "progress": 0.5})
    end.receive(method="notifications/progress", params={"progressToken": 7, "progress": 1})
    end.receive(method="notifications/progress", params=[])
    end.receive(method="notifications/progress")
    end.receive(id=2, result={})
    end.receive(method="notifications/progress", params={"progressToken": 2, "progress": 1})
    assert (one.steps, two.steps) == ([], [{"progressToken": 2, "progress": 0.5}])
    assert end.told == []


def test_who_withdrew_hears_nothing_more_and_the_other_side_is_told_once() -> None:
    end = End()
    outcome = end.post()
    end.peer.withdraw(1, "no longer wanted")
    end.peer.withdraw(1)
    end.peer.withdraw(99)
    end.receive(id=1, result={})
    end.peer.close()
    assert outcome.said == []
    assert end.sent[1:] == [
        {
            "jsonrpc": "2.0",
            "method": "notifications/cancelled",
            "params": {"requestId": 1, "reason": "no longer wanted"},
        }
    ]


def test_an_unreadable_answer_fails_its_own_request() -> None:
    end = End()
    one, two = end.post(), end.post()
    end.peer.receive(b'{"jsonrpc":"2.0","id":2,"result":{"a":')
    assert one.said == []
    assert isinstance(two.said[0], BrokenAnswer)
    assert "cannot be read" in two.said[0].reason


def test_an_unreadable_answer_of_nobody_fails_all() -> None:
    end = End()
    outcomes = [end.post(), end.post()]
    end.peer.receive(b'{"jsonrpc":"2.0","result":{"a":')
    assert [type(outcome.said[0]) for outcome in outcomes] == [BrokenAnswer] * 2
    end.receive(id=1, result={})
    assert [len(outcome.said) for outcome in outcomes] == [1, 1]


@pytest.mark.parametrize("request_id", [1, "1"])
def test_a_transport_can_fail_an_answer_that_it_could_not_read(request_id: int | str) -> None:
    end = End()
    outcome = end.post()
    end.peer.answer_broken(None, BrokenAnswer("x"))
    end.peer.answer_broken("y", BrokenAnswer("x"))
    assert outcome.said == []
    end.peer.answer_broken(request_id, BrokenAnswer("said nothing"))
    assert str(outcome.said[0]) == "said nothing"


# --- what it is asked ----------------------------------------------------------------------------


@pytest.mark.parametrize("request_id", [7, "x", "7", 0, -3, 1.5, "ü\n"])
def test_a_request_is_answered_with_the_id_it_came_with(request_id: object) -> None:
    end = End()
    end.receive(id=request_id, method="roots/list", params={"a": 1})
    (incoming,) = end.asked
    assert incoming.method == "roots/list"
    assert params_of(incoming).keys() == {"a"}
    assert end.peer.owes() == [incoming]
    incoming.answer(b'{"roots":[]}')
    assert end.sent == [{"jsonrpc": "2.0", "id": request_id, "result": {"roots": []}}]
    assert end.peer.owes() == []


def test_a_request_is_answered_once() -> None:
    end = End()
    end.receive(id=1, method="roots/list")
    incoming = end.asked[0]
    incoming.fail(RpcError(-1, "no", {"a": 1}))
    incoming.answer(b"{}")
    incoming.fail(RpcError(-2, "no"))
    assert end.sent == [{"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "no", "data": {"a": 1}}}]


def test_a_request_that_is_cancelled_is_not_answered_and_its_worker_is_told() -> None:
    end = End()
    told: list[str] = []
    end.receive(id="a", method="roots/list")
    end.receive(id=2, method="roots/list")
    end.receive(id=3, method="roots/list")
    end.asked[0].on_cancel = lambda: told.append("a")
    end.asked[2].on_cancel = lambda: told.append("3")
    end.receive(method="notifications/cancelled", params={"requestId": "a"})
    end.receive(method="notifications/cancelled", params={"requestId": "a"})
    end.receive(method="notifications/cancelled", params={"requestId": "2"})  # a text is another id
    end.receive(method="notifications/cancelled", params={"requestId": 99})
    end.receive(method="notifications/cancelled", params=None)
    end.receive(method="notifications/cancelled")
    end.asked[2].answer(b"{}")
    end.receive(method="notifications/cancelled", params={"requestId": 3})  # too late
    end.asked[0].answer(b"{}")
    end.asked[1].answer(b"{}")
    assert told == ["a"]
    assert [message["id"] for message in end.sent] == [3, 2]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"m"}', set()),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":null}', set()),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":{},"b":[]}}', {"a", "b"}),
    ],
)
def test_parameters_are_an_object_or_nothing(line: bytes, names: set[str]) -> None:
    end = End()
    end.peer.receive(line)
    assert params_of(end.asked[0]).keys() == names


@pytest.mark.parametrize("params", ["[]", "7", '"a"'])
def test_parameters_that_are_no_object_are_refused(params: str) -> None:
    end = End()
    end.peer.receive(f'{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}'.encode())
    with pytest.raises(RpcError) as caught:
        params_of(end.asked[0])
    assert caught.value.code == INVALID_REQUEST


def test_a_notification_arrives_whatever_its_empty_id_says() -> None:
    end = End()
    end.receive(method="notifications/message", params={"a": 1})
    end.receive(method="notifications/tools/list_changed", id=None)
    assert end.told == [("notifications/message", b'{"a":1}'), ("notifications/tools/list_changed", b"")]
    assert end.asked == []


@pytest.mark.parametrize("deep", [MAX_DEPTH, 5000])
def test_a_request_that_cannot_be_read_is_answered_and_ends_none_of_ours(deep: int) -> None:
    end = End()
    outcome = end.post()
    end.peer.receive(
        f'{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"a":{"[" * deep}{"]" * deep}}}}}'.encode()
    )
    assert outcome.said == []
    assert end.asked == []
    assert end.sent[1]["id"] == 1
    assert end.sent[1]["error"]["code"] == PARSE_ERROR


def test_rubbish_is_counted_and_shown() -> None:
    end = End()
    shown: list[str] = []
    end.peer.receive(b"hello")
    end.peer.on_rubbish = shown.append
    end.peer.receive(b"world")
    end.peer.receive(b'{"jsonrpc":"2.0","params":{')
    assert end.peer.rubbish == 3
    assert shown[0] == "world"
    assert "cannot be read" in shown[1]


# --- the end -------------------------------------------------------------------------------------


def test_at_the_end_everyone_who_waits_on_either_side_is_told_once() -> None:
    end = End()
    told: list[str] = []
    outcome = end.post()
    end.receive(id=1, method="roots/list")
    end.asked[0].on_cancel = lambda: told.append("cancelled")
    end.peer.close(ConnectionLost("it exited with code 3"))
    end.peer.close(ConnectionLost("something else"))
    assert [str(error) for error in outcome.said] == ["it exited with code 3"]
    assert told == ["cancelled"]
    end.asked[0].answer(b"{}")
    end.peer.notify("notifications/message")
    assert len(end.sent) == 1


def test_who_asks_after_the_end_is_told_so_at_once() -> None:
    end = End()
    end.peer.close()
    outcome = end.post()
    assert isinstance(outcome.said[0], ConnectionLost)
    assert end.sent == []


def test_a_worker_that_asks_again_when_it_is_told_of_the_end_is_told_again() -> None:
    end = End()
    again: list[Outcome] = []

    class Stubborn(Outcome):
        def lost(self, error: Unanswered) -> None:
            super().lost(error)
            again.append(end.post())

    end.peer.post("ping", b"", Stubborn())
    end.peer.close()
    assert isinstance(again[0].said[0], ConnectionLost)


# --- for those who wait --------------------------------------------------------------------------


async def waited(end: End, answer: Callable[[], None], **given: Any) -> Raw:
    """The result of one request, answered as soon as it has been sent."""
    found: list[Raw | Exception] = []

    async def ask() -> None:
        try:
            found.append(await end.peer.request("tools/call", {"a": 1}, **given))
        except (RpcError, Unanswered) as error:
            found.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            answer()
    (outcome,) = found
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def test_a_request_can_be_waited_for() -> None:
    end = End()
    assert bytes(await waited(end, lambda: end.receive(id=1, result={"a": 1}))) == b'{"a":1}'
    assert end.sent[0]["params"] == {"a": 1}
    with pytest.raises(RpcError, match="no luck"):
        await waited(end, lambda: end.receive(id=2, error={"code": 1, "message": "no luck"}))
    with pytest.raises(BrokenAnswer):
        await waited(end, lambda: end.peer.receive(b'{"jsonrpc":"2.0","id":3,"result":{'))
    with pytest.raises(ConnectionLost, match="gone"):
        await waited(end, lambda: end.peer.close(ConnectionLost("gone")))
    with pytest.raises(ConnectionLost, match="gone"):
        await end.peer.request("ping")


async def test_who_waits_can_follow_the_progress() -> None:
    end = End()
    steps: list[bytes] = []

    def answer() -> None:
        end.receive(method="notifications/progress", params={"progressToken": 1, "progress": 3})
        end.receive(id=1, result={})

    await waited(end, answer, on_progress=lambda fields: steps.append(bytes(fields["progress"])))
    assert steps == [b"3"]


@pytest.mark.parametrize("cancellable", [True, False])
async def test_cancelling_who_waits_tells_the_other_side_unless_it_must_not_be_told(
    cancellable: bool,
) -> None:
    end = End()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                await end.peer.request("initialize", cancellable=cancellable)

            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert [message["method"] for message in end.sent[1:]] == (
        ["notifications/cancelled"] if cancellable else []
    )
    end.receive(id=1, result={})
    end.peer.close()


async def test_an_error_for_somebody_who_was_cancelled_meanwhile_is_lost_without_a_word() -> None:
    end = End()
    asking = asyncio.ensure_future(end.peer.request("ping"))
    with anyio.fail_after(5):
        await anyio.wait_all_tasks_blocked()
        asking.cancel()
        end.receive(id=1, error={"code": 1, "message": "no luck"})
        with pytest.raises(asyncio.CancelledError):
            await asking
    del asking
    gc.collect()  # an exception that nobody fetched would be reported now, and fail the test
    assert len(end.sent) == 1


async def test_parameters_that_are_no_json_fail_before_anything_is_sent() -> None:
    end = End()
    for params in ({"a": "\ud800"}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            await end.peer.request("ping", params)
    assert end.sent == []
    assert end.peer.next_id() == 1


@given(
    st.lists(
        st.one_of(
            st.builds(lambda n: ("post", n), st.just(0)),
            st.builds(lambda n: ("answer", n), st.integers(0, 9)),
            st.builds(lambda n: ("error", n), st.integers(0, 9)),
            st.builds(lambda n: ("broken", n), st.integers(0, 9)),
            st.builds(lambda n: ("withdraw", n), st.integers(0, 9)),
            st.builds(lambda n: ("rubbish", n), st.just(0)),
        )
    )
)
def test_every_request_that_is_not_withdrawn_has_one_outcome(steps: list[tuple[str, int]]) -> None:
    end = End()
    outcomes: list[Outcome] = []
    over: set[int] = set()
    withdrawn: set[int] = set()
    for step, number in steps:
        if step == "post":
            outcomes.append(end.post())
        elif step == "answer":
            end.receive(id=number, result={"n": number})
        elif step == "error":
            end.receive(id=number, error={"code": 1, "message": str(number)})
        elif step == "broken":
            end.peer.receive(b'{"jsonrpc":"2.0","id":%d,"result":' % number)
        elif step == "withdraw":
            if 0 < number <= len(outcomes) and number not in over:
                withdrawn.add(number)
            end.peer.withdraw(number)
        else:
            end.peer.receive(b"rubbish")
        over |= {n for n, outcome in enumerate(outcomes, 1) if outcome.said}
    end.peer.close()
    for number, outcome in enumerate(outcomes, 1):
        assert len(outcome.said) == (0 if number in withdrawn else 1)
