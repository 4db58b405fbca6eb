"""Finding: all sources at once, partial answers kept, dead sources named, one ranked list."""

from collections.abc import Callable
from datetime import date

import anyio
import pytest

from tests.catalog.memory import MemoryCache, Told, candidate, catalog_of, need, online_sources
from tests.standins.registry import StandInRegistry, entry, hit, npm_package
from warroom_mcp.catalog import Catalog, Found, Query
from warroom_mcp.errors import SourceUnavailable
from warroom_mcp.models import Candidate, FindResult, Origin, SearchPlan, SourceReport, SourceState

REDIS = need("redis", "query", host="cache-1")
PLAN = SearchPlan(("redis", "timeout"), ("redis connection timeout",))
CURATED = candidate(
    "@redis/mcp", name="redis", technologies=("redis",), origin=Origin.OFFICIAL, sources=("curated",)
)


def stock(standin: StandInRegistry) -> None:
    """The same server on both lists, and another one on each."""
    standin.entries = [
        entry(
            "io.github.redis/mcp-redis",
            packages=[npm_package("redis-mcp", environmentVariables=[{"name": "REDIS_HOST"}])],
            repository={"url": "https://github.com/redis/mcp-redis"},
        ),
        entry("io.github.x/redis-two", packages=[npm_package("redis-two")]),
    ]
    standin.hits = [hit("redis-mcp", weekly=5000), hit("redis-three-mcp")]
    for name in ("redis-mcp", "redis-two", "redis-three-mcp", "@redis/mcp"):
        standin.serve_npm(name)


def reports(result: FindResult) -> dict[str, SourceReport]:
    return {report.name: report for report in result.sources}


async def find(catalog: Catalog, limit: int = 5) -> FindResult:
    with anyio.fail_after(6):
        return await catalog.find([REDIS], PLAN, limit=limit)


async def test_sources_are_united_ranked_and_reported(standin: StandInRegistry, catalog: Catalog) -> None:
    stock(standin)
    result = await find(catalog)
    assert result.candidates[0].id == "npm:redis-mcp"
    assert {one.id for one in result.candidates} == {"npm:redis-mcp", "npm:redis-two", "npm:redis-three-mcp"}
    best = result.candidates[0]
    assert best.sources == ("registry", "npm")
    assert best.weekly_downloads == 5000
    assert [one.name for one in best.package.inputs] == ["REDIS_HOST"]
    assert best.parameters == {"host": "cache-1"}
    assert best.need == "redis"
    assert reports(result) == {
        "registry": SourceReport("registry", SourceState.OK, 2),
        "npm": SourceReport("npm", SourceState.OK, 2),
    }


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("down", "answered 503"),
        ("missing", "answered 404"),
        ("truncated", "sent truncated JSON"),
        ("html", "sent text/html instead of JSON"),
        ("loop", "redirects in circles"),
        ("huge", "sent more than 1,000,000 bytes"),
    ],
)
async def test_a_dead_source_is_named_with_its_reason_and_the_others_are_kept(
    standin: StandInRegistry, catalog: Catalog, fault: str, reason: str
) -> None:
    stock(standin)
    standin.faults["npm-search"] = fault
    result = await find(catalog)
    assert {one.id for one in result.candidates} == {"npm:redis-mcp", "npm:redis-two"}
    assert reports(result)["npm"] == SourceReport("npm", SourceState.DOWN, 0, reason)
    assert reports(result)["registry"].state is SourceState.OK


async def test_a_slow_source_costs_the_deadline_and_nothing_else(
    standin: StandInRegistry, cache: MemoryCache
) -> None:
    stock(standin)
    standin.faults["npm-search"] = "slow"
    settings = standin.settings(find_deadline=0.8)
    catalog = catalog_of(settings, cache, online_sources(settings, cache))
    result = await find(catalog)
    assert {one.id for one in result.candidates} == {"npm:redis-mcp", "npm:redis-two"}
    assert (reports(result)["npm"].reason or "").startswith("timed out after 0")
    await catalog.aclose()


async def test_everything_down_is_an_answer_too(standin: StandInRegistry, catalog: Catalog) -> None:
    standin.faults["*"] = "down"
    result = await find(catalog)
    assert result.candidates == ()
    assert {report.state for report in result.sources} == {SourceState.DOWN}


async def test_an_old_answer_is_served_with_its_age(
    standin: StandInRegistry, catalog: Catalog, cache: MemoryCache
) -> None:
    stock(standin)
    await find(catalog)
    cache.age_by(90_000)
    standin.faults["*"] = "limited"
    result = await find(catalog)
    assert len(result.candidates) == 3
    for report in result.sources:
        assert report.state is SourceState.STALE
        assert report.reason == "answered 429"
        assert report.age is not None
        assert report.age >= 90_000


@pytest.mark.parametrize("error", [RuntimeError("bug"), ExceptionGroup("bugs", [ValueError("x")])])
async def test_a_crash_inside_a_source_is_a_report(standin: StandInRegistry, error: Exception) -> None:
    crashing = Told("crashing", error)
    sources = [crashing, Told("curated", [CURATED])]
    catalog = catalog_of(standin.settings(find_deadline=4.0), MemoryCache(), sources)
    result = await find(catalog)
    assert [one.id for one in result.candidates] == ["npm:@redis/mcp"]
    assert reports(result)["crashing"].reason == f"failed inside ({type(error).__name__})"
    await catalog.aclose()


async def test_a_source_that_never_answers_is_cut_off(standin: StandInRegistry) -> None:
    class Hanging(Told):
        async def search(self, query: Query) -> Found:
            await anyio.sleep_forever()
            raise AssertionError

    sources = [Hanging("hanging"), Told("curated", [CURATED])]
    catalog = catalog_of(standin.settings(find_deadline=0.4), MemoryCache(), sources)
    result = await find(catalog)
    assert reports(result)["hanging"].reason == "timed out after 0.3 s"
    assert len(result.candidates) == 1
    await catalog.aclose()


async def test_sources_are_asked_for_the_surest_need_first(standin: StandInRegistry) -> None:
    told = Told("curated")
    catalog = catalog_of(standin.settings(), MemoryCache(), [told])
    await catalog.find([need("docker", confidence=0.2), REDIS], PLAN)
    assert told.asked == [Query(("redis", "docker"), PLAN.keywords, PLAN.queries)]
    await catalog.aclose()


@pytest.fixture
def curated_only(standin: StandInRegistry) -> Callable[..., Catalog]:
    def make(*candidates: Candidate) -> Catalog:
        settings = standin.settings(find_deadline=4.0)
        return catalog_of(settings, MemoryCache(), [Told("curated", candidates)])

    return make


async def test_unknown_facts_of_the_best_are_filled_in(
    standin: StandInRegistry, curated_only: Callable[..., Catalog]
) -> None:
    standin.serve_npm("@redis/mcp", weekly=2500, time="2026-09-01T00:00:00Z", deprecated="moved")
    catalog = curated_only(CURATED)
    (found,) = (await find(catalog)).candidates
    assert (found.weekly_downloads, found.updated) == (2500, date(2026, 9, 1))
    assert found.deprecated == "moved"
    assert found.package.version is None
    await catalog.aclose()


async def test_a_package_that_is_not_served_or_cannot_be_started_falls_below_the_rest(
    standin: StandInRegistry, curated_only: Callable[..., Catalog]
) -> None:
    standin.serve_npm("redis-library-mcp", bin=None)
    standin.serve_npm("redis-z-mcp")
    catalog = curated_only(CURATED, candidate("redis-library-mcp"), candidate("redis-z-mcp"))
    found = (await find(catalog)).candidates
    assert [one.deprecated for one in found] == [
        None,
        "npm does not serve this package",
        "the package offers nothing to start",
    ]
    await catalog.aclose()


@pytest.mark.parametrize("fault", ["down", "slow", "html", "missing"])
async def test_without_download_counts_they_are_unknown(standin: StandInRegistry, fault: str) -> None:
    standin.serve_npm("@redis/mcp")
    standin.faults["npm-downloads"] = fault
    settings = standin.settings(find_deadline=0.8)
    catalog = catalog_of(settings, MemoryCache(), [Told("curated", [CURATED])])
    (found,) = (await find(catalog)).candidates
    assert found.weekly_downloads is None
    assert found.updated == date(2026, 10, 1)
    assert "unknown" in found.score.parts[1].why
    await catalog.aclose()


async def test_only_the_best_are_asked_about(
    standin: StandInRegistry, curated_only: Callable[..., Catalog]
) -> None:
    catalog = curated_only(*[candidate(f"redis-{number}-mcp", weekly_downloads=1) for number in range(30)])
    assert len((await find(catalog, limit=20)).candidates) == 20
    assert len(standin.requests) == 8
    await catalog.aclose()


async def test_a_limit_of_none_finds_none(curated_only: Callable[..., Catalog]) -> None:
    catalog = curated_only(CURATED)
    assert (await find(catalog, limit=0)).candidates == ()
    assert (await find(catalog, limit=-3)).candidates == ()
    await catalog.aclose()


async def test_a_source_error_without_details_tells_its_message(standin: StandInRegistry) -> None:
    told = Told("curated", SourceUnavailable("The shelf is empty."))
    catalog = catalog_of(standin.settings(), MemoryCache(), [told])
    assert reports(await find(catalog))["curated"].reason == "The shelf is empty."
    await catalog.aclose()


async def test_what_was_asked_for_live_is_the_same_row_as_in_the_copy(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    stock(standin)
    await find(catalog)
    await catalog.copies.sync()
    kept = {status.name: status.listings for status in await catalog.sources()}
    assert kept["registry"] == 2

    standin.entries[0]["_meta"]["io.modelcontextprotocol.registry/official"]["status"] = "deleted"
    await catalog.copies.sync(whole=True)
    kept = {status.name: status.listings for status in await catalog.sources()}
    assert kept["registry"] == 1
