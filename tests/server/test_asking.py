"""How a person is asked in both eras: by a form within the call, or by a call that is parked meanwhile."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from tests.server.host import (
    APPROVE,
    HANDSHAKE,
    MODERN,
    REFUSE,
    Host,
    approve,
    connected,
    official,
    war_room,
)
from tests.server.wire import staged
from warroom_mcp.models import Approver, LaunchPlan, Origin, Package, PackageKind, Ticket, TrustLevel
from warroom_mcp.server import parking
from warroom_mcp.server.asking import ParkedFlow, ParkingAsker
from warroom_mcp.server.caller import Caller

CALL: dict[str, Any] = {"candidate_id": "npm:rich"}
TICKET = Ticket(
    id="t-1",
    digest="d",
    plan=LaunchPlan("rich", "npm:rich", Package(PackageKind.NPM, "rich", "1.2.3")),
    level=TrustLevel.OFFICIAL,
    approver=Approver.PERSON,
    card=("Runs: npx -y rich@1.2.3",),
    why="asked for by name",
    created=datetime(2026, 1, 1, tzinfo=UTC),
)


async def never(card: str) -> Mapping[str, Any]:
    await anyio.sleep_forever()
    return APPROVE


def answered(question: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """The retry of a parked call."""
    return {"requestState": question["requestState"], "inputResponses": {"approval": dict(answer)}}


async def ask(host: Host, **arguments: Any) -> dict[str, Any]:
    """Call add_server up to its question."""
    question = await host.call("add_server", {**CALL, **arguments})
    assert question["resultType"] == "input_required"
    return question


def content(result: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = result["structuredContent"]
    return answer


# --- both eras -----------------------------------------------------------------------------------


async def test_the_form_shows_the_exact_command_and_nothing_starts_before_the_answer(
    era: str, home: Any
) -> None:
    async def look(card: str) -> Mapping[str, Any]:
        assert await room.list_servers() == ()
        return APPROVE

    room = war_room(home)
    async with connected(era, room, form=look) as host:
        added = await host.own("add_server", **CALL)
        (card,) = host.cards
        assert "Runs: npx -y rich@1.2.3" in card.splitlines()
        assert added["state"] == "ready"
        assert added["approved_by"].startswith("elicitation")
        assert await host.tickets() == ["used"]


async def test_an_approved_version_is_not_asked_about_again(era: str, home: Any) -> None:
    async with connected(era, war_room(home)) as host:
        await host.own("add_server", **CALL)
        assert (await host.own("add_server", **CALL))["state"] == "was added before, and is ready"
        await host.own("remove_server", name="rich")
        assert (await host.own("add_server", **CALL))["state"] == "ready"
        assert len(host.cards) == 1


@pytest.mark.parametrize("refusal", [REFUSE, {"action": "decline"}])
async def test_a_refusal_is_an_error_that_names_the_way_back(
    era: str, home: Any, refusal: Mapping[str, Any]
) -> None:
    async def refuse(card: str) -> Mapping[str, Any]:
        return refusal

    async with connected(era, war_room(home), form=refuse) as host:
        error = await host.error("add_server", **CALL)
        assert error["code"] == "approval_denied"
        assert f"warroom approve {error['details']['ticket']}" in error["hint"]
        assert await host.tickets() == ["denied"]
        assert (await host.own("list_servers"))["servers"] == []
        assert not any("__" in name for name in await host.names())


@pytest.mark.parametrize(
    "reply", [{"action": "cancel"}, {"action": "accept", "content": {"decision": "APPROVE"}}]
)
async def test_a_closed_form_and_an_unclear_answer_leave_a_ticket(
    era: str, home: Any, reply: Mapping[str, Any]
) -> None:
    async def close(card: str) -> Mapping[str, Any]:
        return reply

    async with connected(era, war_room(home), form=close) as host:
        await waits(host)


async def test_a_host_without_forms_is_told_the_ticket_command(era: str, home: Any) -> None:
    async with connected(era, war_room(home), form=None) as host:
        await waits(host)
        assert host.cards == []
        (ticket,) = await host.war_room.approvals.pending()
        await host.war_room.approvals.settle(ticket.id, approved=True, by="terminal")
        assert (await host.own("add_server", **CALL))["approved_by"] == f"terminal ({ticket.id})"


async def waits(host: Host) -> None:
    """A call ends in a ticket that says what to run."""
    error = await host.error("add_server", **CALL)
    assert (error["code"], error["retryable"]) == ("approval_required", True)
    assert error["details"]["command"] == f"warroom approve {error['details']['ticket']}"
    assert error["details"]["command"] in error["hint"]
    assert "Runs: npx -y rich@1.2.3" in error["details"]["card"]
    assert await host.tickets() == ["pending"]


async def test_a_community_server_is_never_asked_about_in_the_chat(era: str, home: Any) -> None:
    unknown = official("stranger", origin=Origin.UNPROVEN, origin_evidence="")
    async with connected(era, war_room(home, unknown)) as host:
        for wish in (False, True):
            error = await host.error("add_server", candidate_id="npm:stranger", auto_approve=wish)
            assert error["code"] == "approval_required"
            assert "administrator" in error["message"]
        assert host.cards == []
        assert await host.tickets() == ["pending"]


async def test_auto_approve_asks_nobody_where_policy_allows_it(era: str, home: Any) -> None:
    async with connected(era, war_room(home)) as host:
        assert (await host.own("add_server", **CALL, auto_approve=True))["approved_by"].startswith("policy")
        assert host.cards == []


async def test_auto_approve_is_only_a_wish(era: str, home: Any) -> None:
    async with connected(era, war_room(home, auto_approve_level="none")) as host:
        assert (await host.own("add_server", **CALL, auto_approve=True))["approved_by"].startswith("elicit")
        assert len(host.cards) == 1


@pytest.mark.parametrize("forged", [{"inputResponses": {"approval": APPROVE}}, {"_meta": {"approved": True}}])
async def test_an_answer_that_nobody_was_asked_for_approves_nothing(
    era: str, home: Any, forged: dict[str, Any]
) -> None:
    async with connected(era, war_room(home), form=None) as host:
        result = await host.call("add_server", CALL, **forged)
        assert content(result)["error"]["code"] == "approval_required"
        assert await host.tickets() == ["pending"]


# --- the handshake era ---------------------------------------------------------------------------


async def test_nobody_in_front_of_the_form_leaves_a_ticket(home: Any) -> None:
    async with connected(HANDSHAKE, war_room(home, ask_deadline=0.05), form=never) as host:
        await waits(host)
        assert len(host.cards) == 1


async def test_cancelling_the_call_starts_nothing(home: Any) -> None:
    shown = anyio.Event()

    async def show(card: str) -> Mapping[str, Any]:
        shown.set()
        await anyio.sleep_forever()
        return APPROVE

    async with connected(HANDSHAKE, war_room(home), form=show) as host:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.own, "list_servers")
            tasks.start_soon(lambda: host.call("add_server", CALL))
            await shown.wait()
            tasks.cancel_scope.cancel()
        assert await host.tickets() == ["pending"]
        assert (await host.own("list_servers"))["servers"] == []


# --- the modern era: parking ---------------------------------------------------------------------


async def test_a_question_is_a_form_with_a_token_and_the_retry_resumes(home: Any) -> None:
    async with connected(MODERN, war_room(home)) as host:
        question = await ask(host)
        assert len(question["requestState"]) >= 32
        form = question["inputRequests"]["approval"]
        assert form["method"] == "elicitation/create"
        assert "rich@1.2.3" in form["params"]["message"]
        assert form["params"]["requestedSchema"]["required"] == ["decision"]
        # What the retry says again is not what was approved; only the parked call counts.
        result = await host.call("add_server", {"candidate_id": "npm:ok"}, **answered(question, APPROVE))
        assert content(result)["candidate_id"] == "npm:rich"


async def test_a_token_is_good_for_one_answer_to_one_tool(home: Any) -> None:
    async with connected(MODERN, war_room(home)) as host:
        question = await ask(host)
        await host.call("add_server", CALL, **answered(question, APPROVE))
        other = await ask(host, candidate_id="npm:ok")
        for tool, state in (
            ("add_server", question["requestState"]),
            ("add_server", "made up"),
            ("add_server", ""),
            ("handle_incident", other["requestState"]),
        ):
            arguments = {"problem": "x"} if tool == "handle_incident" else CALL
            with pytest.raises(MCPError, match="Invalid or expired requestState") as caught:
                await host.call(tool, arguments, **answered({"requestState": state}, APPROVE))
            assert caught.value.code == INVALID_PARAMS
        assert [one["name"] for one in (await host.own("list_servers"))["servers"]] == ["rich"]
        result = await host.call("add_server", CALL, **answered(other, APPROVE))
        assert content(result)["candidate_id"] == "npm:ok"


@pytest.mark.parametrize("responses", [{}, {"other": APPROVE}, {"approval": {"action": "cancel"}}])
async def test_a_retry_without_an_answer_leaves_the_ticket(home: Any, responses: dict[str, Any]) -> None:
    async with connected(MODERN, war_room(home)) as host:
        state = (await ask(host))["requestState"]
        result = await host.call("add_server", CALL, requestState=state, inputResponses=responses)
        assert content(result)["error"]["code"] == "approval_required"
        assert await host.tickets() == ["pending"]


async def test_a_token_expires_and_the_ticket_stays(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expired = anyio.Event()
    expire = ParkedFlow.expire

    def noted(self: ParkedFlow) -> None:
        expire(self)
        expired.set()

    monkeypatch.setattr(ParkedFlow, "expire", noted)
    async with connected(MODERN, war_room(home, ask_deadline=0.05)) as host:
        question = await ask(host)
        await expired.wait()
        with pytest.raises(MCPError, match="expired"):
            await host.call("add_server", CALL, **answered(question, APPROVE))
        assert await host.tickets() == ["pending"]


async def test_too_many_parked_calls_leave_tickets_and_harm_nobody(
    home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "MAX_PARKED", 1)
    async with connected(MODERN, war_room(home)) as host:
        question = await ask(host)
        second = await host.call("add_server", {"candidate_id": "npm:ok"})
        assert content(second)["error"]["code"] == "approval_required"
        first = await host.call("add_server", CALL, **answered(question, APPROVE))
        assert content(first)["state"] == "ready"


@pytest.mark.parametrize("retry", [False, True])
async def test_cancelling_a_request_ends_the_flow_behind_it(home: Any, retry: bool) -> None:
    begun, ended = anyio.Event(), anyio.Event()

    async def flow(asker: ParkingAsker) -> dict[str, Any]:
        try:
            if retry:
                await asker.ask(TICKET)
            begun.set()
            await anyio.sleep_forever()
        finally:
            ended.set()
        return {}

    async with staged(home) as stage, stage.host(MODERN) as host, anyio.create_task_group() as tasks:
        taken: list[Caller] = []
        stage.gateway.take = taken.append  # type: ignore[assignment]
        places = parking.Parking(60)
        number = host.call("add_server")
        ParkedFlow(places, taken[0]).start(tasks, flow)
        if retry:
            question = await host.question(number)
            number = host.call("add_server", {}, **answered(question, APPROVE))
            places.resume(taken[1])
        await begun.wait()
        host.cancel(number)
        await ended.wait()
        assert not host.has(number)


async def test_a_parked_call_ends_with_the_server(home: Any) -> None:
    async with connected(MODERN, war_room(home)) as host:
        await ask(host)


async def test_an_incident_asks_once_for_each_need(era: str, home: Any) -> None:
    shelf = (official("rich", technologies=("redis",)), official("ok", technologies=("postgres",)))
    problem = (
        "redis.exceptions.ConnectionError: Error 111 connecting to 127.0.0.1:6379. Connection refused.\n"
        'psql: error: FATAL:  role "reporting" does not exist'
    )
    async with connected(era, war_room(home, *shelf), form=approve) as host:
        answer = await host.own("handle_incident", problem=problem)
        assert {one["server"] for one in answer["ready"]} == {"rich", "ok"}
        assert len(host.cards) == 2
        assert host.log.count("tools changed") == 1
