"""The score: its scale, its words, and what may never make it fall."""

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.memory import candidate
from warroom_mcp.catalog.scoring import score
from warroom_mcp.models import Candidate, Origin, ScorePart

TODAY = date(2026, 11, 22)
DAYS = st.integers(-1, 3000).map(lambda days: TODAY - timedelta(days))
CANDIDATES = st.builds(
    candidate,
    st.just("redis-mcp"),
    origin=st.sampled_from(Origin),
    weekly_downloads=st.none() | st.integers(0, 10**12),
    updated=st.none() | st.dates(),
    relevance=st.floats(0, 1),
    need=st.none() | st.just("redis"),
)


def part(name: str, of: Candidate) -> ScorePart:
    return next(one for one in score(of, today=TODAY).parts if one.name == name)


@given(CANDIDATES)
def test_every_part_stays_within_its_maximum_and_says_why(of: Candidate) -> None:
    parts = score(of, today=TODAY).parts
    assert [one.maximum for one in parts] == [40, 25, 20, 15]
    assert all(0 <= one.points <= one.maximum and one.why for one in parts)
    assert 0 <= score(of, today=TODAY).total <= 100


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_downloads_never_score_less(first: int, second: int) -> None:
    fewer, more = sorted((first, second))
    points = [part("downloads", candidate("x", weekly_downloads=one)).points for one in (fewer, more)]
    assert points == sorted(points)


@given(DAYS, DAYS)
def test_a_later_update_never_scores_less(first: date, second: date) -> None:
    earlier, later = sorted((first, second))
    points = [part("updated", candidate("x", updated=one)).points for one in (earlier, later)]
    assert points == sorted(points)


def test_the_best_candidate_has_a_hundred_points() -> None:
    best = candidate(
        "x", origin=Origin.OFFICIAL, weekly_downloads=1_000_000, updated=TODAY, relevance=1.0, need="redis"
    )
    assert score(best, today=TODAY).total == 100


def test_unknown_is_told_as_unknown_and_never_as_zero() -> None:
    nothing = candidate("x")
    assert part("downloads", nothing).why == "downloads unknown: no source told them"
    assert part("updated", nothing).why == "last update unknown: no source told it"
    assert part("downloads", candidate("x", weekly_downloads=0)).why == "0 downloads a week"


def test_the_downloads_scale_is_logarithmic() -> None:
    points = [part("downloads", candidate("x", weekly_downloads=10**power)).points for power in range(1, 8)]
    steps = [round(later - earlier, 1) for earlier, later in pairwise(points)]
    assert steps == [4.0, 4.2, 4.2, 4.2, 4.2, 0.0]


def test_updates_count_fully_for_six_months_and_not_at_all_after_two_years() -> None:
    def points(days: int) -> float:
        return part("updated", candidate("x", updated=TODAY - timedelta(days))).points

    assert points(0) == points(182) == 20
    assert 9.9 < points(457) < 10.1
    assert points(731) == 0


def test_a_date_in_the_future_is_not_recent() -> None:
    future = part("updated", candidate("x", updated=TODAY + timedelta(30)))
    assert future.points == 0
    assert "lies in the future" in future.why


def test_origin_tells_its_evidence() -> None:
    official = candidate("x", origin=Origin.OFFICIAL, origin_evidence="proven twice")
    assert part("origin", official).why == "official: proven twice"
    assert part("origin", candidate("x", origin=Origin.KNOWN_PUBLISHER)).points == 20
    assert part("origin", candidate("x")).points == 0
