"""Every fault of a registry ends in time, with its reason, or in an older answer with its age."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import anyio
import httpx2
import pytest

from tests.catalog.memory import MemoryCache
from tests.standins.registry import StandInRegistry
from warroom_mcp.catalog.web import Web
from warroom_mcp.errors import SourceUnavailable, StateNotWritable


@pytest.fixture
async def web(standin: StandInRegistry, cache: MemoryCache) -> AsyncIterator[Web]:
    made = Web(standin.settings(find_deadline=4.0, max_answer_bytes=1_000_000), cache)
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("down", "answered 503"),
        ("missing", "answered 404"),
        ("limited", "answered 429"),
        ("truncated", "sent truncated JSON"),
        ("html", "sent text/html instead of JSON"),
        ("huge", "sent more than 1,000,000 bytes"),
        ("deep", "sent JSON that is nested too deep"),
        ("null", "sent null"),
        ("loop", "redirects in circles"),
        ("redirect file:///etc/passwd", "redirects to an address that is not allowed"),
        ("redirect http://169.254.169.254/latest", "redirects to an address that is not allowed"),
        ("redirect http://example.com/", "redirects to an address that is not allowed"),
    ],
)
async def test_a_fault_ends_with_its_reason(
    standin: StandInRegistry, web: Web, cache: MemoryCache, fault: str, reason: str
) -> None:
    standin.faults["*"] = fault
    standin.serve_npm("redis-mcp")
    with anyio.fail_after(5), pytest.raises(SourceUnavailable) as raised:
        await web.get("npm", f"{standin.url}/redis-mcp")
    assert raised.value.details["reason"] == reason
    assert raised.value.message == f"npm {reason}."
    assert raised.value.retryable
    assert not cache.answers


async def test_a_dripping_answer_ends_at_the_deadline(standin: StandInRegistry, cache: MemoryCache) -> None:
    standin.faults["*"] = "slow"
    web = Web(standin.settings(find_deadline=0.4), cache)
    with anyio.fail_after(5), pytest.raises(SourceUnavailable, match="timed out after 0"):
        await web.get("npm", f"{standin.url}/redis-mcp")
    await web.aclose()


async def test_a_caller_with_less_time_gets_the_error_before_its_own_deadline(
    standin: StandInRegistry, web: Web
) -> None:
    standin.faults["*"] = "slow"
    with anyio.move_on_after(0.4) as scope, pytest.raises(SourceUnavailable):
        await web.get("npm", f"{standin.url}/redis-mcp")
    assert not scope.cancelled_caught


async def test_only_overload_is_asked_again(standin: StandInRegistry, web: Web) -> None:
    standin.faults["*"] = "down"
    with pytest.raises(SourceUnavailable):
        await web.get("npm", f"{standin.url}/a")
    assert len(standin.requests) == 3
    standin.faults["*"] = "truncated"
    with pytest.raises(SourceUnavailable):
        await web.get("npm", f"{standin.url}/b")
    assert len(standin.requests) == 4


async def test_an_answer_at_the_second_try_is_an_answer(standin: StandInRegistry, web: Web) -> None:
    standin.serve_npm("redis-mcp")
    standin.faults["*"], standin.retry_after = "once", "0"
    with anyio.fail_after(5):
        answer = await web.get("npm", f"{standin.url}/redis-mcp")
    assert answer.age is None
    assert isinstance(answer.value, dict)


async def test_a_wait_beyond_the_deadline_is_not_waited_for_and_the_place_is_left_alone(
    standin: StandInRegistry, web: Web
) -> None:
    standin.faults["*"], standin.retry_after = "limited", "3600"
    for _ in range(2):
        with anyio.fail_after(2), pytest.raises(SourceUnavailable, match="429 and asks to wait 3600 s"):
            await web.get("npm", f"{standin.url}/redis-mcp")
    assert len(standin.requests) == 1


async def test_a_missing_thing_is_no_failure_where_it_may_be_missing(
    standin: StandInRegistry, web: Web
) -> None:
    assert (await web.get("npm", f"{standin.url}/nothing", missing=True)).value is None


async def test_a_fresh_answer_is_not_fetched_twice_and_is_kept_reduced(
    standin: StandInRegistry, web: Web, cache: MemoryCache
) -> None:
    standin.serve_npm("redis-mcp")
    for _ in range(2):
        answer = await web.get("npm", f"{standin.url}/redis-mcp", reduce=lambda value: {"kept": True})
        assert answer.value == {"kept": True}
        assert answer.age is None
    assert len(standin.requests) == 1
    assert [kept.body for kept in cache.answers.values()] == [b'{"kept":true}']


async def test_an_old_answer_is_served_with_age_and_reason_while_the_place_is_down(
    standin: StandInRegistry, web: Web, cache: MemoryCache
) -> None:
    standin.serve_npm("redis-mcp")
    fresh = await web.get("npm", f"{standin.url}/redis-mcp")
    cache.age_by(200_000)
    standin.faults["*"] = "down"
    old = await web.get("npm", f"{standin.url}/redis-mcp")
    assert old.value == fresh.value
    assert old.age is not None
    assert 200_000 <= old.age < 200_060
    assert old.reason == "answered 503"
    standin.faults.clear()
    assert (await web.get("npm", f"{standin.url}/redis-mcp")).age is None


async def test_a_redirect_on_the_same_host_is_followed(standin: StandInRegistry, web: Web) -> None:
    standin.serve_pypi("redis-mcp")
    standin.faults["npm"] = f"redirect {standin.url}/pypi/redis-mcp/json"
    answer = await web.get("npm", f"{standin.url}/anything")
    assert isinstance(answer.value, dict)
    assert answer.value["info"]["name"] == "redis-mcp"


async def test_https_is_never_left_for_http(cache: MemoryCache, standin: StandInRegistry) -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(302, headers={"Location": "http://registry.example/x"})

    web = Web(standin.settings(), cache, transport=httpx2.MockTransport(answer))
    with pytest.raises(SourceUnavailable, match="not allowed"):
        await web.get("npm", "https://registry.example/x")
    assert asked == ["https://registry.example/x"]
    await web.aclose()


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("dropped")])
async def test_a_place_that_cannot_be_reached_is_told_and_not_tried_again_at_once(
    cache: MemoryCache, standin: StandInRegistry, error: httpx2.TransportError
) -> None:
    attempts = []

    def refuse(request: httpx2.Request) -> httpx2.Response:
        attempts.append(request)
        raise error

    web = Web(standin.settings(), cache, transport=httpx2.MockTransport(refuse))
    for _ in range(2):
        with pytest.raises(SourceUnavailable, match=r"npm cannot be reached\."):
            await web.get("npm", "https://registry.example/x")
    assert len(attempts) == 1
    await web.aclose()


async def test_a_broken_cache_costs_no_answer(standin: StandInRegistry) -> None:
    class Broken:
        async def answer(self, key: str) -> None:
            raise StateNotWritable("disk full")

        async def keep_answer(self, key: str, body: bytes, fetched: datetime) -> None:
            raise StateNotWritable("disk full")

    standin.serve_npm("redis-mcp")
    web = Web(standin.settings(), Broken())
    assert isinstance((await web.get("npm", f"{standin.url}/redis-mcp")).value, dict)
    await web.aclose()


async def test_a_spoilt_cached_answer_is_fetched_anew(
    standin: StandInRegistry, web: Web, cache: MemoryCache
) -> None:
    standin.serve_npm("redis-mcp")
    url = f"{standin.url}/redis-mcp"
    await cache.keep_answer(url, b'{"half', datetime.now(UTC))
    assert isinstance((await web.get("npm", url)).value, dict)
