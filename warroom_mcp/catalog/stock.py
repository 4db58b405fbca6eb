"""Keeps the index in step with what is on this machine: the curated servers and catalog files.

What cannot be read leaves the copy as it was; why not stands in its report and its status.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from warroom_mcp.catalog.index import CatalogIndex, indexed
from warroom_mcp.errors import SourceUnavailable, StateError
from warroom_mcp.listing import Indexed, ListedTool, Listing, SourceStatus
from warroom_mcp.models import SourceReport, SourceState
from warroom_mcp.version import __version__

if TYPE_CHECKING:
    from warroom_mcp.settings import Settings

_logger = logging.getLogger(__name__)

CURATED = "curated"
_BATCH = 500
# Begins the marks of catalog files.
_FILE = "file:"


class Stock:
    """Fills an index from the curated servers and the catalog files of the settings, when they changed."""

    def __init__(
        self,
        settings: "Settings",
        index: CatalogIndex,
        clock: Callable[[], datetime],
        *,
        curated: bool = True,
    ) -> None:
        self._curated = curated
        self._settings = settings
        self._index = index
        self._clock = clock
        self._marks: dict[str, str] | None = None
        self._told: dict[str, SourceStatus] = {}
        self._walk = 0
        self._reports: dict[str, SourceReport] = {}
        self._lock = anyio.Lock()

    async def fill(self) -> list[SourceReport]:
        """Read what changed since the last time; how each of them stands.

        Never raises for the index: what could not be kept there is down.
        """
        async with self._lock:
            try:
                marks = self._marks if self._marks is not None else await self._begin()
                if self._curated:
                    await self._renew(marks, CURATED, _curated_mark(), _curated)
                for name, path in self._settings.catalog_files.items():
                    await self._renew(marks, name, _file_mark(path), partial(_file, path, name))
            except StateError as error:
                # What the index holds is uncertain now: the next time all of it is looked at again.
                self._marks = None
                _logger.warning("the catalog's index failed: %s", error.message)
                return [SourceReport("index", SourceState.DOWN, reason=f"{error.message} {error.hint}")]
        return list(self._reports.values())

    async def _begin(self) -> dict[str, str]:
        """The marks of what is there, without the files that the settings no longer name."""
        self._reports.clear()
        self._told = {status.name: status for status in await self._index.sources()}
        for name, status in list(self._told.items()):
            if (status.mark or "").startswith(_FILE) and name not in self._settings.catalog_files:
                await self._index.forget(name)
                del self._told[name]
        self._marks = {name: status.mark or "" for name, status in self._told.items()}
        return self._marks

    async def _renew(
        self, marks: dict[str, str], name: str, mark: str, read: Callable[[], Iterable[Listing]]
    ) -> None:
        if marks.get(name) == mark:
            self._reports.setdefault(name, SourceReport(name, SourceState.OK))
            return
        today = self._clock().date()
        try:
            listings = await anyio.to_thread.run_sync(lambda: [indexed(each, today) for each in read()])
        except SourceUnavailable as error:
            reason = str(error.details.get("reason") or error.message)
            await self._say(name, reason)
            if not isinstance(error.__cause__, OSError):
                # The same content is not worth a second reading; a file that is closed may be opened.
                marks[name] = mark
            return
        await self._keep(name, mark, listings)
        marks[name] = mark
        self._reports[name] = SourceReport(name, SourceState.OK)

    async def _say(self, name: str, reason: str) -> None:
        """Tell that a source cannot be read; what it held before is still there."""
        if (known := self._reports.get(name)) and known.reason == reason:
            return
        self._reports[name] = SourceReport(name, SourceState.DOWN, reason=reason)
        status = self._told.get(name, SourceStatus(name))
        await self._index.tell(replace(status, mark=_FILE, failure=reason))

    async def _keep(self, name: str, mark: str, listings: list[Indexed]) -> None:
        now = self._clock()
        self._walk = max(int(now.timestamp() * 1_000_000), self._walk + 1)
        for start in range(0, len(listings), _BATCH):
            await self._index.put(name, listings[start : start + _BATCH], walk=self._walk)
        await self._index.drop_unseen(name, self._walk)
        self._told[name] = SourceStatus(name, synced=now, mark=mark)
        await self._index.tell(self._told[name])


@cache
def _curated_mark() -> str:
    """What the shipped data is, without reading it as data: that takes a library that is slow to import."""
    from importlib.resources import files

    digest = hashlib.blake2b(__version__.encode(), digest_size=8)
    for one in sorted(files("warroom_mcp.catalog").joinpath("curated").iterdir(), key=lambda each: each.name):
        if one.name.endswith(".toml"):
            digest.update(one.read_bytes())
    return digest.hexdigest()


def _curated() -> Iterable[Listing]:
    from warroom_mcp.catalog.sources.curated import load_curated

    for candidate in load_curated():
        tools = tuple(ListedTool(name) for name in candidate.tools)
        yield Listing(candidate.id, candidate, tools, candidate.capabilities)


def _file_mark(path: Path) -> str:
    try:
        told = path.stat()
    except OSError:
        return "missing"
    return f"{_FILE}{__version__}:{path}:{told.st_mtime_ns}:{told.st_size}"


def _file(path: Path, name: str) -> Iterable[Listing]:
    from warroom_mcp.catalog.sources.file import read_file

    return read_file(path, name)
