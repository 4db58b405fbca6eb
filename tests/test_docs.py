"""What the documents say is true: code runs, links and paths lead somewhere, nothing is left out."""

import contextlib
import io
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import stamina
import typer.main

from tests.standins.registry import StandInRegistry
from warroom_mcp.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TOUR = sorted((ROOT / "docs" / "arch").glob("*.md"))
PAGE_LINES = 60
COMMANDS = ("pip install uv && uv run warroom demo", "pip install uv && uv run pytest")

_MARKED = re.compile(r"<!-- (?P<mark>[a-z -]+) -->\n```python\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_PATH = re.compile(r"`((?:warroom_mcp|tests|docs|benchmarks)/[^`\s]*)`")
_PRINTS = re.compile(r"# prints (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A marked example: where it stands, and its code."""

    page: str
    number: int
    mark: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _blocks() -> Iterator[Block]:
    for page in PAGES:
        for number, found in enumerate(_MARKED.finditer(_read(page)), 1):
            yield Block(_name(page), number, found["mark"], found["code"])


BLOCKS = list(_blocks())


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInRegistry]:
    """Registries on loopback, in the place of all public ones; a policy that starts nothing."""
    with StandInRegistry() as running, stamina.set_testing(True, attempts=2, cap=True):
        for name, url in running.environment.items():
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("WARROOM_AUTO_APPROVE_LEVEL", "none")
        running.serve_npm("container-exec-mcp", weekly=10)
        running.serve_pypi("mcp-server-docker", weekly=10)
        yield running


def _run(block: Block) -> str:
    """What an example prints; each stands alone."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(block.code, str(block), "exec"), {"__name__": "__main__"})
    return output.getvalue()


def _check_output(block: Block, printed: str) -> None:
    lines = printed.splitlines()
    assert [wanted for wanted in _PRINTS.findall(block.code) if wanted not in lines] == []


# --- examples --------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.mark == "runs"], ids=str)
def test_an_example_runs_and_prints_what_it_says(block: Block) -> None:
    _check_output(block, _run(block))


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.mark == "runs with stand-ins"], ids=str)
def test_an_example_runs_against_stand_ins(block: Block, standin: StandInRegistry) -> None:
    printed = _run(block)
    assert printed.strip()
    _check_output(block, printed)


def test_the_whole_flow_of_the_library_page_ends_in_a_ticket(standin: StandInRegistry) -> None:
    block = next(b for b in BLOCKS if "handle_incident" in b.code)
    printed = _run(block)
    assert re.search(r"waits: .*`warroom approve t-[0-9a-f]+`", printed)
    assert "No server is added yet." in printed
    assert standin.requests


def test_every_mark_is_known() -> None:
    assert {b.mark for b in BLOCKS} == {"runs", "runs with stand-ins"}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_python_in_a_page_compiles(page: Path) -> None:
    for code in _PYTHON.findall(_read(page)):
        compile(code, str(page), "exec")


# --- links and paths -------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead = [target for target in _LINK.findall(_FENCED.sub("", _read(page))) if not _leads(page, target)]
    assert dead == []


def _leads(page: Path, target: str) -> bool:
    if "://" in target:
        return True
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists() or not file.is_relative_to(ROOT):
        return False
    return not anchor or anchor in {_anchor(heading) for heading in _HEADING.findall(_read(file))}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = set(_PATH.findall(_read(page)))
    assert [path for path in sorted(named) if not any(ROOT.glob(path))] == []


def test_the_tour_names_code_on_every_page() -> None:
    assert [_name(page) for page in TOUR if "`warroom_mcp/" not in _read(page)] == []


@pytest.mark.parametrize("page", TOUR, ids=_name)
def test_a_page_of_the_tour_is_one_page(page: Path) -> None:
    assert len(_read(page).splitlines()) <= PAGE_LINES


def test_the_tour_is_numbered_without_gaps_and_its_first_page_links_to_all() -> None:
    assert [int(page.name[:2]) for page in TOUR] == list(range(len(TOUR)))
    overview = _read(TOUR[0])
    assert [page.name for page in TOUR[1:] if f"({page.name})" not in overview] == []


def test_the_list_of_documents_is_whole() -> None:
    index = _read(ROOT / "docs" / "README.md") + _read(TOUR[0])
    pages = [page for page in PAGES if page.is_relative_to(ROOT / "docs") and page.name != "README.md"]
    assert [_name(page) for page in pages if f"{page.name})" not in index] == []


# --- nothing is left out ---------------------------------------------------------------------------


def test_the_readme_holds_the_two_commands_verbatim() -> None:
    lines = _read(ROOT / "README.md").splitlines()
    assert [command for command in COMMANDS if command not in lines] == []


def test_every_command_is_in_the_readme_and_every_named_one_exists() -> None:
    commands = set(getattr(typer.main.get_command(app), "commands", {}))
    rows = re.findall(r"^\| `warroom ([a-z-]+)", _read(ROOT / "README.md"), re.MULTILINE)
    assert set(rows) == commands
    assert len(commands) > 1
    named = {word for page in PAGES for word in re.findall(r"`warroom ([a-z]+)", _read(page))}
    assert named - commands == set()


def test_the_readme_shows_the_shipped_desktop_configuration() -> None:
    shipped = json.loads((ROOT / "claude_desktop_config.example.json").read_text(encoding="utf-8"))
    for page in (ROOT / "README.md", ROOT / "docs" / "hosts.md"):
        shown = re.findall(r"^```json\n(.*?)^```$", _read(page), re.DOTALL | re.MULTILINE)
        assert shipped in [json.loads(text) for text in shown]


def test_the_table_of_hosts_is_the_shipped_one() -> None:
    shipped = tomllib.loads(_read(ROOT / "warroom_mcp" / "hosts" / "abilities.toml"))["host"]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in _read(ROOT / "docs" / "hosts.md").splitlines()
    ]
    told = {name: row[2] for row in rows if len(row) == 3 for name in re.findall(r"`([^`]+)`", row[1])}
    missing = [row["names"] for row in shipped if {told.get(n) for n in row["names"]} != {row["relists"]}]
    assert missing == []
