"""How well a request leads to tools: `python -m benchmarks.tools --tools T --queries Q --out R`.

All tools of a pool are put into the search that `find_tools` uses. A query with `steps` is answered
twice: as one sentence, and as a query for each step, which is how the tool's description asks for it.
"""

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.finding import read
from benchmarks.scores import below, print_table, score
from warroom_mcp.toolsearch import ToolSearch, ToolText

Row = dict[str, Any]

DEPTH = 20
_NUMBER = re.compile(r"^\s*\d{1,2}[.)]\s*")


def searches(tools: Sequence[Row]) -> dict[str, ToolSearch]:
    """A search for each pool of tools."""
    found: dict[str, ToolSearch] = {}
    for tool in tools:
        text = ToolText(
            tool["tool"],
            tool.get("description") or "",
            " ".join(tool.get("params") or ()),
            tool.get("server_name") or "",
            tool.get("server_description") or "",
        )
        found.setdefault(tool["pool"], ToolSearch()).put(tool["id"], text)
    return found


def steps_of(query: Row) -> list[str]:
    """The steps of a query, without their numbers."""
    lines = (_NUMBER.sub("", line) for line in str(query.get("steps") or "").splitlines())
    return [line for line in lines if line.strip()]


def answer(search: ToolSearch, query_id: str, requests: Sequence[str]) -> Row:
    """The tools for some requests, and the milliseconds it took."""
    started = time.perf_counter()
    ranked = search.search(requests, DEPTH)
    elapsed = (time.perf_counter() - started) * 1000
    return {"query_id": query_id, "ranked": list(ranked), "latency_ms": round(elapsed, 3)}


def main() -> int:
    """Answer, write, score; 1 when a figure is below what it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument(
        "--out", type=Path, help="the answers; those a step each go to the same name + .steps"
    )
    parser.add_argument("--must", action="store_true", help="fail below the limits")
    asked = parser.parse_args()
    pools = searches(read(asked.tools))
    missed: list[str] = []
    written: dict[str, list[Row]] = {"": [], ".steps": []}
    queries = read(asked.queries)
    for split in sorted({query["split"] for query in queries}):
        some = [query for query in queries if query["split"] == split]
        whole = [answer(pools[split], query["id"], [query["query"]]) for query in some]
        written[""] += whole
        print(f"{split}: one query, p50 {statistics.median(row['latency_ms'] for row in whole):.2f} ms")
        print_table(some, whole)
        stepped = [query for query in some if steps_of(query)]
        kind = "tools-task" if stepped else "tools-golden"
        missed += below(score(some, whole), kind) if asked.must else []
        if stepped:
            each = [answer(pools[split], query["id"], steps_of(query)) for query in stepped]
            written[".steps"] += each
            print(
                f"{split}: a query a step, p50 {statistics.median(row['latency_ms'] for row in each):.2f} ms"
            )
            print_table(stepped, each)
            missed += below(score(stepped, each), "tools-steps") if asked.must else []
    if asked.out:
        for suffix, rows in written.items():
            path = asked.out.with_name(asked.out.name + suffix)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print("\n".join(missed), file=sys.stderr)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
