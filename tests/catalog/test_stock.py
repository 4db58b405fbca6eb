"""What is on this machine and the index stay in step: read when it changed, told when it cannot be."""

import json
import os
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.catalog.memory import ScratchIndex
from tests.store.examples import NOON
from warroom_mcp.catalog.stock import CURATED, Stock
from warroom_mcp.listing import SourceStatus
from warroom_mcp.models import SourceReport, SourceState
from warroom_mcp.settings import Settings
from warroom_mcp.store.index import SqliteIndex


class Counting(ScratchIndex):
    """An index that counts what is put into it; `broken` lets it fail."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0

    async def put(self, source: str, listings: Any, **how: Any) -> None:
        self.puts += 1
        await super().put(source, listings, **how)


@pytest.fixture
async def index() -> AsyncIterator[Counting]:
    made = Counting()
    yield made
    await made.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "team.jsonl"


def write(path: Path, *names: str) -> None:
    path.write_text("".join(json.dumps({"name": name}) + "\n" for name in names))


def stock(
    index: SqliteIndex, path: Path | None = None, *, curated: bool = False, now: datetime = NOON
) -> Stock:
    files = {} if path is None else {"team": path}
    return Stock(Settings(catalog_files=files), index, lambda: now, curated=curated)


async def ids(index: SqliteIndex, source: str = "team") -> list[str]:
    return [listing.id for listing in await index.listings(source)]


async def status(index: SqliteIndex, source: str = "team") -> SourceStatus:
    return next(one for one in await index.sources() if one.name == source)


async def test_a_file_is_read_once_and_again_when_it_changed(index: Counting, path: Path) -> None:
    write(path, "a", "b")
    one = stock(index, path)
    assert await one.fill() == [SourceReport("team", SourceState.OK)]
    assert await one.fill() == [SourceReport("team", SourceState.OK)]
    assert (index.puts, await ids(index)) == (1, ["a", "b"])
    write(path, "b", "longer")
    await one.fill()
    assert (index.puts, await ids(index)) == (2, ["b", "longer"])
    assert ((await status(index)).synced, (await status(index)).failure) == (NOON, None)


async def test_another_process_finds_it_read(index: Counting, path: Path) -> None:
    write(path, "a")
    await stock(index, path).fill()
    assert await stock(index, path).fill() == [SourceReport("team", SourceState.OK)]
    assert index.puts == 1


async def test_a_change_of_the_same_moment_leaves_nothing_old(index: Counting, path: Path) -> None:
    one = stock(index, path)
    for names in (("a", "b"), ("b", "ccc"), ("dddddd",)):
        write(path, *names)
        await one.fill()
    assert await ids(index) == ["dddddd"]


async def test_the_curated_servers_come_with_the_package_and_are_not_read_again(index: Counting) -> None:
    assert await stock(index, curated=True).fill() == [SourceReport(CURATED, SourceState.OK)]
    count, puts = (await status(index, CURATED)).listings, index.puts
    assert count > 20
    await stock(index, curated=True).fill()
    assert index.puts == puts


async def test_a_file_that_is_missing_is_down_and_read_when_it_is_there(index: Counting, path: Path) -> None:
    one = stock(index, path)
    reason = "No such file or directory"
    assert await one.fill() == [SourceReport("team", SourceState.DOWN, reason=reason)]
    assert (await status(index)).failure == reason
    write(path, "a")
    assert await one.fill() == [SourceReport("team", SourceState.OK)]
    assert (await status(index)).failure is None


async def test_a_file_that_broke_leaves_what_was_read_before_with_its_age(
    index: Counting, path: Path
) -> None:
    write(path, "a", "b")
    await stock(index, path).fill()
    path.write_text("no json")
    later = stock(index, path, now=NOON + timedelta(days=3))
    assert [report.reason for report in await later.fill()] == ["it is not JSON"]
    told = await status(index)
    assert (told.listings, told.synced, told.failure) == (2, NOON, "it is not JSON")
    write(path, "c")
    await later.fill()
    told = await status(index)
    assert (told.listings, told.synced, told.failure) == (1, NOON + timedelta(days=3), None)


async def test_a_file_that_is_broken_is_not_read_again_until_it_changes(
    index: Counting, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("no json")
    one = stock(index, path)
    reports = await one.fill()
    monkeypatch.setattr("warroom_mcp.catalog.sources.file._json", None)
    assert await one.fill() == reports


async def test_a_file_that_the_settings_name_no_longer_is_forgotten(index: Counting, path: Path) -> None:
    write(path, "a")
    await stock(index, path).fill()
    path.write_text("no json")
    await stock(index, path).fill()
    await stock(index).fill()
    assert await index.sources() == ()


async def test_a_copy_from_a_snapshot_is_no_file_of_the_settings_and_stays(index: Counting) -> None:
    await index.tell(SourceStatus("other", synced=NOON, mark="1.0 2026-11-01T00:00:00+00:00"))
    await index.tell(SourceStatus("third", synced=NOON))
    await stock(index).fill()
    assert [one.name for one in await index.sources()] == ["other", "third"]


async def test_one_broken_file_does_not_keep_another_from_being_read(index: Counting, path: Path) -> None:
    write(path, "a")
    broken = path.with_name("broken.jsonl")
    broken.write_text("no json")
    settings = Settings(catalog_files={"broken": broken, "team": path})
    reports = await Stock(settings, index, lambda: NOON, curated=False).fill()
    assert [report.state for report in reports] == [SourceState.DOWN, SourceState.OK]
    assert await ids(index) == ["a"]


async def test_two_that_fill_at_once_read_once(index: Counting, path: Path) -> None:
    write(path, "a")
    one = stock(index, path)
    async with anyio.create_task_group() as group:
        group.start_soon(one.fill)
        group.start_soon(one.fill)
    assert index.puts == 1


async def test_two_processes_that_fill_at_once_lose_nothing(index: Counting, path: Path) -> None:
    write(path, *(f"n{number}" for number in range(1200)))
    other = SqliteIndex(index.path)
    async with anyio.create_task_group() as group:
        group.start_soon(stock(index, path).fill)
        group.start_soon(stock(other, path).fill)
    assert (await status(index)).listings == 1200
    await other.aclose()


async def test_a_copy_that_is_made_anew_is_filled_again(index: Counting, path: Path) -> None:
    write(path, "a")
    one = stock(index, path)
    await one.fill()
    # Another process has set the file aside; this one meets that when the file has changed.
    for ending in ("", "-wal", "-shm"):
        Path(f"{index.path}{ending}").rename(f"{index.path}.taken{ending}")
    write(path, "longer")
    (report,) = await one.fill()
    assert (report.name, report.state) == ("index", SourceState.DOWN)
    assert "made anew" in str(report.reason)
    assert await one.fill() == [SourceReport("team", SourceState.OK)]
    assert await ids(index) == ["longer"]


@pytest.mark.skipif(os.name == "nt", reason="SQLite there holds the file")
async def test_an_index_that_another_holds_is_down_and_tried_again(path: Path, tmp_path: Path) -> None:
    write(path, "a")
    index = SqliteIndex(tmp_path / "catalog.db")
    await index.sources()
    index._database._busy_seconds = 0.05
    await index.aclose()
    index = SqliteIndex(tmp_path / "catalog.db")
    index._database._busy_seconds = 0.05
    holder = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    one = stock(index, path)
    (report,) = await one.fill()
    assert (report.name, "held by another process" in str(report.reason)) == ("index", True)
    holder.execute("ROLLBACK")
    holder.close()
    assert await one.fill() == [SourceReport("team", SourceState.OK)]
    await index.aclose()
