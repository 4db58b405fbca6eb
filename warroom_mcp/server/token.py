"""The token that hosts show over HTTP: made once, kept where only its owner reads it."""

from __future__ import annotations

import secrets
from pathlib import Path

from warroom_mcp.store.private import make_directory, make_file, replace_file, writing


def http_token(home: Path) -> str:
    """The token of a state directory, made if there is none.

    Raises: StateNotWritable.
    """
    path = home / "http-token"
    with writing(path):
        make_directory(home)
        if path.exists() and (known := path.read_text(encoding="ascii").strip()):
            return known
        made = secrets.token_urlsafe(32)
        replace_file(path, made.encode())
        make_file(path)
    return made
