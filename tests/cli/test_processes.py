"""The command line as other programs see it: processes, streams, exit codes."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Warroom

# Each test starts real processes.
pytestmark = pytest.mark.slow


def test_a_corrupt_config_is_told(warroom: Warroom, home: Path) -> None:
    home.mkdir()
    (home / "mcp-config.json").write_text("{")
    done = warroom("list", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "config_corrupt"
    assert done.stderr.startswith("error [config_corrupt]")
    assert "Traceback" not in done.stderr


def test_a_file_in_the_place_of_the_state_directory_is_told(warroom: Warroom, home: Path) -> None:
    home.write_text("")
    done = warroom("pending")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error [state_not_writable]")
    assert "WARROOM_HOME" in done.stderr


def test_settings_that_make_no_sense_are_told_without_their_values(warroom: Warroom) -> None:
    done = warroom("list", WARROOM_CALL_DEADLINE="hunter2")
    assert done.returncode == 1
    assert done.stderr.startswith("error [invalid_input] The settings are not valid: call_deadline: ")
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("command", [("serve",), ("serve", "--http"), ("repl",)], ids=" ".join)
def test_a_corrupt_settings_file_is_told(command: tuple[str, ...], warroom: Warroom, home: Path) -> None:
    home.mkdir()
    (home / "settings.toml").write_text("= nonsense")
    done = warroom(*command)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error [config_corrupt]")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("problem", [b" \n", b"\x00\x01\xff\xfe" * 100])
def test_a_problem_that_is_no_text_is_told(problem: bytes, warroom: Warroom) -> None:
    done = warroom("analyze", "-", stdin=problem)
    assert done.returncode == 1
    assert done.stderr.startswith("error [invalid_problem]")


def test_an_unknown_candidate_is_told(warroom: Warroom) -> None:
    done = warroom("add", "nonsense:x")
    assert done.returncode == 1
    assert done.stderr.startswith("error [")
    assert "Traceback" not in done.stderr


def test_lines_without_a_terminal_are_problems_one_by_one(warroom: Warroom) -> None:
    done = warroom("repl", stdin=b"status\n\xff\x00\n\noptimize\n")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "No server is added yet: `warroom solve` with a problem, or `warroom find`.",
        "Nothing to retire.",
    ]
    assert done.stderr.count("error [") == 1


def test_a_reader_that_leaves_causes_no_traceback(environment: dict[str, str]) -> None:
    import subprocess

    process = subprocess.Popen(
        [sys.executable, "-m", "warroom_mcp", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, told = process.communicate(timeout=60)
    assert b"Traceback" not in told


HEAVY = {"mcp", "httpx2", "uvicorn", "pydantic", "rich", "structlog", "asyncio"}


def loaded(done_stderr: str) -> set[str]:
    """The top-level packages in an -X importtime report."""
    lines = (line.rsplit("|", 1) for line in done_stderr.splitlines() if line.startswith("import time:"))
    return {parts[-1].strip().partition(".")[0] for parts in lines if len(parts) == 2}


def test_help_and_completion_load_nothing_heavy(warroom: Warroom) -> None:
    done = warroom("--help", PYTHONPROFILEIMPORTTIME="1")
    assert "Commands:" in done.stdout
    assert loaded(done.stderr) & HEAVY == set()
    done = warroom(
        PYTHONPROFILEIMPORTTIME="1",
        _WARROOM_COMPLETE="complete_bash",
        COMP_WORDS="warroom s",
        COMP_CWORD="1",
    )
    assert "serve" in done.stdout.split()
    # Typer itself reads arguments by pydantic.
    assert loaded(done.stderr) & HEAVY == {"pydantic"}


def test_serving_loads_no_command_line(warroom: Warroom) -> None:
    done = warroom("serve", PYTHONPROFILEIMPORTTIME="1")
    assert done.stdout == ""
    assert done.returncode == 0
    # A host that only looks waits for no more than this.
    assert loaded(done.stderr) & (HEAVY - {"asyncio"} | {"typer", "readline", "sqlite3"}) == set()
