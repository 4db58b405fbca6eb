"""Approvals: only a person's answer, bound to what was shown, starts anything."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from warroom_mcp.approvals import Answer, Approvals
from warroom_mcp.errors import ApprovalDenied, ApprovalRequired, Blocked, UnknownTicket
from warroom_mcp.models import (
    Approver,
    Decision,
    LaunchPlan,
    Package,
    PackageKind,
    Ticket,
    TicketState,
    TrustLevel,
    Verdict,
)
from warroom_mcp.store.digest import digest
from warroom_mcp.store.sqlite import SqliteStore

PLAN = LaunchPlan(
    server="redis",
    candidate_id="pypi:redis-mcp-server",
    package=Package(PackageKind.PYPI, "redis-mcp-server", "0.5.1"),
    command=("uvx", "--from", "redis-mcp-server==0.5.1", "redis-mcp-server"),
)
ASK = Decision(Verdict.ASK, TrustLevel.OFFICIAL, "first use of this version", remember=True)
ASK_ADMIN = replace(ASK, level=TrustLevel.COMMUNITY, approver=Approver.ADMINISTRATOR, remember=False)


@dataclass
class Person:
    """Answers what it is asked, and counts the questions."""

    answer: Answer | None
    administrator: bool = False
    asked: list[Ticket] = field(default_factory=list)

    async def ask(self, ticket: Ticket) -> Answer | None:
        self.asked.append(ticket)
        return self.answer


YES, NO = Answer(True, "elicitation"), Answer(False, "elicitation")


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    return Approvals(SqliteStore(tmp_path / "state.db"), now=lambda: datetime(2026, 11, 22, tzinfo=UTC))


async def require(
    approvals: Approvals, person: Person | None, decision: Decision = ASK, plan: LaunchPlan = PLAN
) -> Ticket:
    return await approvals.require(plan, digest(plan), decision, ("card",), "why", person)


async def test_a_persons_yes_is_an_approval_of_exactly_this_plan(approvals: Approvals) -> None:
    person = Person(YES)
    ticket = await require(approvals, person)
    assert ticket.digest == digest(PLAN)
    assert ticket.answered_by == "elicitation"
    assert await approvals.remembered(digest(PLAN))
    other = replace(PLAN, environment={"REDIS_HOST": "elsewhere"})
    assert not await approvals.remembered(digest(other))


async def test_a_no_is_remembered_and_not_asked_again(approvals: Approvals) -> None:
    person = Person(NO)
    for _ in range(2):
        with pytest.raises(ApprovalDenied):
            await require(approvals, person)
    assert len(person.asked) == 1


async def test_a_person_can_take_a_refusal_back_on_the_command_line(approvals: Approvals) -> None:
    with pytest.raises(ApprovalDenied) as caught:
        await require(approvals, Person(NO))
    ticket = await approvals.settle(caught.value.details["ticket"], approved=True, by="command line")
    assert ticket.state is TicketState.APPROVED
    assert (await require(approvals, None)).answered_by == "command line"


async def test_nobody_to_ask_leaves_a_ticket_that_names_its_command(approvals: Approvals) -> None:
    with pytest.raises(ApprovalRequired) as caught:
        await require(approvals, None)
    (ticket,) = await approvals.pending()
    assert caught.value.details["command"] == f"warroom approve {ticket.id}"


async def test_the_same_question_is_one_ticket(approvals: Approvals) -> None:
    for _ in range(3):
        with pytest.raises(ApprovalRequired):
            await require(approvals, None)
    assert len(await approvals.pending()) == 1


async def test_a_ticket_settled_elsewhere_is_picked_up_once(approvals: Approvals) -> None:
    with pytest.raises(ApprovalRequired):
        await require(approvals, None)
    (ticket,) = await approvals.pending()
    await approvals.settle(ticket.id, approved=True, by="command line")
    assert (await require(approvals, None)).answered_by == "command line"
    with pytest.raises(ApprovalRequired):
        await require(approvals, None)


async def test_an_answer_in_the_chat_is_not_enough_for_an_administrators_question(
    approvals: Approvals,
) -> None:
    person = Person(YES)
    with pytest.raises(ApprovalRequired) as caught:
        await require(approvals, person, ASK_ADMIN)
    assert person.asked == []
    assert "administrator" in caught.value.message


async def test_an_administrator_at_a_terminal_answers_it(approvals: Approvals) -> None:
    ticket = await require(approvals, Person(Answer(True, "terminal"), administrator=True), ASK_ADMIN)
    assert ticket.answered_by == "terminal"


async def test_a_form_that_was_closed_leaves_the_ticket_open(approvals: Approvals) -> None:
    with pytest.raises(ApprovalRequired):
        await require(approvals, Person(None))
    assert [t.state for t in await approvals.pending()] == [TicketState.PENDING]


async def test_what_is_blocked_is_never_asked(approvals: Approvals) -> None:
    person = Person(YES, administrator=True)
    with pytest.raises(Blocked):
        await require(approvals, person, Decision(Verdict.DENY, TrustLevel.BLOCKED, "on the deny list"))
    assert person.asked == []
    assert await approvals.pending() == ()


async def test_what_policy_allowed_does_not_count_as_a_persons_approval(approvals: Approvals) -> None:
    allow = Decision(Verdict.ALLOW, TrustLevel.OFFICIAL, "auto_approve covers official")
    ticket = await require(approvals, None, allow)
    assert ticket.answered_by is not None
    assert ticket.answered_by.startswith("policy")
    assert not await approvals.remembered(digest(PLAN))


async def test_policy_does_not_overrule_a_persons_refusal(approvals: Approvals) -> None:
    with pytest.raises(ApprovalDenied):
        await require(approvals, Person(NO))
    allow = Decision(Verdict.ALLOW, TrustLevel.OFFICIAL, "auto_approve covers official")
    with pytest.raises(ApprovalDenied):
        await require(approvals, None, allow)


async def test_what_policy_allowed_once_answers_no_question_of_a_person(approvals: Approvals) -> None:
    allow = Decision(Verdict.ALLOW, TrustLevel.OFFICIAL, "auto_approve covers official")
    await require(approvals, None, allow)
    for decision in (ASK, ASK_ADMIN):
        with pytest.raises(ApprovalRequired):
            await require(approvals, None, decision)


async def test_an_approval_that_was_used_does_not_serve_a_second_call(approvals: Approvals) -> None:
    class Meanwhile(Person):
        """Dismisses its form after the same question was approved and used elsewhere."""

        async def ask(self, ticket: Ticket) -> Answer | None:
            await approvals.settle(ticket.id, approved=True, by="terminal")
            await require(approvals, None)
            return None

    with pytest.raises(ApprovalRequired):
        await require(approvals, Meanwhile(None))


async def test_a_persons_ticket_is_not_enough_once_an_administrator_has_to_answer(
    approvals: Approvals,
) -> None:
    with pytest.raises(ApprovalRequired):
        await require(approvals, Person(None))
    person = Person(YES)
    with pytest.raises(ApprovalRequired):
        await require(approvals, person, ASK_ADMIN)
    assert person.asked == []


async def test_an_unknown_ticket_cannot_be_settled(approvals: Approvals) -> None:
    with pytest.raises(UnknownTicket):
        await approvals.settle("t-nowhere", approved=True, by="command line")
