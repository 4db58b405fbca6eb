"""The knowledge in its compiled form; run when a wheel is built, and by `python -m warroom_mcp.compiling`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warroom_mcp.analyzer.patterns import compiled
from warroom_mcp.knowledge import COMPILED, digest, known_technologies


def made() -> dict[str, Any]:
    """The compiled form: what was known of each technology but its examples, and the analyzer's index."""
    tables = {}
    for technology in known_technologies():
        table = {key: value for key, value in asdict(technology).items() if value and key != "examples"}
        tables[table.pop("name")] = table
    return {"digest": digest(), "technologies": tables, **compiled()}


def main() -> int:
    """Write the compiled form beside the files that it is made from."""
    file = Path(__file__).parent / "knowledge" / COMPILED
    file.write_text(json.dumps(made(), separators=(",", ":"), ensure_ascii=False), encoding="utf-8")
    sys.stderr.write(f"{file}: {file.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
