"""The conformance suite of the protocol: installed once, pinned, and run against an address.

It lands in `WARROOM_TEST_CACHE` (`~/.cache/warroom-tests` when that is not set), with a Node for it when the
machine's is too old. No script of a package is run.
"""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from filelock import FileLock

from tests.conformance.verdict import Checks, table_of

REVISIONS = ("2025-11-25", "2026-07-28")

SUITE = "@modelcontextprotocol/conformance"
SUITE_VERSION = "0.2.0-alpha.12"
NODE_VERSION = "22.23.3"
LEAST_NODE = (22, 19)

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "win"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_INSTALL_SECONDS = 240
_RUN_SECONDS = 240


def run(url: str, revision: str, output: Path) -> dict[str, Checks]:
    """Every scenario of a revision against a server.

    Raises:
        RuntimeError: the suite did not get so far as to have results.
    """
    done = _suite("server", "--url", url, "--requirements", revision, "--output-dir", str(output))
    table = table_of(output)
    if not table:
        raise RuntimeError(f"the conformance suite ended with {done.returncode}: {done.stdout[-2000:]}")
    return table


@cache
def required(revision: str) -> tuple[str, ...]:
    """The scenarios that a server has to pass for a revision, in the suite's order."""
    listed = _suite("list", "--requirements", revision).stdout
    block = re.search(r"^Server scenarios .*?:\n(?P<names>(?: +- .+\n)+)", listed, re.MULTILINE)
    if block is None:
        raise RuntimeError(f"the conformance suite lists no server scenarios: {listed[:2000]}")
    return tuple(re.findall(r"- (\S+)", block["names"]))


def _suite(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = _installed(SUITE, SUITE_VERSION) / "dist" / "index.js"
    return subprocess.run(
        [_node(), program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=_RUN_SECONDS,
        check=False,
    )


@cache
def _node() -> Path:
    """The machine's Node, or one of our own when it has none that is new enough."""
    here = shutil.which("node")
    if here is not None:
        told = subprocess.run([here, "--version"], capture_output=True, encoding="utf-8", check=False).stdout
        version = re.match(r"v(\d+)\.(\d+)", told)
        if version is not None and (int(version[1]), int(version[2])) >= LEAST_NODE:
            return Path(here)
    system = _SYSTEMS[platform.system()]
    package = _installed(f"node-{system}-{_MACHINES[platform.machine().lower()]}", NODE_VERSION)
    return package / "bin" / ("node.exe" if system == "win" else "node")


@cache
def _installed(package: str, version: str) -> Path:
    """The directory of a package in exactly that version.

    Raises:
        RuntimeError: npm is missing, or could not install it.
    """
    home = Path(os.environ.get("WARROOM_TEST_CACHE") or Path.home() / ".cache" / "warroom-tests").resolve()
    home.mkdir(parents=True, exist_ok=True)
    name = f"{package}-{version}".lstrip("@").replace("/", "-")
    final = home / name
    with FileLock(home / f"{name}.lock"):
        if not final.exists():
            # Only what is complete gets the name that later runs look for.
            with tempfile.TemporaryDirectory(dir=home, prefix=f".{name}-") as part:
                _install(f"{package}@{version}", Path(part) / "it")
                (Path(part) / "it").rename(final)
    return final / "node_modules" / package


def _install(spec: str, into: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(f"npm is not on PATH, and {spec} is not installed yet")
    into.mkdir()
    done = subprocess.run(
        [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(into), spec],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"npm could not install {spec}: {done.stdout[-2000:]}")
