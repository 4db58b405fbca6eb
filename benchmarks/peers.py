"""The gateways that War Room is measured against: installed for the benchmark, never for the project.

Each lives below `WARROOM_BENCH_CACHE` (`~/.cache/warroom-bench`) in a directory named after its exact
version and is installed once, without running any install script.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_DEADLINE = 600
_DONE = ".complete"


class NotInstalled(Exception):
    """A peer could not be installed; the run goes on without it."""


@dataclass(frozen=True)
class Peer:
    """One exact package of a registry."""

    name: str
    version: str
    registry: str

    @property
    def home(self) -> Path:
        """Where it is installed."""
        cache = os.environ.get("WARROOM_BENCH_CACHE") or "~/.cache/warroom-bench"
        python = f"-py{sys.version_info.major}.{sys.version_info.minor}" if self.registry == "pypi" else ""
        return Path(cache).expanduser().absolute() / f"{self.name}-{self.version}{python}"

    def install(self) -> Path:
        """Its directory; installed by now.

        Raises:
            NotInstalled: the package manager is missing or failed.
        """
        if (self.home / _DONE).is_file():
            return self.home
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        if self.registry == "pypi":
            self._install_with_uv()
        else:
            self._install_with_npm()
        (self.home / _DONE).touch()
        return self.home

    @property
    def python(self) -> str:
        """The interpreter of a PyPI peer."""
        return str(self.home / "bin" / "python")

    @property
    def script(self) -> str:
        """The file of an npm peer that `node` runs."""
        package = self.home / "node_modules" / self.name
        entry = json.loads((package / "package.json").read_text(encoding="utf-8"))["bin"]
        return str(package / (entry if isinstance(entry, str) else entry[self.name]))

    def _install_with_uv(self) -> None:
        _run("uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(self.home))
        # Compiled now: else the first start would be measured with the compiler.
        options = ("--quiet", "--compile-bytecode", "--python", self.python)
        _run("uv", "pip", "install", *options, f"{self.name}=={self.version}")

    def _install_with_npm(self) -> None:
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(self.home))
        _run("npm", "install", *options, f"{self.name}@{self.version}")


def _run(*argv: str) -> None:
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_DEADLINE)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout).strip().splitlines()
        raise NotInstalled(f"{argv[0]} failed: {last[-1] if last else error.returncode}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{argv[0]}: {error}") from error


FASTMCP = Peer("fastmcp", "4.1.7", "pypi")
MCP_PROXY = Peer("mcp-proxy", "0.13.0", "pypi")
MCP_HUB = Peer("mcp-hub", "4.2.1", "npm")
SUPERGATEWAY = Peer("supergateway", "4.0.0", "npm")
