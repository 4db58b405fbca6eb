"""What is written down of an installed package, as `installed.json` in its directory.

The file is written last: a directory without a valid one is an interrupted installation.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warroom_mcp.errors import NoExecutable
from warroom_mcp.models import Package

MARKER = "installed.json"
FORMAT = 2
"""Raised when the layout of a directory changes; older ones are then installed again."""


@dataclass(frozen=True, slots=True)
class Record:
    """The facts of one installation.

    `executables` maps a name to a path relative to the directory. `integrity` is the digest of what was
    fetched, `lock_digest` that of the list of everything that came with it. Of the `locked` packages,
    `without_integrity` carry no digest and `install_scripts` would run code at installation (none did).
    `contents` holds the SHA-256 of each executable's file: what is started is what was installed.
    `image` and `engine` are set for container images.
    """

    identifier: str
    version: str | None
    integrity: str | None
    executables: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)
    lock_digest: str | None = None
    locked: int = 1
    without_integrity: int = 0
    install_scripts: tuple[str, ...] = ()
    image: str | None = None
    engine: str | None = None
    installed: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def write(root: Path, record: Record) -> None:
    """Mark a directory as whole; what its executables contain is written down with it."""
    contents = {path: _sha256(root / path) for path in record.executables.values()}
    record = replace(record, contents=contents)
    draft = root / f"{MARKER}.draft"
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **asdict(record)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(root / MARKER)


def read(root: Path, package: Package) -> Record | None:
    """The record of a whole installation of exactly this package, else None."""
    try:
        facts = json.loads((root / MARKER).read_bytes())
        record = _parse(facts) if facts.pop("format", None) == FORMAT else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if record is None or (record.identifier, record.version) != (package.identifier, package.version):
        return None
    if None not in (record.integrity, package.integrity) and record.integrity != package.integrity:
        return None
    whole = all(_unchanged(root, path, record) for path in record.executables.values())
    return record if whole else None


def _unchanged(root: Path, path: str, record: Record) -> bool:
    """Whether an executable is in its place with the content that was installed."""
    try:
        return inside(root, path) and record.contents.get(path) == _sha256(root / path)
    except OSError:
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _parse(facts: dict[str, Any]) -> Record:
    executables = {str(name): str(path) for name, path in facts["executables"].items()}
    return Record(**{**facts, "executables": executables, "install_scripts": tuple(facts["install_scripts"])})


def inside(root: Path, path: str) -> bool:
    """Whether a relative path names a file that really lies in the directory, links followed."""
    try:
        real = (root / path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return False
    return real.is_file() and real.is_relative_to(root.resolve())


def choose_executable(executables: Mapping[str, str], package: Package, own_name: str) -> str:
    """The name of the executable to start: the one asked for, the one named like the package, the only one.

    Raises: NoExecutable, listing what there is.
    """
    label = f"{package.identifier} {package.version}"
    if not executables:
        raise NoExecutable(f"{label} offers nothing to start: it is a library.")
    choices = ", ".join(sorted(executables)[:20])
    if package.executable is not None:
        if package.executable in executables:
            return package.executable
        raise NoExecutable(
            f"{label} has no executable {package.executable!r}; it has: {choices}.",
            details={"executables": sorted(executables)},
        )
    if own_name in executables:
        return own_name
    if len(set(executables.values())) == 1:
        return min(executables)
    raise NoExecutable(
        f"{label} has several executables and none is named like it: {choices}.",
        hint="Name the executable to start.",
        details={"executables": sorted(executables)},
    )
