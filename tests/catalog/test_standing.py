"""The standing of a server by itself: its scale, what raises it, and that a deprecated one comes last."""

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.memory import candidate
from warroom_mcp.catalog.standing import order, standing
from warroom_mcp.models import Candidate, Origin

TODAY = date(2026, 11, 22)
CANDIDATES = st.builds(
    candidate,
    st.sampled_from(["a", "b"]),
    origin=st.sampled_from(Origin),
    weekly_downloads=st.none() | st.integers(0, 10**12),
    updated=st.none() | st.integers(0, 3000).map(lambda days: TODAY - timedelta(days)),
    unconfirmed=st.sampled_from(["", "nobody knows"]),
    deprecated=st.sampled_from([None, "moved"]),
    tools=st.sampled_from([(), ("look",)]),
    relevance=st.floats(0, 1),
)


@given(CANDIDATES)
def test_it_stays_between_nothing_and_one(one: Candidate) -> None:
    assert 0 <= standing(one, today=TODAY) <= 1


@given(CANDIDATES)
def test_it_does_not_depend_on_a_need(one: Candidate) -> None:
    other = replace(one, relevance=0.0, need="redis", parameters={"host": "x"})
    assert standing(one, today=TODAY) == standing(other, today=TODAY)


@given(CANDIDATES)
def test_what_starts_and_is_known_stands_better_than_a_claim(one: Candidate) -> None:
    claim = replace(one, unconfirmed="nobody knows", tools=())
    sure = replace(one, unconfirmed="", tools=("look",))
    assert standing(claim, today=TODAY) < standing(sure, today=TODAY)


def test_unknown_downloads_are_no_better_than_known_ones() -> None:
    unknown, popular = candidate("a"), candidate("a", weekly_downloads=1_000_000)
    assert standing(unknown, today=TODAY) < standing(popular, today=TODAY)


@given(CANDIDATES, CANDIDATES)
def test_a_deprecated_one_comes_after_one_that_is_not(first: Candidate, second: Candidate) -> None:
    gone, live = replace(first, deprecated="moved"), replace(second, deprecated=None)
    assert order(live, today=TODAY) < order(gone, today=TODAY)


@given(CANDIDATES, CANDIDATES)
def test_who_fits_clearly_better_comes_first_however_the_other_stands(
    first: Candidate, second: Candidate
) -> None:
    fits = replace(first, relevance=1.0, deprecated=None)
    stands = replace(second, relevance=0.9, deprecated=None)
    assert order(fits, today=TODAY) < order(stands, today=TODAY)


def test_equals_are_ordered_by_their_ids() -> None:
    assert order(candidate("a"), today=TODAY) < order(candidate("b"), today=TODAY)
