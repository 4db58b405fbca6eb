"""What is known of technologies: how they are called, how they fail, and which servers are for them.

The data is in `technologies/AREA/NAME.toml`, reviewed like code. Nothing here reads a problem or a catalog.

A built package holds `compiled.json` in the place of those files: reading hundreds of them and working
out what each expression is found by takes a second, and it takes a tenth. A checkout has both, and the
compiled form is only used while it was made from the files as they are.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any

from warroom_mcp.knowledge.technology import Kind, Role, Technology, damaged, from_table, parse

__all__ = ["Kind", "Role", "Technology", "compiled_part", "digest", "known_technologies", "parse"]

COMPILED = "compiled.json"
"""The file in this package that holds the compiled form."""


@cache
def known_technologies() -> tuple[Technology, ...]:
    """All technologies that come with the package, by name, read once.

    Raises:
        WarRoomError: a file is not what it should be.
    """
    tables = compiled_part("technologies")
    if isinstance(tables, dict):
        return tuple(from_table(name, table) for name, table in sorted(tables.items()))
    sources = _sources()
    return tuple(parse(name, sources[name].decode()) for name in sorted(sources))


def digest() -> str:
    """A digest of all files that the knowledge is read from; empty where there are none."""
    sources = _sources()
    if not sources:
        return ""
    made = hashlib.blake2b(digest_size=16)
    for name in sorted(sources):
        made.update(name.encode() + b"\0" + sources[name] + b"\0")
    return made.hexdigest()


def compiled_part(name: str) -> Any:
    """A part of the compiled form, or None where there is none that fits the files."""
    return _compiled().get(name)


@cache
def _compiled() -> dict[str, Any]:
    file = _package().joinpath(COMPILED)
    if not file.is_file():
        return {}
    try:
        whole: dict[str, Any] = json.loads(file.read_bytes())
    except ValueError as error:
        raise damaged(COMPILED, str(error)) from error
    current = digest()
    return whole if not current or whole.get("digest") == current else {}


def _sources() -> dict[str, bytes]:
    return {file.name.removesuffix(".toml"): file.read_bytes() for file in _files()}


def _files() -> Iterator[Traversable]:
    folder = _package().joinpath("technologies")
    if folder.is_dir():
        for area in folder.iterdir():
            if area.is_dir():
                yield from (file for file in area.iterdir() if file.name.endswith(".toml"))


def _package() -> Traversable:
    # Imported here: it brings tempfile, zipfile and more, which no other way through this module needs.
    from importlib.resources import files

    return files("warroom_mcp.knowledge")
