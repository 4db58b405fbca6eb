"""A War Room of values behind the commands, and ways to run them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.fakes import FakeWarRoom
from warroom_mcp.cli import running
from warroom_mcp.cli.app import app
from warroom_mcp.settings import Settings

Invoke = Callable[..., Result]
Warroom = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def war_room(home: Path, monkeypatch: pytest.MonkeyPatch) -> FakeWarRoom:
    """The War Room that commands of this process open."""
    fake = FakeWarRoom(Settings(home=home))
    monkeypatch.setattr(running, "make_war_room", lambda _: fake)
    return fake


@pytest.fixture
def invoke(war_room: FakeWarRoom) -> Invoke:
    """Run a command in this process, without a terminal."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, prog_name="warroom")

    return run


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """An environment in which no registry answers, and at once."""
    nowhere = ("NPM_REGISTRY", "NPM_DOWNLOADS", "PYPI", "PYPI_DOWNLOADS", "MCP_REGISTRY")
    return {
        **os.environ,
        "WARROOM_HOME": str(home),
        "TERM": "dumb",
        **{f"WARROOM_{name}_URL": "http://127.0.0.1:9" for name in nowhere},
    }


@pytest.fixture
def warroom(environment: dict[str, str], tmp_path: Path) -> Warroom:
    """Run a command in a process of its own, without a terminal."""

    def run(*arguments: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[str]:
        finished = subprocess.run(
            [sys.executable, "-m", "warroom_mcp", *arguments],
            input=stdin,
            capture_output=True,
            timeout=60,
            env={**environment, **variables},
            cwd=tmp_path,
            check=False,
        )
        out, err = finished.stdout.decode(), finished.stderr.decode()
        return subprocess.CompletedProcess(finished.args, finished.returncode, out, err)

    return run
