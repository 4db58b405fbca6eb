"""What a command needs before it can start: settings that are valid, and the problem's bytes."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from warroom_mcp.errors import ConfigCorrupt, InvalidInput
from warroom_mcp.places import find_home

if TYPE_CHECKING:
    from warroom_mcp.settings import Settings


def check_settings_file() -> None:
    """See that `settings.toml` is TOML, if there is one: what can be told before anything is loaded.

    Raises:
        ConfigCorrupt: it is not, or cannot be read.
    """
    file = find_home() / "settings.toml"
    with _reading(file), suppress(FileNotFoundError):
        tomllib.loads(file.read_text(encoding="utf-8"))


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigCorrupt(f"{file} cannot be used: {error}.", details={"path": str(file)}) from error
    except FileNotFoundError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigCorrupt(f"{file} cannot be read: {why}.", details={"path": str(file)}) from error


def load_settings() -> Settings:
    """The settings.

    Raises:
        InvalidInput: one has a value that makes no sense.
        ConfigCorrupt: `settings.toml` is not TOML, or cannot be read.
    """
    from pydantic import ValidationError

    from warroom_mcp.settings import Settings

    file = find_home() / "settings.toml"
    try:
        with _reading(file):
            return Settings()
    except ValidationError as error:
        # Values are not repeated: nobody knows what was put there by mistake.
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise InvalidInput(
            f"The settings are not valid: {faults}.",
            hint=f"Correct the environment variable (WARROOM_ and the name), or {file}.",
        ) from None


def read_problem(words: list[str], limit: int) -> bytes:
    """The problem of a command: its words as they were given, or stdin when there is only `-`.

    Not more than `limit` + 1 bytes are read, so that the analyzer sees that it is too much.
    """
    if words == ["-"]:
        return sys.stdin.buffer.read(limit + 1)
    # As bytes: arguments that are not UTF-8 are refused where every other text is.
    return os.fsencode(" ".join(words))
