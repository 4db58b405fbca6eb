"""From words to servers and tools: one query or several, what covers all, what could be added, old copies."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.catalog.memory import MemoryCache, Told, candidate, catalog_of
from tests.standins.registry import StandInRegistry, entry, npm_package
from warroom_mcp.catalog import Catalog
from warroom_mcp.errors import InvalidInput
from warroom_mcp.events import Event, Events, Progress
from warroom_mcp.finding import MAX_QUERIES, Finding
from warroom_mcp.models import Candidate, Definitions, ProblemKind
from warroom_mcp.settings import Settings
from warroom_mcp.store.sqlite import SqliteStore
from warroom_mcp.toolbox import Toolbox

REDIS = candidate(
    "redis-mcp", description="Look into a Redis server", technologies=("redis",), tools=("info",)
)
KUBE = candidate("k8s-mcp", description="Pods of a Kubernetes cluster", technologies=("kubernetes",))
BOTH = candidate("both-mcp", description="Redis on Kubernetes", technologies=("redis", "kubernetes"))
OFFLINE: dict[str, Any] = {"offline": True, "sync_seconds": 0}


class Room:
    """A finding over a catalog that holds what it is told; work that nobody waits for is counted."""

    def __init__(self, home: Path, candidates: Sequence[Candidate], **settings: Any) -> None:
        self.settings = Settings(home=home, **{"sync_seconds": 0, **settings})
        self.store = SqliteStore(self.settings.database)
        self.catalog: Catalog = catalog_of(self.settings, MemoryCache(), [Told("shelf", candidates)])
        self.events, self.later = Events(), list[Any]()
        self.toolbox = Toolbox(self.events)
        self.finding = Finding(
            self.settings,
            self.store,
            lambda: self.catalog,
            self.toolbox,
            self.events,
            lambda work, *given: self.later.append((work, given)),
        )

    async def close(self) -> None:
        await self.catalog.aclose()
        await self.store.aclose()


@pytest.fixture
async def room(tmp_path: Path, standin: StandInRegistry) -> AsyncIterator[Room]:
    urls = {name: value for name, value in standin.settings().model_dump().items() if name.endswith("_url")}
    made = Room(tmp_path / "home", (REDIS, KUBE), **urls)
    yield made
    await made.close()


@pytest.fixture
def standin() -> Any:
    with StandInRegistry() as running:
        for name in ("redis-mcp", "k8s-mcp", "both-mcp"):
            running.serve_npm(name)
        yield running


async def test_each_step_has_its_candidates_and_together_they_are_covered(room: Room) -> None:
    found = await room.finding.for_steps(["redis memory is full", "which pods restarted?"], 3)
    assert [step.found.candidates[0].id for step in found.steps] == ["npm:redis-mcp", "npm:k8s-mcp"]
    assert {one.id for one in found.cover} == {"npm:redis-mcp", "npm:k8s-mcp"}
    assert found.uncovered == ()


async def test_one_server_for_two_steps_is_named_once(tmp_path: Path, standin: StandInRegistry) -> None:
    urls = {name: value for name, value in standin.settings().model_dump().items() if name.endswith("_url")}
    room = Room(tmp_path / "home", (BOTH,), **urls)
    found = await room.finding.for_steps(["redis memory is full", "which pods restarted?"], 3)
    assert [one.id for one in found.cover] == ["npm:both-mcp"]
    await room.close()


async def test_a_step_that_nothing_covers_is_told_and_one_that_needs_nothing_is_not(room: Room) -> None:
    found = await room.finding.for_steps(["kafka lag is growing", "thanks!"], 3)
    assert found.uncovered == ("kafka lag is growing",)
    assert found.steps[1].analysis.kind is ProblemKind.NOTHING
    assert found.steps[1].found.candidates == ()


@pytest.mark.parametrize("queries", [[], ["", " "], ["x"] * (MAX_QUERIES + 1)])
async def test_no_query_and_too_many_are_refused(room: Room, queries: list[str]) -> None:
    with pytest.raises(InvalidInput):
        await room.finding.for_steps(queries, 3)
    with pytest.raises(InvalidInput):
        room.finding.tools(queries, 3)


async def test_tools_of_added_servers_are_searched_by_one_query_or_several(room: Room) -> None:
    tools = (
        {"name": "pods_list", "description": "List pods"},
        {"name": "info", "description": "Redis memory"},
    )
    room.toolbox.publish("all", Definitions(tools=tools))
    assert [tool.original for tool in room.finding.tools(["which pods are there"], 5)] == ["pods_list"]
    both = room.finding.tools(["redis memory", "which pods are there"], 5)
    assert [tool.original for tool in both] == ["info", "pods_list"]


async def test_tools_of_servers_that_could_be_added_are_offered(room: Room) -> None:
    (offered,) = await room.finding.offered_tools(["redis info"], 5)
    assert (offered.candidate_id, offered.tool.name) == ("npm:redis-mcp", "info")


async def test_what_is_unconfirmed_offers_no_tools(tmp_path: Path) -> None:
    claim = replace(REDIS, unconfirmed="a list names it, and nothing confirms that")
    room = Room(tmp_path / "home", (claim,), **OFFLINE)
    await room.catalog._index.put("shelf", [])
    assert await room.finding.offered_tools(["redis info"], 5) == ()
    await room.close()


async def test_a_sync_tells_how_far_it_is(room: Room, standin: StandInRegistry) -> None:
    standin.entries = [
        entry(f"io.github.x/redis-{number}", packages=[npm_package(f"redis-{number}")]) for number in range(7)
    ]
    standin.page_size = 3
    heard: list[Event] = []
    room.events.subscribe(heard.append)
    with anyio.fail_after(10):
        (done,) = await room.finding.sync()
    assert (done.seen, done.failure) == (7, None)
    assert [one.message for one in heard if isinstance(one, Progress)][-1] == "registry: 7 servers"
    assert [one.fraction for one in heard if isinstance(one, Progress)][-1] == 1.0
    assert {status.name: status.listings for status in await room.finding.sources()}["registry"] == 7


async def test_old_copies_are_renewed_behind_the_back_of_whoever_asks(
    tmp_path: Path, standin: StandInRegistry
) -> None:
    urls = {name: value for name, value in standin.settings().model_dump().items() if name.endswith("_url")}
    room = Room(tmp_path / "home", (REDIS,), **urls, **{"sync_seconds": 3600})
    standin.entries = [entry("io.github.x/redis-one", packages=[npm_package("redis-one")])]
    analysis = await room.finding.analyze("redis: connection refused")
    await room.finding.servers(analysis, 3)
    await room.finding.servers(analysis, 3)
    ((work, given),) = room.later
    with anyio.fail_after(10):
        await work(*given)
    assert {status.name for status in await room.finding.sources()} >= {"registry"}
    asked = len(standin.requests)
    with anyio.fail_after(10):
        await work(*given)
    assert len(standin.requests) == asked
    await room.close()


async def test_offline_no_registry_is_asked(tmp_path: Path) -> None:
    room = Room(tmp_path / "home", (REDIS,), **OFFLINE)
    found = await room.finding.servers(await room.finding.analyze("redis: connection refused"), 3)
    assert found.candidates == ()
    assert room.later == []
    await room.close()
