"""What children bring to the capabilities, kept for the next start: its first answer cannot wait for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from warroom_mcp.store.private import make_directory, replace_file, writing

FILE = "brought.json"


def keep_brought(home: Path, brought: Mapping[str, Any]) -> None:
    """Write it down. Blocks.

    Raises: StateNotWritable.
    """
    path = home / FILE
    with writing(path):
        make_directory(home)
        with FileLock(f"{path}.lock", timeout=5):
            replace_file(path, json.dumps(brought).encode())
