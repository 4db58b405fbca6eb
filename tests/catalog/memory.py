"""An answer cache in memory, a scratch index, a source that says what it is told, shorthand for values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from warroom_mcp.catalog import Catalog, Found, Query, Source
from warroom_mcp.catalog.sources.npm import NpmSource
from warroom_mcp.catalog.sources.registry import RegistrySource
from warroom_mcp.catalog.web import Web
from warroom_mcp.models import Candidate, Need, Package, PackageKind, SearchPlan
from warroom_mcp.settings import Settings
from warroom_mcp.store.index import SqliteIndex


@dataclass
class Kept:
    body: bytes
    fetched: datetime


@dataclass
class MemoryCache:
    answers: dict[str, Kept] = field(default_factory=dict)

    async def answer(self, key: str) -> Kept | None:
        return self.answers.get(key)

    async def keep_answer(self, key: str, body: bytes, fetched: datetime) -> None:
        self.answers[key] = Kept(body, fetched)

    def age_by(self, seconds: float) -> None:
        """Make every answer so much older."""
        for kept in self.answers.values():
            kept.fetched -= timedelta(seconds=seconds)


class ScratchIndex(SqliteIndex):
    """An index in a directory of its own, which goes with it."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="warroom-index-", ignore_cleanup_errors=True)
        super().__init__(Path(self._folder.name) / "catalog.db")

    async def aclose(self) -> None:
        await super().aclose()
        self._folder.cleanup()


def catalog_of(settings: Settings, cache: MemoryCache, sources: Sequence[Source]) -> Catalog:
    """A catalog with these live sources and nothing else."""
    return Catalog(settings, cache, ScratchIndex(), sources=sources, curated=False)


@dataclass
class Told:
    """A source that answers what it is told, or raises it."""

    name: str
    answer: Sequence[Candidate] | Exception = ()
    asked: list[Query] = field(default_factory=list)

    async def search(self, query: Query) -> Found:
        self.asked.append(query)
        return Found(self._candidates())

    async def lookup(self, candidate_id: str) -> Candidate | None:
        return next((one for one in self._candidates() if one.id == candidate_id), None)

    def _candidates(self) -> Sequence[Candidate]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def online_sources(settings: Settings, cache: MemoryCache) -> tuple[Source, ...]:
    web = Web(settings, cache)
    return RegistrySource(settings, web), NpmSource(settings, web)


def candidate(name: str, /, **changes: Any) -> Candidate:
    """A candidate for an npm package of that name."""
    members: dict[str, Any] = {
        "id": f"npm:{name}",
        "name": name,
        "description": "",
        "package": Package(PackageKind.NPM, name),
        "sources": ("npm",),
    }
    return Candidate(**(members | changes))


def need(technology: str, *capabilities: str, confidence: float = 0.9, **parameters: str) -> Need:
    return Need(technology, capabilities, confidence, parameters)


NO_PLAN = SearchPlan()
