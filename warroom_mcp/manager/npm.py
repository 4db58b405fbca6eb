"""Installs an npm package into a directory of its own. No script of any package runs."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from warroom_mcp.errors import InstallFailed, IntegrityMismatch, NoExecutable, PackageNotFound, WarRoomError
from warroom_mcp.manager.environment import installer_environment
from warroom_mcp.manager.record import Record, choose_executable, inside
from warroom_mcp.manager.run import Finished, run
from warroom_mcp.manager.runtimes import find_node
from warroom_mcp.models import Package
from warroom_mcp.settings import Settings

MANIFEST_BYTES = 4 * 1024 * 1024
"""The largest package.json that is read; the largest real ones are a few hundred KB."""

# Each flag also overrides what the person's or the site's npm settings say.
_FLAGS = (
    "--ignore-scripts",  # no code of a package runs before a person's server is started
    "--allow-git=none",  # a git dependency may bring a configuration that runs a program (npm >= 11.5)
    "--git=git-is-not-used",  # the same for an npm that does not know --allow-git
    "--no-global",
    "--no-workspaces",  # a project around the state directory has no say
    "--package-lock=true",
    "--install-strategy=hoisted",
    "--omit=dev",
    "--no-audit",
    "--no-fund",
    "--no-progress",
    "--no-update-notifier",
    "--loglevel=error",
    "--logs-max=0",
)
_NOT_FOUND = ("E404", "ETARGET", "ENOVERSIONS")
_LASTING = ("EBADENGINE", "EBADPLATFORM", "ERESOLVE", "EALLOWGIT", "E401", "E403")
"""Codes that the same call meets again."""


async def install(package: Package, root: Path, settings: Settings) -> Record:
    """Fetch and unpack one exact version with its dependencies into `root`.

    Raises:
        RuntimeMissing, PackageNotFound, IntegrityMismatch, NoExecutable, InstallFailed.
    """
    node = find_node()
    manifest = {
        "name": "war-room-package",
        "version": "0.0.0",
        "private": True,
        "dependencies": {package.identifier: package.version},
    }
    (root / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
    argv = (*node.npm, "install", *_FLAGS, *_registry(settings), "--prefix", str(root))
    finished = await run(argv, env=installer_environment(os.environ), cwd=root)
    if finished.code != 0:
        raise _failure(package, finished)
    return _record(package, root)


def argv(package: Package, root: Path, record: Record) -> tuple[str, ...]:
    """What starts the package: node and the file of its executable.

    Raises: RuntimeMissing, NoExecutable.
    """
    name = choose_executable(record.executables, package, _unscoped(package))
    return (str(find_node().node), str(root / record.executables[name]))


def _registry(settings: Settings) -> tuple[str, ...]:
    """The registry, when it was chosen here; otherwise npm's own settings say which."""
    default = Settings.model_fields["npm_registry_url"].default
    return () if settings.npm_registry_url == default else ("--registry", settings.npm_registry_url)


def _failure(package: Package, finished: Finished) -> WarRoomError:
    exact = f"{package.identifier}@{package.version}"
    found = re.search(r"npm (?:error|ERR!) code (\S+)", finished.stderr)
    code = found[1] if found else ""
    if code == "EINTEGRITY":
        return IntegrityMismatch(f"A file that came with {exact} is not what its registry announced.")
    if code in _NOT_FOUND and exact in finished.stderr:
        return PackageNotFound(f"The npm registry does not serve {exact}.")
    return InstallFailed(
        f"npm could not install {exact}:\n{finished.last_words}",
        retryable=code not in (*_NOT_FOUND, *_LASTING),
        details={"npm_code": code} if code else None,
    )


# --- what came ---------------------------------------------------------------------------------


def _record(package: Package, root: Path) -> Record:
    lock_bytes = (root / "package-lock.json").read_bytes()
    locked: dict[str, dict[str, Any]] = json.loads(lock_bytes)["packages"]
    locked.pop("", None)
    top = locked.get(f"node_modules/{package.identifier}", {})
    _check_top(package, top)
    return Record(
        identifier=package.identifier,
        version=package.version,
        integrity=top.get("integrity"),
        executables=_executables(package, root),
        lock_digest="sha256:" + hashlib.sha256(lock_bytes).hexdigest(),
        locked=len(locked),
        without_integrity=sum(not entry.get("integrity") for entry in locked.values()),
        install_scripts=tuple(path for path, entry in locked.items() if entry.get("hasInstallScript")),
    )


def _check_top(package: Package, top: dict[str, Any]) -> None:
    """Compare what came with what was approved."""
    exact = f"{package.identifier}@{package.version}"
    if top.get("version") != package.version:
        raise IntegrityMismatch(f"The registry sent version {top.get('version')} for {exact}.")
    came = str(top.get("integrity") or "")
    if package.integrity and not set(package.integrity.split()) & set(came.split()):
        raise IntegrityMismatch(
            f"{exact} is not what was approved.",
            details={"approved": package.integrity, "served": came or None},
        )


def _executables(package: Package, root: Path) -> dict[str, str]:
    """The package's `bin` entries that are Node programs inside the directory, by name."""
    home = f"node_modules/{package.identifier}"
    manifest = root / home / "package.json"
    if not inside(root, f"{home}/package.json") or manifest.stat().st_size > MANIFEST_BYTES:
        raise InstallFailed(f"{package.identifier} has no readable package.json.", retryable=False)
    try:
        declared = json.loads(manifest.read_bytes()).get("bin") or {}
    except (ValueError, AttributeError) as error:
        raise InstallFailed(
            f"The package.json of {package.identifier} is malformed.", retryable=False
        ) from error
    if isinstance(declared, str):
        declared = {_unscoped(package): declared}
    if not isinstance(declared, dict):
        return {}
    entries = {
        str(name): f"{home}/{path.removeprefix('./')}"
        for name, path in declared.items()
        if isinstance(path, str) and inside(root / home, path)
    }
    programs = {name: path for name, path in entries.items() if _is_node_program(root / path)}
    if entries and not programs:
        raise NoExecutable(f"{package.identifier} {package.version} offers no Node program to start.")
    return programs


def _is_node_program(file: Path) -> bool:
    """Whether a file is for Node: by its first line, which counts more than its ending."""
    with file.open("rb") as opened:
        first = opened.readline(256)
    if first.startswith(b"#!"):
        return b"node" in first
    return file.suffix in (".js", ".cjs", ".mjs") or (file.suffix == "" and b"\0" not in first)


def _unscoped(package: Package) -> str:
    return package.identifier.rpartition("/")[2]
