"""Relevance and ranking: who is in the list, and in which order."""

from dataclasses import replace
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.memory import NO_PLAN, candidate, need
from warroom_mcp.catalog.ranking import rank
from warroom_mcp.catalog.relevance import THRESHOLD, relevance
from warroom_mcp.catalog.vocabulary import names_of, phrase
from warroom_mcp.models import Candidate, Need, Origin, SearchPlan

TODAY = date(2026, 11, 22)
REDIS = need("redis", "query", host="cache-1", port="6379")


def ids(candidates: tuple[Candidate, ...]) -> list[str]:
    return [one.id.removeprefix("npm:") for one in candidates]


def test_a_named_technology_is_relevant_by_where_it_is_named() -> None:
    places = [
        candidate("a", technologies=("redis",)),
        candidate("mcp-redis"),
        candidate("b", title="Redis"),
        candidate("c", description="Reads keys of Redis"),
        candidate("d", description="Reads rediscovered keys"),
    ]
    marks = [relevance(one, REDIS, NO_PLAN) for one in places]
    assert marks == sorted(marks, reverse=True)
    assert marks[3] >= THRESHOLD > marks[4] == 0.0


@pytest.mark.parametrize(
    ("technology", "name"),
    [
        ("postgresql", "postgres-mcp"),
        ("kubernetes", "mcp-server-k8s"),
        ("mongodb", "mongo-mcp"),
        ("github-actions", "githubActions-mcp"),
        ("elasticsearch", "elasticsearchmcp"),
        ("node.js", "nodejs-mcp"),
    ],
)
def test_other_names_of_a_technology_are_found(technology: str, name: str) -> None:
    assert relevance(candidate(name), need(technology), NO_PLAN) >= THRESHOLD


def test_where_a_server_is_hosted_says_nothing_of_what_it_does() -> None:
    hosted = candidate("x", name="io.github.someone/time")
    assert relevance(hosted, need("github"), NO_PLAN) == 0.0


def test_capabilities_and_words_decide_among_equals() -> None:
    plan = SearchPlan(("latency",), ())
    plain = candidate("redis-a")
    able = replace(plain, capabilities=("query",))
    wordy = replace(able, description="latency of commands")
    marks = [relevance(one, REDIS, plan) for one in (plain, able, wordy)]
    assert marks == sorted(marks)
    assert len(set(marks)) == 3


def test_without_needs_the_words_decide() -> None:
    plan = SearchPlan(("weather",), ())
    found = rank([candidate("weather-mcp"), candidate("redis-mcp")], [], plan, limit=5, today=TODAY)
    assert ids(found) == ["weather-mcp"]
    assert found[0].need is None


def test_the_chosen_carry_the_need_with_its_parameters_and_their_score() -> None:
    (found,) = rank([candidate("redis-mcp")], [REDIS], NO_PLAN, limit=5, today=TODAY)
    assert found.need == "redis"
    assert found.parameters == {"host": "cache-1", "port": "6379"}
    assert found.relevance > THRESHOLD
    assert [part.name for part in found.score.parts] == ["origin", "downloads", "updated", "match"]


def test_a_proven_publisher_comes_before_a_better_worded_unknown() -> None:
    unknown = candidate("redis-mcp", capabilities=("query",))
    official = candidate("x", technologies=("redis",), origin=Origin.OFFICIAL)
    assert ids(rank([unknown, official], [REDIS], NO_PLAN, limit=5, today=TODAY)) == ["x", "redis-mcp"]


def test_a_deprecated_candidate_falls_below_any_live_alternative() -> None:
    dead = candidate(
        "a",
        technologies=("redis",),
        origin=Origin.OFFICIAL,
        weekly_downloads=10**6,
        updated=TODAY,
        deprecated="old",
    )
    live = candidate("b", description="Knows redis")
    assert ids(rank([dead, live], [REDIS], NO_PLAN, limit=5, today=TODAY)) == ["b", "a"]


def test_every_need_is_covered_before_one_is_covered_twice() -> None:
    many = [candidate(f"redis-{number}", weekly_downloads=10**6) for number in range(6)]
    docker = candidate("docker-mcp", deprecated="old")
    needs = [need("docker", confidence=0.4), REDIS]
    assert ids(rank([*many, docker], needs, NO_PLAN, limit=3, today=TODAY)) == [
        "redis-0",
        "docker-mcp",
        "redis-1",
    ]


def test_a_server_for_two_needs_stands_once() -> None:
    both = candidate("redis-docker-mcp", weekly_downloads=10**6)
    found = rank([both, candidate("docker-mcp")], [REDIS, need("docker")], NO_PLAN, limit=5, today=TODAY)
    assert ids(found) == ["redis-docker-mcp", "docker-mcp"]


NAMES = st.sampled_from(["redis-a", "redis-b", "docker-c", "redis-docker-d", "time-e"])


@given(
    st.lists(
        st.builds(candidate, NAMES, deprecated=st.sampled_from([None, "old"])), unique_by=lambda one: one.id
    ),
    st.lists(st.builds(need, st.sampled_from(["redis", "docker"])), max_size=3),
    st.integers(0, 6),
    st.randoms(),
)
def test_ranking_is_bounded_unique_and_independent_of_the_order(
    some: list[Candidate], needs: list[Need], limit: int, random: Random
) -> None:
    plan = SearchPlan(("redis",), ())
    ranked = rank(some, needs, plan, limit=limit, today=TODAY)
    assert len(ranked) <= limit
    assert len(set(ids(ranked))) == len(ranked)
    assert all(THRESHOLD <= one.relevance <= 1.0 for one in ranked)
    shuffled = list(some)
    random.shuffle(shuffled)
    assert rank(shuffled, needs, plan, limit=limit, today=TODAY) == ranked


@given(st.text(max_size=60))
def test_phrases_and_names_are_made_of_any_text(text: str) -> None:
    assert phrase(phrase(text)) == phrase(text)
    assert all(name for name in names_of(text))
