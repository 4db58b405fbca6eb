"""How well and how fast a problem leads to servers.

`python -m benchmarks.finding --catalog CATALOG --problems PROBLEMS --out RANKS`

The shipped analyzer and ranking over the catalog file alone: no network, no curated list beside it. Each
problem is analysed and searched for once as a user would; the answers are written for
`evaluate_ranking.py`, and scored here by the same rules where the problems carry their labels.
"""

import argparse
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio

from benchmarks.scores import LIMITS, below, print_table, score
from warroom_mcp.analyzer import analyze
from warroom_mcp.catalog import Catalog
from warroom_mcp.settings import Settings
from warroom_mcp.store.index import SqliteIndex
from warroom_mcp.store.sqlite import SqliteStore

Row = dict[str, Any]

# A person sees so many; the rest of a list is for closed pools, in which most servers do not count.
SHOWN, DEEP = 10, 400


def read(path: Path) -> list[Row]:
    """The rows of a JSON Lines file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def halved(problems: Sequence[Row]) -> list[Row]:
    """The problems, with the `half` that their technologies fall into.

    Rules are written with an eye on the misses of one half alone, so that the other tells what they are
    worth on technologies whose problems nobody has looked at.
    """
    return [problem | {"half": _half(problem.get("techs", ()))} for problem in problems]


def _half(technologies: Sequence[str]) -> str:
    digest = hashlib.md5(",".join(sorted(technologies)).encode(), usedforsecurity=False)
    return ("read", "unread")[int(digest.hexdigest(), 16) % 2] if technologies else "none"


def enlarged(rows: Sequence[Row], size: int) -> Iterator[Row]:
    """The rows, repeated under other ids and names up to `size`, for timing only."""
    words = sorted({word for row in rows for word in str(row.get("description", "")).split()})
    chance = random.Random(7)
    for number in range(size):
        row = rows[number % len(rows)]
        if number < len(rows):
            yield row
        else:
            noise = " ".join(chance.sample(words, 8))
            yield {
                **row,
                "id": f"{row['id']}-{number}",
                "description": f"{row.get('description', '')} {noise}",
            }


async def answers(catalog_file: Path, problems: Sequence[Row], depth: int) -> list[Row]:
    """The ranked servers of each problem, with the milliseconds that analysis and search took."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings(home=home, catalog_files={"list": catalog_file}, offline=True)
        index, store = SqliteIndex(settings.index), SqliteStore(settings.database)
        catalog = Catalog(settings, store, index, sources=(), curated=False)
        try:
            await catalog.stock.fill()
            found = [await _answer(catalog, problem, depth) for problem in problems]
        finally:
            await catalog.aclose()
            await store.aclose()
    return found


async def _answer(catalog: Catalog, problem: Row, depth: int) -> Row:
    text = problem.get("text") or problem["query"]
    started = time.perf_counter()
    analysis = analyze(text)
    result = await catalog.find(analysis.needs, analysis.plan, limit=SHOWN)
    elapsed = (time.perf_counter() - started) * 1000
    ranked = [one.listed_as for one in result.candidates]
    if depth > SHOWN:
        deep = await catalog.find(analysis.needs, analysis.plan, limit=depth)
        ranked += [one.listed_as for one in deep.candidates if one.listed_as not in set(ranked)]
    needs = {need.technology: need.confidence for need in analysis.needs}
    return {"query_id": problem["id"], "ranked": ranked, "latency_ms": round(elapsed, 3), "needs": needs}


def main() -> int:
    """Answer, write, score; 1 when a figure is below what it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--problems", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--servers", type=int, help="enlarge the catalog to so many, for timing")
    parser.add_argument("--depth", type=int, default=DEEP, help="how long the written lists are")
    parser.add_argument("--must", choices=sorted(LIMITS), help="fail below these figures")
    parser.add_argument("--by", nargs="*", default=[], help="also by these fields, or by half")
    parser.add_argument("--where", metavar="FIELD=VALUE", help="only the problems that say so")
    parser.add_argument(
        "--pool", help="score only servers of this pool of the pools.json beside the problems"
    )
    asked = parser.parse_args()
    problems = halved(read(asked.problems))
    if asked.where:
        field, _, value = asked.where.partition("=")
        problems = [problem for problem in problems if str(problem.get(field)) == value]
    pool = None
    if asked.pool:
        pools = json.loads(asked.problems.with_name("pools.json").read_text(encoding="utf-8"))
        pool = frozenset(pools[asked.pool])
    catalog_file = asked.catalog
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as larger:
        if asked.servers:
            larger.writelines(json.dumps(row) + "\n" for row in enlarged(read(asked.catalog), asked.servers))
            larger.flush()
            catalog_file = Path(larger.name)
        found = anyio.run(answers, catalog_file, problems, asked.depth)
    if asked.out:
        asked.out.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    times = sorted(row["latency_ms"] for row in found)
    print(
        f"analysis + search: p50 {statistics.median(times):.2f} ms, "
        f"p95 {times[int(0.95 * (len(times) - 1))]:.2f} ms, max {times[-1]:.2f} ms"
    )
    scores = score(problems, found, pool)
    print_table(problems, found, asked.by, pool)
    missed = below(scores, asked.must)
    print("\n".join(missed), file=sys.stderr)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
