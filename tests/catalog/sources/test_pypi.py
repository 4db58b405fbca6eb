"""PyPI: the facts of a project, and what stays unknown."""

import hashlib
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from hypothesis import given

from tests.catalog.memory import MemoryCache
from tests.catalog.test_wire import JSON
from tests.standins.registry import StandInRegistry
from warroom_mcp.catalog import Query
from warroom_mcp.catalog.sources.pypi import PypiSource, read_project
from warroom_mcp.catalog.web import Web
from warroom_mcp.errors import SourceUnavailable


@pytest.fixture
async def pypi(standin: StandInRegistry, cache: MemoryCache) -> AsyncIterator[PypiSource]:
    settings = standin.settings(find_deadline=4.0)
    web = Web(settings, cache)
    yield PypiSource(settings, web)
    await web.aclose()


async def test_facts_come_with_the_digest_of_the_only_wheel_for_all_platforms(
    standin: StandInRegistry, pypi: PypiSource
) -> None:
    standin.serve_pypi(
        "redis-mcp",
        "2.1.0",
        wheels={"redis_mcp-2.1.0-py3-none-any.whl": b"wheel", "redis_mcp-2.1.0.tar.gz": b"source"},
        description="# Redis\n\n<!-- mcp-name: io.github.redis/mcp-redis -->\n",
        project_urls={"Homepage": "https://redis.io", "Repository": "https://github.com/redis/mcp-redis/"},
    )
    facts = await pypi.facts("Redis_MCP")
    assert facts is not None
    assert facts.version == "2.1.0"
    assert facts.integrity == "sha256:" + hashlib.sha256(b"wheel").hexdigest()
    assert facts.updated == date(2026, 10, 1)
    assert facts.mcp_name == "io.github.redis/mcp-redis"
    assert facts.repository == "https://github.com/redis/mcp-redis"
    assert facts.starts


@pytest.mark.parametrize(
    "files",
    [
        {"x-1.0.0.tar.gz": b"source"},
        {"x-1.0.0-cp311-cp311-linux_x86_64.whl": b"a", "x-1.0.0-cp311-cp311-win_amd64.whl": b"b"},
        {"x-1.0.0-py2-none-any.whl": b"a", "x-1.0.0-py3-none-any.whl": b"b"},
    ],
)
async def test_without_exactly_one_such_wheel_the_integrity_is_unknown(
    standin: StandInRegistry, pypi: PypiSource, files: dict[str, bytes]
) -> None:
    standin.serve_pypi("x", wheels=files)
    facts = await pypi.facts("x")
    assert facts is not None
    assert facts.integrity is None


async def test_a_yanked_release_says_so(standin: StandInRegistry, pypi: PypiSource) -> None:
    standin.serve_pypi("x", yanked=True, yanked_reason="leaks\x1b[2J keys")
    facts = await pypi.facts("x")
    assert facts is not None
    assert facts.deprecated == "yanked: leaks[2J keys"


async def test_a_version_is_asked_for_by_itself(standin: StandInRegistry, pypi: PypiSource) -> None:
    standin.serve_pypi("x", "1.0.0")
    facts = await pypi.facts("x", "1.0.0")
    assert facts is not None
    assert facts.version == "1.0.0"
    assert await pypi.facts("x", "9.9.9") is None
    assert await pypi.facts("x", "../../secrets") is None
    assert await pypi.facts("x/../y") is None
    assert standin.requests == ["/pypi/x/1.0.0/json", "/pypi/x/9.9.9/json"]


async def test_a_look_up_knows_projects_and_nothing_else(standin: StandInRegistry, pypi: PypiSource) -> None:
    standin.serve_pypi("redis-mcp")
    found = await pypi.lookup("pypi:Redis.MCP")
    assert found is not None
    assert found.id == "pypi:redis-mcp"
    assert found.sources == ("pypi",)
    assert await pypi.lookup("pypi:unheard-of") is None
    assert await pypi.lookup("npm:redis-mcp") is None
    assert (await pypi.search(Query(("redis",)))).candidates == ()


async def test_downloads_are_unknown_while_their_service_is_down(
    standin: StandInRegistry, pypi: PypiSource
) -> None:
    standin.weekly["redis-mcp"] = 77
    assert await pypi.downloads("redis-mcp") == 77
    assert await pypi.downloads("unheard-of") is None
    standin.faults["pypi-downloads"] = "down"
    with pytest.raises(SourceUnavailable, match="PyPI downloads answered 503"):
        await pypi.downloads("other")


@given(JSON)
def test_any_json_is_read_without_an_error(value: Any) -> None:
    read_project(value)
    read_project({"info": value, "urls": value})
    info = {"version": "1.0.0", "project_urls": value, "classifiers": value, "summary": value}
    read_project({"info": info, "urls": [value, {"filename": "x-py3-none-any.whl", "digests": value}]})
