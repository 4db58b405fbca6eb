"""A stand-in for all registries, and retries without waiting."""

from collections.abc import AsyncIterator, Iterator

import pytest
import stamina

from tests.catalog.memory import MemoryCache, catalog_of
from tests.standins.registry import StandInRegistry
from warroom_mcp.catalog import Catalog


@pytest.fixture(autouse=True)
def retries_without_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def standin() -> Iterator[StandInRegistry]:
    with StandInRegistry() as running:
        yield running


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache()


@pytest.fixture
async def catalog(standin: StandInRegistry, cache: MemoryCache) -> AsyncIterator[Catalog]:
    """A catalog with the registry and npm as its only sources, all of them the stand-in."""
    from tests.catalog.memory import online_sources

    settings = standin.settings(find_deadline=4.0, max_answer_bytes=1_000_000)
    made = catalog_of(settings, cache, online_sources(settings, cache))
    yield made
    await made.aclose()
