import json
from pathlib import Path

import anyio
import pytest

from tests.cli.conftest import Invoke
from tests.cli.values import ticket
from warroom_mcp.cli.admin import ensure_token
from warroom_mcp.models import Ticket, TicketState
from warroom_mcp.settings import Settings
from warroom_mcp.store.sqlite import SqliteStore


def keep(home: Path, *tickets: Ticket) -> None:
    """Put questions into the state directory, as another process would."""

    async def work() -> None:
        store = SqliteStore(Settings(home=home).database)
        for one in tickets:
            await store.keep_ticket(one)
        await store.aclose()

    anyio.run(work)


def state(home: Path, ticket_id: str) -> tuple[TicketState, str | None]:
    """Where a question stands, and who answered it."""

    async def work() -> Ticket | None:
        store = SqliteStore(Settings(home=home).database)
        try:
            return await store.ticket(ticket_id)
        finally:
            await store.aclose()

    found = anyio.run(work)
    assert found is not None
    return found.state, found.answered_by


def test_pending_shows_every_card_and_the_command(invoke: Invoke, home: Path) -> None:
    keep(home, ticket(1), ticket(2))
    shown = invoke("pending").stdout
    assert "Runs: npx -y mcp-server-redis@1.2.3" in shown
    assert "warroom approve t-1" in shown
    assert "warroom deny t-2" in shown


def test_pending_as_json_has_the_cards(invoke: Invoke, home: Path) -> None:
    keep(home, ticket())
    rows = json.loads(invoke("pending", "--json").stdout)["pending"]
    assert rows[0]["ticket"] == "t-1"
    assert rows[0]["card"] == list(ticket().card)


def test_without_a_terminal_nothing_is_approved(invoke: Invoke, home: Path) -> None:
    keep(home, ticket())
    shown = invoke("approve", "t-1", stdin="yes\n")
    assert shown.exit_code == 3
    assert "error [refused] Only a person can approve" in shown.stderr
    assert state(home, "t-1") == (TicketState.PENDING, None)


def test_the_admin_token_approves_without_a_terminal(invoke: Invoke, home: Path) -> None:
    keep(home, ticket())
    shown = invoke("approve", "t-1", "--token-file", str(ensure_token(home)))
    assert shown.exit_code == 0
    assert "warroom add npm:mcp-server-redis" in shown.stdout
    assert state(home, "t-1") == (TicketState.APPROVED, "admin token")


def test_a_wrong_admin_token_approves_nothing(
    invoke: Invoke, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(home, ticket())
    token = ensure_token(home).read_text().strip()
    monkeypatch.setenv("WARROOM_ADMIN_TOKEN", token[:-1])
    shown = invoke("approve", "t-1")
    assert shown.exit_code == 3
    assert token not in shown.output
    assert state(home, "t-1") == (TicketState.PENDING, None)


def test_anyone_may_refuse(invoke: Invoke, home: Path) -> None:
    keep(home, ticket())
    assert invoke("deny", "t-1").exit_code == 0
    assert state(home, "t-1") == (TicketState.DENIED, "command line")


@pytest.mark.parametrize("command", ["approve", "deny"])
def test_an_unknown_ticket_is_told(command: str, invoke: Invoke) -> None:
    shown = invoke(command, "t-404")
    assert shown.exit_code == 1
    assert "error [unknown_ticket]" in shown.stderr


def test_a_refusal_is_taken_back_by_a_person_only(invoke: Invoke, home: Path) -> None:
    keep(home, ticket())
    invoke("deny", "t-1")
    assert invoke("approve", "t-1").exit_code == 3
    shown = invoke("approve", "t-1", "--token-file", str(ensure_token(home)), "--json")
    assert shown.exit_code == 0
    anew = json.loads(shown.stdout)
    assert anew["state"] == "approved"
    assert state(home, anew["ticket"]) == (TicketState.APPROVED, "admin token")


def test_what_was_approved_does_not_wait_any_more(invoke: Invoke, home: Path) -> None:
    keep(home, ticket())
    token = ("--token-file", str(ensure_token(home)))
    assert invoke("approve", "t-1", *token).exit_code == 0
    assert "does not wait: it is approved (admin token)" in invoke("approve", "t-1", *token).stderr
    assert "does not wait" in invoke("deny", "t-1").stderr
    assert state(home, "t-1") == (TicketState.APPROVED, "admin token")
