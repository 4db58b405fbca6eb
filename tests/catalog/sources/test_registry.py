"""The MCP registry: pages, spellings, and entries that are not what they should be."""

from collections.abc import AsyncIterator

import anyio
import pytest

from tests.catalog.memory import MemoryCache
from tests.standins.registry import StandInRegistry, entry, npm_package
from warroom_mcp.catalog import Query
from warroom_mcp.catalog.identity import read_id
from warroom_mcp.catalog.sources.registry import RegistrySource, lookup_term, search_terms
from warroom_mcp.catalog.web import Web
from warroom_mcp.errors import SourceUnavailable


@pytest.fixture
async def registry(standin: StandInRegistry, cache: MemoryCache) -> AsyncIterator[RegistrySource]:
    settings = standin.settings(find_deadline=4.0)
    web = Web(settings, cache)
    yield RegistrySource(settings, web)
    await web.aclose()


def redis(number: int) -> dict[str, object]:
    return entry(f"io.github.x/redis-{number}", packages=[npm_package(f"redis-{number}-mcp")])


async def test_all_pages_are_read_up_to_the_cap(standin: StandInRegistry, registry: RegistrySource) -> None:
    standin.entries = [redis(number) for number in range(5)]
    standin.page_size = 2
    with anyio.fail_after(5):
        found = await registry.search(Query(("redis",)))
    assert len(found.candidates) == 5
    standin.page_size = 1
    assert len((await registry.search(Query(("edis",)))).candidates) == 3


async def test_a_cursor_that_repeats_ends_the_walk(
    standin: StandInRegistry, registry: RegistrySource
) -> None:
    standin.entries = [redis(number) for number in range(5)]
    standin.page_size, standin.repeat_cursor = 2, True
    with anyio.fail_after(5):
        found = await registry.search(Query(("redis",)))
    assert len(found.candidates) == 2
    assert len(standin.requests) == 2


async def test_a_bad_entry_does_not_spoil_its_page(
    standin: StandInRegistry, registry: RegistrySource
) -> None:
    nulls = {"server": {"name": "io.github.x/redis-null", "packages": None, "remotes": None}, "_meta": None}
    hostile = entry("io.github.x/redis-evil", packages=[npm_package("$(reboot)")])
    deleted = entry("io.github.x/redis-gone", status="deleted", packages=[npm_package("redis-gone")])
    standin.entries = [nulls, hostile, {"server": None}, deleted, redis(1)]
    found = await registry.search(Query(("redis",)))
    assert [one.id for one in found.candidates] == ["npm:redis-1-mcp"]


async def test_a_page_that_fails_keeps_the_ones_before(
    standin: StandInRegistry, registry: RegistrySource, cache: MemoryCache
) -> None:
    standin.entries = [redis(number) for number in range(3)]
    standin.page_size = 2
    await registry.search(Query(("redis",)))
    for url in [url for url in cache.answers if "cursor" in url]:
        del cache.answers[url]
    standin.faults["registry"] = "truncated"
    found = await registry.search(Query(("redis",)))
    assert len(found.candidates) == 2
    assert (found.age, found.reason) == (None, "sent truncated JSON")


async def test_an_old_answer_says_how_old_it_is_and_why(
    standin: StandInRegistry, registry: RegistrySource, cache: MemoryCache
) -> None:
    standin.entries = [redis(1)]
    await registry.search(Query(("redis",)))
    cache.age_by(100_000)
    standin.faults["registry"] = "down"
    found = await registry.search(Query(("redis",)))
    assert [one.id for one in found.candidates] == ["npm:redis-1-mcp"]
    assert found.age is not None
    assert found.age >= 100_000
    assert found.reason == "answered 503"


async def test_a_dead_registry_raises(standin: StandInRegistry, registry: RegistrySource) -> None:
    standin.faults["registry"] = "limited"
    with anyio.fail_after(5), pytest.raises(SourceUnavailable, match="the MCP registry answered 429"):
        await registry.search(Query(("redis",)))
    with anyio.fail_after(5), pytest.raises(SourceUnavailable):
        await registry.lookup("npm:redis-1-mcp")


async def test_a_look_up_finds_any_package_of_an_entry(
    standin: StandInRegistry, registry: RegistrySource
) -> None:
    remote = {"type": "sse", "url": "https://mcp.redis.io/sse"}
    standin.entries = [entry("io.github.x/redis-1", packages=[npm_package("redis-1-mcp")], remotes=[remote])]
    assert await registry.lookup("npm:redis-1-mcp") is not None
    found = await registry.lookup("remote:https://mcp.redis.io/sse")
    assert found is not None
    assert found.package.remote
    assert await registry.lookup("npm:redis-2-mcp") is None


async def test_an_entry_is_read_by_its_exact_name(standin: StandInRegistry, registry: RegistrySource) -> None:
    standin.entries = [redis(1)]
    found = await registry.entry("io.github.x/redis-1", "npm:redis-1-mcp")
    assert found is not None
    assert await registry.entry("io.github.x/redis-1", "npm:other") is None
    assert await registry.entry("io.github.x/unheard-of", "npm:redis-1-mcp") is None
    assert standin.requests[0] == "/v0.1/servers/io.github.x%2Fredis-1/versions/latest"


def test_the_terms_of_a_search_are_few_and_telling() -> None:
    terms = search_terms(Query(("kubernetes", "aws"), ("pod", "is", "server"), ("CrashLoopBackOff of pod",)))
    assert terms == ("kubernetes", "aws", "pod", "crashloopbackoff")


@pytest.mark.parametrize(
    ("candidate_id", "term"),
    [
        ("npm:@modelcontextprotocol/server-everything", "everything"),
        ("pypi:mcp-server-time", "time"),
        ("oci:ghcr.io/github/github-mcp-server:1.0", "github"),
        ("remote:https://mcp.stripe.com", "stripe"),
        ("npm:mcp-server", None),
    ],
)
def test_a_look_up_searches_for_the_most_telling_word(candidate_id: str, term: str | None) -> None:
    assert lookup_term(read_id(candidate_id)) == term
