import json
from dataclasses import replace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.cli.conftest import Invoke
from tests.cli.fakes import FakeWarRoom, wrapped
from tests.cli.values import ANALYSIS, CANDIDATE, SERVER
from warroom_mcp.adding import Added
from warroom_mcp.cli.app import app
from warroom_mcp.errors import (
    ApprovalDenied,
    ApprovalRequired,
    Blocked,
    NothingFound,
    StartFailed,
    WarRoomError,
)
from warroom_mcp.models import FindResult, SourceReport, SourceState
from warroom_mcp.warroom import Attempt, Incident

COMMANDS = sorted(
    command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands
)
# One call of each command that ends well with the War Room of values.
GOOD = [
    ("solve", "redis is down"),
    ("analyze", "redis is down"),
    ("find", "redis"),
    ("add", "npm:mcp-server-redis"),
    ("list",),
    ("remove", "redis"),
    ("optimize",),
    ("tools",),
    ("tools", "get"),
    ("call", "redis__get", '{"key": "a"}'),
    ("stats",),
    ("pending",),
]


def answer(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_every_command_of_the_product_is_there() -> None:
    wanted = "add analyze approve call demo deny doctor find list optimize pending remove repl serve solve"
    assert {*wanted.split(), "stats", "tools"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], prog_name="warroom")
    assert shown.exit_code == 0
    assert f"Usage: warroom {command}" in shown.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "serve"])
def test_every_command_but_serve_writes_json(command: str) -> None:
    group: Any = typer.main.get_command(app)
    assert "--json" in [name for parameter in group.commands[command].params for name in parameter.opts]


@pytest.mark.parametrize("arguments", GOOD, ids=" ".join)
def test_what_goes_well_is_shown_and_ends_with_0(arguments: tuple[str, ...], invoke: Invoke) -> None:
    shown = invoke(*arguments)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.strip()
    assert "\x1b" not in shown.stdout


@pytest.mark.parametrize("arguments", GOOD, ids=" ".join)
def test_json_is_all_of_stdout(arguments: tuple[str, ...], invoke: Invoke) -> None:
    shown = invoke(*arguments, "--json")
    assert shown.exit_code == 0
    assert "error" not in answer(shown.stdout)
    assert "\x1b" not in shown.stdout


@pytest.mark.parametrize("arguments", [g for g in GOOD if g[0] not in ("pending", "tools")], ids=" ".join)
@pytest.mark.parametrize(
    ("error", "exit_code", "code"),
    [
        (StartFailed("it left", hint="read this"), 1, "start_failed"),
        (Blocked("never"), 3, "blocked"),
        (ApprovalRequired("waits"), 4, "approval_required"),
        (wrapped(NothingFound("nothing")), 1, "nothing_found"),
        (ValueError("odd"), 1, "internal_error"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_is_told_without_a_traceback(
    arguments: tuple[str, ...],
    error: BaseException,
    exit_code: int,
    code: str,
    invoke: Invoke,
    war_room: FakeWarRoom,
) -> None:
    war_room.error = error
    shown = invoke(*arguments)
    assert shown.exit_code == exit_code
    assert shown.stdout == ""
    assert shown.stderr.startswith(f"error [{code}] ")
    assert "Traceback" not in shown.stderr
    # Once more as JSON: the same error, on stdout.
    if isinstance(error, WarRoomError):
        shown = invoke(*arguments, "--json")
        assert answer(shown.stdout)["error"]["code"] == code
        assert shown.exit_code == exit_code


@pytest.mark.parametrize(
    "arguments",
    [(), ("nonsense",), ("find",), ("find", "x", "--limit", "0"), ("solve",), ("serve", "--port", "x")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], invoke: Invoke) -> None:
    assert invoke(*arguments).exit_code == 2


# --- what the commands ask for -------------------------------------------------------------------


def test_words_of_a_problem_need_no_quotes(invoke: Invoke, war_room: FakeWarRoom) -> None:
    invoke("solve", "redis", "is", "down", "--auto-approve")
    assert war_room.asked == {"problem": b"redis is down", "auto_approve": True, "asker": None}


def test_a_problem_on_stdin_is_read_as_bytes_up_to_the_limit(invoke: Invoke, war_room: FakeWarRoom) -> None:
    war_room.settings = war_room.settings.model_copy(update={"max_problem_bytes": 4})
    invoke("analyze", "-", stdin=b"\xff\x00abcdef")
    assert war_room.asked == {"problem": b"\xff\x00abc"}


def test_values_are_handed_over(invoke: Invoke, war_room: FakeWarRoom) -> None:
    invoke("add", "npm:x", "--set", "host=db=1", "--set", "TOKEN=env:TOKEN")
    assert war_room.asked["parameters"] == {"host": "db=1", "TOKEN": "env:TOKEN"}


def test_a_value_without_a_name_is_not_repeated(invoke: Invoke) -> None:
    shown = invoke("add", "npm:x", "--set", "hunter2")
    assert shown.exit_code == 1
    assert "error [invalid_input]" in shown.stderr
    assert "hunter2" not in shown.output


@pytest.mark.parametrize("text", ["{", "[1]", '"text"', "[" * 100_000])
def test_arguments_that_are_no_json_object_are_told(text: str, invoke: Invoke) -> None:
    shown = invoke("call", "redis__get", text)
    assert shown.exit_code == 1
    assert "error [invalid_arguments]" in shown.stderr


def test_a_tools_own_error_ends_with_1_and_its_text_cannot_move_the_cursor(invoke: Invoke) -> None:
    shown = invoke("call", "redis__get", '{"fail": true}')
    assert shown.exit_code == 1
    assert shown.stdout == "one\\x1b[2J\ntwo\n"


def test_nothing_found_ends_with_1(invoke: Invoke) -> None:
    shown = invoke("find", "nothing")
    assert shown.exit_code == 1
    assert "Nothing fits" in shown.stdout


def test_foreign_text_is_harmless(invoke: Invoke) -> None:
    shown = invoke("find", "redis")
    assert "\\x1b[31mred" in shown.stdout
    assert "why npm:mcp-server-redis:" in shown.stdout
    assert "REDIS_PASSWORD" in shown.stdout


def test_statistics_count_calls(invoke: Invoke) -> None:
    row = answer(invoke("stats", "--json").stdout)["usage"][0]
    assert (row["tool"], row["calls"], row["errors"]) == ("get", 3, 1)
    assert "0.200" in invoke("stats").stdout


def test_empty_lists_say_what_to_do(invoke: Invoke, war_room: FakeWarRoom) -> None:
    war_room.statuses = ()
    assert "warroom solve" in invoke("list").stdout
    assert "No tool was called yet" in invoke("stats").stdout
    assert "1 tools are there" in invoke("tools", "zebra").stdout


def test_optimize_says_how_to_do_it_and_does_it(invoke: Invoke, war_room: FakeWarRoom) -> None:
    assert "warroom optimize --apply" in invoke("optimize").stdout
    assert war_room.asked == {"apply": False}
    assert "Done." in invoke("optimize", "--apply").stdout
    assert war_room.asked == {"apply": True}


# --- the outcome of solve ------------------------------------------------------------------------

READY = Added(SERVER, (), new=False)
WAITS = Attempt("npm:a", "redis", ApprovalRequired("waits", details={"card": ["Runs: npx"], "ticket": "t-1"}))
REFUSED = Attempt("npm:b", "redis", ApprovalDenied("no"))
BROKE = Attempt("npm:c", "redis", StartFailed("it left"))


@pytest.mark.parametrize(
    ("added", "waiting", "failed", "code"),
    [
        ((READY,), (), (BROKE,), 0),
        ((READY,), (WAITS,), (), 4),
        ((), (WAITS,), (REFUSED,), 4),
        ((), (), (REFUSED,), 3),
        ((), (), (REFUSED, BROKE), 1),
        ((), (), (), 1),
    ],
)
def test_solve_ends_with_what_became_of_the_problem(
    added: tuple[Added, ...],
    waiting: tuple[Attempt, ...],
    failed: tuple[Attempt, ...],
    code: int,
    invoke: Invoke,
    war_room: FakeWarRoom,
) -> None:
    down = SourceReport("npm", SourceState.DOWN, reason="answered 503")
    war_room.incident = Incident(ANALYSIS, FindResult((CANDIDATE,), (down,)), added, waiting, failed, ("x",))
    shown = invoke("solve", "redis is down")
    assert shown.exit_code == code
    assert "source npm is down: answered 503" in shown.stdout
    assert "not covered: x" in shown.stdout
    for attempt in (*waiting, *failed):
        assert f"[{attempt.error.code}]" in shown.stdout
    parsed = answer(invoke("solve", "redis is down", "--json").stdout)
    assert len(parsed["ready"]) == len(added)
    assert len(parsed["waiting_for_approval"]) == len(waiting)


def test_a_problem_without_needs_says_what_to_do(invoke: Invoke, war_room: FakeWarRoom) -> None:
    war_room.incident = Incident(replace(ANALYSIS, needs=()), FindResult((), ()), (), (), (), ())
    shown = invoke("solve", "hello")
    assert shown.exit_code == 1
    assert "name the technology" in shown.stdout
