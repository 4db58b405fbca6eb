"""A copy of a whole registry: how long, how large, slow, cut off and gone on with, and searches meanwhile.

    python -m benchmarks.sync [--servers 24000] [--page-delay 150]

The stand-in of the registry runs here, on loopback; each sync runs in a process of its own, so that its
memory is its own. What a sync from the public registry takes is what its pages take, and not less than
these figures.
"""

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from benchmarks.figures import digits
from tests.standins.registry import ManyEntries, StandInRegistry
from warroom_mcp.catalog import Catalog
from warroom_mcp.catalog.sync import PAGE
from warroom_mcp.knowledge import known_technologies
from warroom_mcp.models import Need, SearchPlan
from warroom_mcp.settings import Settings
from warroom_mcp.store.index import SqliteIndex
from warroom_mcp.store.sqlite import SqliteStore

Row = dict[str, Any]

SEARCHES = 200
# One search after the other, with such a pause, as from a busy session.
_PAUSE = 0.02
_HEAD = ("", "servers", "gone", "pages", "s", "servers/s", "MB", "peak MB", "")


class Bench:
    """The stand-in, and the processes that copy it."""

    def __init__(self, standin: StandInRegistry, folder: Path, servers: int) -> None:
        self.standin = standin
        self.folder = folder
        self.servers = servers
        self.many = ManyEntries(servers, [technology.name for technology in known_technologies()])
        standin.many = self.many

    def sync(self, name: str, home: str, *, searches: bool = False) -> Row:
        """Copy into a home, with searches or without; prints a row and gives its figures."""
        command = [sys.executable, "-m", "benchmarks.sync", "--copy", self.standin.url]
        command += ["--home", str(self.folder / home), *(["--searches"] if searches else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        row: Row = json.loads(done.stdout)
        rate = row["seen"] / row["seconds"]
        sizes = (f"{row['bytes'] / 1e6:.1f}", f"{row['resident'] / 1e6:.0f}")
        _print(
            (name, row["seen"], row["removed"], row["pages"], f"{row['seconds']:.1f}", digits(rate), *sizes)
        )
        if row["failure"]:
            print(f"{'':4}ended early: {row['failure']}")
        return row

    def change(self, share: float) -> None:
        """Change a share of the servers now, and take every fourth of those out."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        step = int(1 / share)
        for turn, number in enumerate(range(0, self.servers, step)):
            status = "deleted" if turn % 4 == 0 else "active"
            changed = self.many.made(number, version="2.0.0")
            meta = next(iter(changed["_meta"].values()))
            meta |= {"status": status, "updatedAt": now}
            self.many.changed[number] = changed


def run(bench: Bench, page_delay: float) -> None:
    """All rows, one after the other."""
    standin = bench.standin
    _print(_HEAD)
    bench.sync("all of it", "full")
    pages = -(-bench.servers // PAGE)
    standin.cut_after = pages // 2
    first = bench.sync("cut off at half (it tries again for a while)", "cut")
    standin.cut_after = None
    second = bench.sync("gone on with", "cut")
    print(f"{'':4}{first['seen'] + second['seen'] - bench.servers:,} of {bench.servers:,} servers came twice")
    standin.page_delay = page_delay
    bench.sync(f"all of it, {page_delay * 1000:.0f} ms a page", "slow")
    standin.page_delay = 0.0
    bench.change(0.01)
    bench.sync("changes: 1 %, a quarter of it gone", "full")
    row = bench.sync("all of it again, with searches", "full", searches=True)
    for when, times in row["searches"].items():
        print(f"{'':4}{len(times)} searches {when}: {_spread(times)}")


def _print(cells: Sequence[object]) -> None:
    widths = (46, 9, 6, 6, 7, 10, 7, 8)
    shown = [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells]
    first, *rest = [cell.rjust(width) for cell, width in zip(shown, widths, strict=False)]
    print(first.strip().ljust(widths[0]) + "".join(rest), flush=True)


def _spread(times: Sequence[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    return f"p50 {statistics.median(ordered):.1f} ms, p95 {p95:.1f} ms, max {ordered[-1]:.1f} ms"


# --- the process that copies -----------------------------------------------------------------------


async def copy(url: str, home: Path, *, searches: bool) -> Row:
    """Copy the registry into a home; the figures."""
    settings = Settings(home=home, mcp_registry_url=url)
    index, store = SqliteIndex(settings.index), SqliteStore(settings.database)
    catalog = Catalog(settings, store, index, sources=(), curated=False)
    # Searches look only into the index: what is measured is not a registry.
    alone = settings.model_copy(update={"offline": True})
    finder = Catalog(alone, store, index, sources=(), curated=False)
    times: dict[str, list[float]] = {}
    try:
        if searches:
            times["before"] = [await _search(finder, number) for number in range(SEARCHES)]
        async with anyio.create_task_group() as group:
            during = times.setdefault("during", []) if searches else None
            if during is not None:
                group.start_soon(_keep_searching, finder, during)
            (done,) = await catalog.copies.sync(whole=searches)
            group.cancel_scope.cancel()
        if searches:
            times["after"] = [await _search(finder, number) for number in range(SEARCHES)]
    finally:
        await catalog.aclose()
        await store.aclose()
    row = {"seen": done.seen, "removed": done.removed, "pages": done.pages, "seconds": done.seconds}
    size = sum(file.stat().st_size for file in home.glob("catalog.db*"))
    return row | {"failure": done.failure, "bytes": size, "resident": _peak(), "searches": times}


async def _keep_searching(catalog: Catalog, times: list[float]) -> None:
    while len(times) < SEARCHES:
        times.append(await _search(catalog, len(times)))
        await anyio.sleep(_PAUSE)


async def _search(catalog: Catalog, number: int) -> float:
    """The milliseconds of one search for a technology and the words of a request."""
    technologies = known_technologies()
    technology = technologies[number * 31 % len(technologies)]
    plan = SearchPlan(requests=(f"{technology.title} is slow, what does it wait for?",))
    started = time.perf_counter()
    await catalog.find([Need(technology.name, (), 0.9, {})], plan)
    return (time.perf_counter() - started) * 1000


def _peak() -> int:
    """The most bytes that this process had in memory; macOS counts bytes, Linux kibibytes."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> None:
    """Print the rows, or copy for one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", type=int, default=24_000)
    parser.add_argument("--page-delay", type=float, default=150.0, help="milliseconds, for the slow registry")
    parser.add_argument("--copy", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--searches", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.copy:
        logging.disable()
        print(json.dumps(anyio.run(lambda: copy(asked.copy, asked.home, searches=asked.searches))))
        return
    with tempfile.TemporaryDirectory(prefix="warroom-bench-") as folder, StandInRegistry() as standin:
        run(Bench(standin, Path(folder), asked.servers), asked.page_delay / 1000)


if __name__ == "__main__":
    main()
