"""`warroom catalog`: copies that are made, gone on with, told, taken out and brought in."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina
from typer.testing import CliRunner, Result

from tests.standins.registry import StandInRegistry, entry, npm_package
from warroom_mcp.cli.app import app

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def retries_without_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInRegistry]:
    with StandInRegistry() as running:
        running.page_size = 2
        running.entries = [
            entry(f"io.github.x/redis-{name}", packages=[npm_package(f"redis-{name}")]) for name in "abcde"
        ]
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("TERM", "dumb")
        yield running


@pytest.fixture
def run(standin: StandInRegistry, home: Path) -> Run:
    """Run a command of `warroom catalog` in this process."""

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["catalog", *arguments], prog_name="warroom")

    return invoke


def rows(shown: Result, name: str) -> dict[str, dict[str, Any]]:
    return {row["source"]: row for row in json.loads(shown.stdout)[name]}


def test_a_sync_brings_everything_and_the_next_one_the_changes(run: Run) -> None:
    first, second = run("sync", "--json"), run("sync", "--json")
    assert (first.exit_code, second.exit_code) == (0, 0)
    told, again = rows(first, "synced")["registry"], rows(second, "synced")["registry"]
    assert (told["seen"], told["pages"], told["whole"], told["reason"]) == (5, 3, True, None)
    assert again["whole"] is False
    assert rows(run("sync", "--all", "--json"), "synced")["registry"]["whole"] is True
    shown = run("sync")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "registry" in shown.stdout


def test_status_tells_what_there_is_and_how_old_it_is(run: Run) -> None:
    before = rows(run("status", "--json"), "catalog")
    assert set(before) == {"curated"}
    run("sync")
    registry = rows(run("status", "--json"), "catalog")["registry"]
    assert (registry["servers"], registry["cut_off"], registry["reason"]) == (5, False, None)
    assert 0 <= registry["age_seconds"] < 60
    shown = run("status")
    assert "seconds" in shown.stdout
    assert "complete" in shown.stdout


def test_a_sync_that_is_cut_off_ends_with_1_and_the_next_one_goes_on(
    run: Run, standin: StandInRegistry
) -> None:
    standin.cut_after = 2
    shown = run("sync")
    assert shown.exit_code == 1
    assert "registry was cut off: answered 503. The next sync goes on from there." in shown.stdout
    told = rows(run("status", "--json"), "catalog")["registry"]
    assert (told["servers"], told["synced"], told["cut_off"], told["reason"]) == (
        4,
        None,
        True,
        "answered 503",
    )
    assert "cut off: answered 503" in run("status").stdout
    standin.cut_after = None
    assert rows(run("sync", "--json"), "synced")["registry"]["seen"] == 1


def test_one_registry_that_is_down_does_not_keep_another_from_being_copied(
    run: Run, standin: StandInRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = {"team": {"url": "http://127.0.0.1:9"}, "other": {"url": standin.url}}
    monkeypatch.setenv("WARROOM_CATALOG_REGISTRIES", json.dumps(team))
    shown = run("sync", "--json")
    told = rows(shown, "synced")
    assert shown.exit_code == 1
    assert {name: row["seen"] for name, row in told.items()} == {"registry": 5, "team": 0, "other": 5}
    assert told["team"]["reason"] == "cannot be reached"
    assert rows(run("status", "--json"), "catalog")["team"]["reason"] == "cannot be reached"


def test_a_private_registry_is_shown_its_token(
    run: Run, standin: StandInRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StandInRegistry() as private:
        private.entries, private.token = [entry("io.github.x/own", packages=[npm_package("own")])], "secret"
        team = {"team": {"url": private.url, "token": "env:TEAM_TOKEN"}}
        monkeypatch.setenv("WARROOM_CATALOG_REGISTRIES", json.dumps(team))
        monkeypatch.setenv("TEAM_TOKEN", "secret")
        shown = run("sync", "--json")
        assert shown.exit_code == 0
        assert rows(shown, "synced")["team"]["seen"] == 1
        monkeypatch.setenv("TEAM_TOKEN", "wrong")
        shown = run("sync")
        assert (shown.exit_code, "team was cut off: answered 401" in shown.stdout) == (1, True)
        assert "wrong" not in shown.output


def test_offline_no_registry_is_asked(
    run: Run, standin: StandInRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARROOM_OFFLINE", "true")
    shown = run("sync")
    assert shown.exit_code == 1
    assert "error [invalid_input]" in shown.stderr
    assert "warroom catalog import" in shown.stderr
    assert standin.requests == []
    assert run("status").exit_code == 0


def test_what_one_machine_exports_another_without_internet_imports(
    run: Run, standin: StandInRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("sync")
    file = tmp_path / "catalog.gz"
    shown = run("export", str(file))
    assert (shown.exit_code, "5 servers written to" in shown.stdout) == (0, True)
    synced = rows(run("status", "--json"), "catalog")["registry"]["synced"]
    monkeypatch.setenv("WARROOM_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("WARROOM_OFFLINE", "true")
    standin.requests.clear()
    brought = rows(run("import", str(file), "--json"), "catalog")["registry"]
    assert (brought["servers"], brought["synced"]) == (5, synced)
    assert "complete" in run("import", str(file)).stdout
    assert rows(run("status", "--json"), "catalog")["registry"]["servers"] == 5
    found = CliRunner().invoke(app, ["find", "redis", "memory", "is", "full", "--json"], prog_name="warroom")
    assert "redis-" in found.stdout
    assert standin.requests == []


@pytest.mark.parametrize("command", ["export", "import"])
def test_a_file_that_cannot_be_used_is_told(command: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    shown = run(command, str(tmp_path / "file" / "x") if command == "export" else str(tmp_path / "file"))
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.startswith("error [invalid_input] ")


@pytest.mark.parametrize("content", [b"no database", None])
def test_a_damaged_copy_is_told_and_made_anew(run: Run, home: Path, content: bytes | None) -> None:
    run("sync")
    path = home / "catalog.db"
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    path.write_bytes(content if content is not None else path.read_bytes()[:5000])
    told = rows(run("status", "--json"), "catalog")
    assert "set aside as catalog.db.set-aside" in told["registry"]["reason"]
    assert told["curated"]["servers"] > 20
    assert rows(run("sync", "--json"), "synced")["registry"]["seen"] == 5
    assert rows(run("status", "--json"), "catalog")["registry"]["reason"] is None


# --- in a process of its own ---------------------------------------------------------------------


def start(**streams: Any) -> subprocess.Popen[bytes]:
    """`warroom catalog sync`, with the environment of this test."""
    command = [sys.executable, "-m", "warroom_mcp", "catalog", "sync"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=dict(os.environ), **streams)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as on POSIX")
@pytest.mark.slow
def test_an_interrupted_sync_says_that_it_is_kept_and_keeps_it(run: Run, standin: StandInRegistry) -> None:
    second_page, over = threading.Event(), threading.Event()

    def hold(query: Any) -> None:
        if "cursor" in query:
            second_page.set()
            over.wait(30)

    standin.on_page = hold
    with start(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert second_page.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        over.set()
    assert (process.returncode, out) == (130, b"")
    assert b"What was copied until now is kept" in err
    assert b"Traceback" not in err
    standin.on_page = None
    told = rows(run("status", "--json"), "catalog")["registry"]
    assert (told["servers"], told["cut_off"]) == (2, True)
    assert rows(run("sync", "--json"), "synced")["registry"]["seen"] == 3


@pytest.mark.skipif(os.name == "nt", reason="a terminal is made as on POSIX")
@pytest.mark.slow
def test_a_person_sees_how_far_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import pty

    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    shown = bytearray()
    with start(stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        while True:
            try:
                shown += (piece := os.read(ours, 4096))
            except OSError:
                # Linux tells the end of a terminal as an error.
                break
            if not piece:
                break
        assert process.wait(30) == 0
    os.close(ours)
    assert (
        b"registry: 2 servers" in shown or b"registry: 4 servers" in shown or b"registry: 5 servers" in shown
    )
