"""Which technologies a server is for: by the field that names them, and never by where it is hosted."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalog.memory import candidate
from warroom_mcp.catalog.coverage import coverage
from warroom_mcp.knowledge import known_technologies
from warroom_mcp.listing import ListedTool, Listing
from warroom_mcp.models import Package, PackageKind

KNOWN = {technology.name for technology in known_technologies()}


def covers(name: str = "thing", description: str = "", **changes: Any) -> dict[str, float]:
    """What a server is for, of which the name and the description are known."""
    tools, words = changes.pop("tools", ()), changes.pop("words", ())
    members = {"package": Package(PackageKind.SOURCE, "x"), **changes}
    one = candidate(name, description=description, **members)
    return coverage(Listing(name, one, tuple(map(ListedTool, tools)), tuple(words)))


def test_a_server_that_names_nothing_is_for_nothing() -> None:
    assert covers("thing", "does something") == {}


def test_a_name_says_more_than_a_description_and_the_first_words_more_than_later_ones() -> None:
    name = covers("redis-mcp")["redis"]
    first = covers("thing", "Looks into Redis")["redis"]
    later = covers("thing", f"{'word ' * 40} Redis")["redis"]
    tool = covers("thing", tools=["redis_info"])["redis"]
    assert 1 >= name > first > later > 0
    assert tool < name


def test_what_several_fields_say_adds_up_and_never_beyond_one() -> None:
    both = covers("redis-mcp", "Looks into Redis", words=["redis"], tools=["redis_info"])["redis"]
    assert covers("redis-mcp")["redis"] < both <= 1


def test_what_is_stated_is_sure() -> None:
    assert covers("thing", technologies=("redis",)) == {"redis": 1.0}


def test_a_technology_that_is_stated_and_unknown_is_found_by_its_name() -> None:
    assert covers("thing", technologies=("frobnicator-9",)) == {"frobnicator-9": 1.0}


def test_the_more_a_server_names_the_less_surely_it_is_for_each() -> None:
    alone = covers("thing", "Redis")["redis"]
    among = covers("thing", "Redis, Kafka, PostgreSQL, MongoDB, Elasticsearch and MySQL")["redis"]
    assert among < alone


@pytest.mark.parametrize(
    "name",
    ["io.github.someone/redis-mcp", "com.github.someone/redis-mcp", "@github/redis-mcp", "ghcr.io/x/redis"],
)
def test_where_it_is_hosted_says_nothing(name: str) -> None:
    found = covers(name)
    assert "redis" in found
    assert "docker" not in found
    if not name.startswith("@github"):
        assert "github" not in found


def test_an_address_says_nothing_of_the_host_that_serves_it() -> None:
    remote = Package(PackageKind.HTTP, "https://redis-tools.vercel.app/mcp")
    found = covers("thing", package=remote)
    assert "vercel" not in found
    assert "redis" in found


def test_servers_to_read_about_something_are_less_surely_for_it() -> None:
    assert (
        covers("redis-docs", "Documentation of Redis")["redis"]
        < covers("redis-x", "Clients of Redis")["redis"]
    )


def test_the_protocols_own_name_is_no_technology() -> None:
    assert covers("mcp-server", "A Model Context Protocol (MCP) server") == {}


def test_camel_case_and_plurals_are_the_same_words() -> None:
    assert "kubernetes" in covers("KubernetesClusters")
    assert "redis" in covers("thing", "all RedisCaches")


_TEXT = st.text(max_size=60) | st.lists(
    st.sampled_from([*sorted(KNOWN), "(", ")", "[", "mcp", "/", "-", "https://", "@x/y", "server"]),
    max_size=8,
).map(" ".join)


@settings(deadline=None)
@given(_TEXT, _TEXT, st.lists(_TEXT, max_size=3), st.lists(_TEXT, max_size=3))
def test_any_text_can_be_read_and_sureness_is_a_share(
    name: str, description: str, tools: list[str], words: list[str]
) -> None:
    found = covers(
        name, description, tools=tools, words=words, repository=f"https://github.com/{name}/{name}"
    )
    assert all(0 <= sure <= 1 for sure in found.values())
    assert set(found) <= KNOWN


@pytest.mark.parametrize("piece", ["(", "[", "a(", "-", "redis ", "aA", "(a", "x/", "_", "\u202e"])
def test_long_hostile_texts_are_read_in_no_time(piece: str) -> None:
    # A pattern that steps back over them would not end before the test's own time limit.
    covers(piece * 20_000, piece * 20_000, tools=[piece * 20_000], words=[piece * 20_000])
