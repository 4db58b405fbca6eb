from pathlib import Path

from tests.cli.conftest import Warroom
from tests.cli.test_approving import keep
from tests.cli.values import SERVER, ticket
from warroom_mcp.cli.completing import server_names, ticket_ids
from warroom_mcp.models import AddedServer
from warroom_mcp.settings import Settings
from warroom_mcp.store.config import ConfigFile
from warroom_mcp.store.digest import digest


def test_without_state_nothing_is_completed_and_nothing_is_made(home: Path) -> None:
    assert (server_names(""), ticket_ids("")) == ([], [])
    assert not home.exists()


def test_names_and_tickets_are_completed(home: Path) -> None:
    plan = SERVER.plan
    server = AddedServer(plan, digest(plan), SERVER.approved_by, SERVER.added)
    ConfigFile(Settings(home=home).config_file).add(server)
    keep(home, ticket(1), ticket(22))
    assert server_names("re") == ["redis"]
    assert server_names("x") == []
    assert ticket_ids("t-2") == [("t-22", "npm:mcp-server-redis")]


def test_damaged_state_completes_nothing(home: Path) -> None:
    home.mkdir()
    (home / "mcp-config.json").write_text("{")
    (home / "state.db").write_text("no database, but long enough to look at")
    assert (server_names(""), ticket_ids("")) == ([], [])


def test_the_shell_is_offered_the_commands(warroom: Warroom) -> None:
    offered = warroom(_WARROOM_COMPLETE="complete_bash", COMP_WORDS="warroom ", COMP_CWORD="1")
    assert {"serve", "solve", "approve", "doctor"} <= set(offered.stdout.split())


def test_the_shell_is_offered_tickets(home: Path, warroom: Warroom) -> None:
    keep(home, ticket(7))
    offered = warroom(_WARROOM_COMPLETE="complete_bash", COMP_WORDS="warroom approve t", COMP_CWORD="2")
    assert offered.stdout.split() == ["t-7"]
