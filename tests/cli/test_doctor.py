import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import anyio
import pytest
from typer.testing import CliRunner

from warroom_mcp.cli import doctor
from warroom_mcp.cli.app import app
from warroom_mcp.manager import runtimes
from warroom_mcp.manager.runtimes import RuntimeRow


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/down" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Something that speaks HTTP."""
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """A machine on which everything is well."""

    async def rows() -> tuple[RuntimeRow, ...]:
        return (RuntimeRow("node", "/usr/bin/node", "22.0", None), RuntimeRow("uv", None, None, "not found"))

    monkeypatch.setattr(runtimes, "report", rows)
    monkeypatch.setattr(doctor, "find_orphans", list)
    for name in ("NPM_REGISTRY", "NPM_DOWNLOADS", "PYPI", "PYPI_DOWNLOADS", "MCP_REGISTRY"):
        monkeypatch.setenv(f"WARROOM_{name}_URL", address)


def checks(code: int) -> dict[str, tuple[str, str]]:
    shown = CliRunner().invoke(app, ["doctor", "--json"], prog_name="warroom")
    assert shown.exit_code == code
    answer = json.loads(shown.stdout)
    assert answer["ok"] is (code == 0)
    return {row["check"]: (row["state"], row["what"]) for row in answer["checks"]}


def test_a_healthy_machine_ends_with_0_and_has_an_admin_token(home: Path) -> None:
    found = checks(0)
    assert found["state directory"][0] == "ok"
    assert found["runtime uv"] == ("note", "not found")
    assert found["source PyPI"][0] == "ok"
    token = (home / "admin-token").read_text().strip()
    assert token not in json.dumps(found)


def test_rows_are_shown_to_a_person() -> None:
    shown = CliRunner().invoke(app, ["doctor"], prog_name="warroom")
    assert "War Room can work." in shown.stdout
    assert shown.exit_code == 0


def test_a_file_in_the_place_of_the_state_directory_is_broken(home: Path) -> None:
    home.write_text("")
    found = checks(1)
    assert found["state directory"][0] == "broken"


def test_a_corrupt_config_is_broken(home: Path) -> None:
    home.mkdir()
    (home / "mcp-config.json").write_text("{")
    assert checks(1)["config"][0] == "broken"


def test_settings_that_make_no_sense_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARROOM_CALL_DEADLINE", "soon")
    state, what = checks(1)["settings"]
    assert state == "broken"
    assert "call_deadline" in what


def test_a_source_that_only_enriches_may_be_away(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("WARROOM_PYPI_DOWNLOADS_URL", f"{address}/down")
    assert checks(0)["source PyPI downloads"][0] == "note"


def test_no_package_registry_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARROOM_NPM_REGISTRY_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WARROOM_PYPI_URL", "http://127.0.0.1:9")
    assert checks(1)["sources"][0] == "broken"


def test_no_runtime_at_all_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rows() -> tuple[RuntimeRow, ...]:
        return (RuntimeRow("node", None, None, "not found"),)

    monkeypatch.setattr(runtimes, "report", rows)
    assert checks(1)["runtimes"][0] == "broken"


def test_orphans_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_orphans", lambda: [4711])
    assert "4711" in checks(1)["orphans"][1]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9", "is not reachable"),
        ("nonsense", "is not reachable"),
        ("http://[", "is not reachable"),
    ],
)
async def test_an_address_that_does_not_answer_says_why(url: str, why: str) -> None:
    with anyio.fail_after(10):
        assert why in (await doctor.unreachable(url) or "")


async def test_any_answer_below_500_is_one(address: str) -> None:
    with anyio.fail_after(10):
        assert await doctor.unreachable(address) is None
        assert await doctor.unreachable(f"{address}/down") == "answers with 503"
