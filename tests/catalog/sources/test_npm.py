"""npm: which hits are MCP servers, and what a packument says of one version."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import anyio
import pytest
from hypothesis import given

from tests.catalog.memory import MemoryCache
from tests.catalog.test_wire import JSON
from tests.standins.registry import StandInRegistry, hit
from warroom_mcp.catalog import Query
from warroom_mcp.catalog.sources.npm import (
    NpmSource,
    is_server,
    read_bin,
    read_hits,
    read_packument,
    search_texts,
)
from warroom_mcp.catalog.web import Web
from warroom_mcp.errors import SourceUnavailable, UnknownCandidate
from warroom_mcp.models import Origin


@pytest.fixture
async def npm(standin: StandInRegistry, cache: MemoryCache) -> AsyncIterator[NpmSource]:
    settings = standin.settings(find_deadline=4.0)
    web = Web(settings, cache)
    yield NpmSource(settings, web)
    await web.aclose()


async def test_a_search_gives_servers_with_their_facts(standin: StandInRegistry, npm: NpmSource) -> None:
    standin.hits = [
        hit(
            "redis-mcp",
            weekly=1234,
            date="2026-10-01T00:00:00.000Z",
            links={"repository": "git+https://github.com/redis/mcp-redis.git"},
        ),
        hit("redis", keywords=["database"]),
        {"package": None},
        hit("redis-mcp"),
    ]
    with anyio.fail_after(5):
        found = await npm.search(Query(("redis",)))
    (only,) = found.candidates
    assert (only.id, only.weekly_downloads, only.updated) == ("npm:redis-mcp", 1234, date(2026, 10, 1))
    assert only.repository == "https://github.com/redis/mcp-redis"
    assert only.package.version is None
    assert only.origin is Origin.UNPROVEN


async def test_a_registry_without_search_is_down_and_not_empty(
    standin: StandInRegistry, npm: NpmSource
) -> None:
    standin.faults["npm-search"] = "missing"
    with anyio.fail_after(5), pytest.raises(SourceUnavailable, match="npm search answered 404"):
        await npm.search(Query(("redis",)))


async def test_what_one_text_found_is_kept_when_another_fails(
    standin: StandInRegistry, npm: NpmSource
) -> None:
    standin.hits = [hit("redis-mcp")]
    await npm.search(Query((), texts=("mcp redis",)))
    standin.faults["npm-search"] = "truncated"
    with anyio.fail_after(5):
        found = await npm.search(Query(("redis",)))
    assert [one.id for one in found.candidates] == ["npm:redis-mcp"]
    assert found.age is None
    assert found.reason == "sent truncated JSON"


def test_texts_are_short_bounded_and_name_the_protocol() -> None:
    texts = search_texts(Query(("redis", "docker"), ("timeout",), ("redis connection refused", "x" * 500)))
    assert texts[0] == "mcp redis"
    assert len(texts) == 5
    assert all("mcp" in text and len(text) <= 80 for text in texts)


@pytest.mark.parametrize(
    ("name", "keywords", "server"),
    [
        ("redis-mcp", None, True),
        ("@modelcontextprotocol/server-redis", None, True),
        ("@modelcontextprotocol/sdk", ["mcp"], False),
        ("@modelcontextprotocol/inspector", ["mcp"], False),
        ("redis-tools", ["Model-Context-Protocol"], True),
        ("redis-tools", ["redis", 7, None], False),
        ("mcp-client-redis", ["mcp"], False),
        ("create-mcp", ["mcp"], False),
        ("redis", None, False),
    ],
)
def test_a_server_says_that_it_is_one(name: str, keywords: object, server: bool) -> None:
    assert is_server(name, keywords) is server


async def test_a_look_up_needs_no_search(standin: StandInRegistry, npm: NpmSource) -> None:
    standin.serve_npm("@modelcontextprotocol/server-everything", "2.0.0")
    found = await npm.lookup("npm:@modelcontextprotocol/server-everything")
    assert found is not None
    assert found.origin is Origin.OFFICIAL
    assert found.updated == date(2026, 10, 1)
    assert await npm.lookup("npm:nothing-mcp") is None
    assert await npm.lookup("pypi:redis-mcp") is None
    with pytest.raises(UnknownCandidate):
        await npm.lookup("npm:--evil")


async def test_an_unchecked_name_never_becomes_a_url(standin: StandInRegistry, npm: NpmSource) -> None:
    assert await npm.facts("../-/v1/search") is None
    assert await npm.downloads("a,b") is None
    assert standin.requests == []


async def test_facts_are_those_of_the_version(standin: StandInRegistry, npm: NpmSource) -> None:
    old = standin.serve_npm("redis-mcp", "1.0.0", tarball=b"old", time="2025-01-01T00:00:00Z")
    new = standin.serve_npm("redis-mcp", "2.0.0", tarball=b"new", mcpName="io.github.redis/redis-mcp")
    latest, first = await npm.facts("redis-mcp"), await npm.facts("redis-mcp", "1.0.0")
    assert latest is not None
    assert first is not None
    assert (latest.version, latest.integrity) == ("2.0.0", new["dist"]["integrity"])
    assert latest.mcp_name == "io.github.redis/redis-mcp"
    assert (first.version, first.integrity, first.mcp_name) == ("1.0.0", old["dist"]["integrity"], None)
    assert first.updated == latest.updated == date(2026, 10, 1)
    assert await npm.facts("redis-mcp", "3.0.0") is None
    assert len(standin.requests) == 1


async def test_downloads_are_a_count_or_unknown(standin: StandInRegistry, npm: NpmSource) -> None:
    standin.weekly["@redis/mcp"] = 4321
    assert await npm.downloads("@redis/mcp") == 4321
    assert await npm.downloads("unheard-of") is None
    standin.faults["npm-downloads"] = "html"
    with pytest.raises(SourceUnavailable):
        await npm.downloads("other")


@pytest.mark.parametrize(
    ("said", "deprecated"),
    [("use x", "use x"), ("", None), (True, "its publisher has deprecated it"), (False, None), (None, None)],
)
def test_a_deprecation_is_told_in_all_its_forms(said: object, deprecated: str | None) -> None:
    packument = {"dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"bin": "x", "deprecated": said}}}
    facts = read_packument("redis-mcp", packument)
    assert facts is not None
    assert facts.deprecated == deprecated


@pytest.mark.parametrize(
    ("bins", "starts", "executable"),
    [
        ("index.js", True, None),
        ({"anything": "index.js"}, True, None),
        ({"redis": "a.js", "other": "b.js"}, True, None),
        ({"cli": "a.js", "redis-mcp-server": "b.js"}, True, "redis-mcp-server"),
        ({"-rf": "a.js", "$(x)": "b.js"}, False, None),
        ({}, False, None),
        (None, False, None),
        (["x"], False, None),
    ],
)
def test_the_executable_is_named_only_where_npx_would_not_find_it(
    bins: object, starts: bool, executable: str | None
) -> None:
    assert read_bin("@scope/redis", bins) == (starts, executable)


@given(JSON)
def test_any_json_is_read_without_an_error(value: Any) -> None:
    read_hits(value)
    read_hits({"objects": [{"package": value, "downloads": value}, value]})
    read_hits({"objects": [hit("redis-mcp", links=value, date=value, deprecated=value, description=value)]})
    read_packument("x", value)
    read_packument("x", {"dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": value}, "time": value})
