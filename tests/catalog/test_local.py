"""Ranking what an index found: needs by sureness, requests by rare words, standing only among equals."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalog.memory import ScratchIndex, candidate, need
from tests.store.examples import NOON
from warroom_mcp.catalog.index import indexed
from warroom_mcp.catalog.local import (
    NEARNESS,
    helpers,
    index_query,
    rank_for_need,
    rank_for_request,
    words_of,
)
from warroom_mcp.knowledge import known_technologies
from warroom_mcp.listing import IndexAnswer, IndexHit, ListedTool, Listing

HELPED = next(each for each in known_technologies() if each.helped_by)


def hit(row: int, covers: dict[str, float] | None = None, **changes: Any) -> IndexHit:
    members: dict[str, Any] = {"merit": 0.5, "record": b"{}", "source": "list", "id": f"n{row}"}
    return IndexHit(row=row, covers=covers or {}, **(members | changes))


def ranked(answer: IndexAnswer, technology: str = "redis") -> list[str]:
    return [each.hit.id for each in rank_for_need(answer, need(technology))]


def test_the_surest_for_a_need_come_first_and_others_are_no_help() -> None:
    answer = IndexAnswer((hit(1, {"redis": 0.5}), hit(2, {"kafka": 1.0}), hit(3, {"redis": 0.9}), hit(4)))
    assert ranked(answer) == ["n3", "n1"]


def test_standing_decides_among_equals_and_the_id_among_equals_in_that() -> None:
    answer = IndexAnswer(
        (hit(3, {"redis": 0.9}), hit(2, {"redis": 0.9}), hit(1, {"redis": 0.9}, merit=0.9, id="z"))
    )
    assert ranked(answer) == ["z", "n2", "n3"]


def test_a_server_that_stands_well_does_not_pass_one_that_fits_much_better() -> None:
    answer = IndexAnswer((hit(1, {"redis": 0.6}, merit=1.0), hit(2, {"redis": 1.0}, merit=0.0)))
    assert ranked(answer) == ["n2", "n1"]


def test_a_deprecated_server_comes_last_however_well_it_fits() -> None:
    answer = IndexAnswer((hit(1, {"redis": 1.0}, deprecated=True), hit(2, {"redis": 0.1})))
    assert ranked(answer) == ["n2", "n1"]


def test_what_helps_as_well_counts_less_the_further_down_the_line_it_stands() -> None:
    near = helpers(HELPED.name)
    assert near[HELPED.name] == 1.0
    assert next(near[name] for name in HELPED.helped_by if name != HELPED.name) <= NEARNESS
    first = next(name for name in HELPED.helped_by if name != HELPED.name)
    answer = IndexAnswer((hit(1, {first: 1.0}), hit(2, {HELPED.name: 1.0})))
    assert ranked(answer, HELPED.name) == ["n2", "n1"]


def test_an_unknown_technology_is_helped_by_itself_alone() -> None:
    assert dict(helpers("frobnicator-9")) == {"frobnicator-9": 1.0}


def test_an_index_is_asked_for_needs_with_their_helpers_and_for_the_words_of_requests() -> None:
    query = index_query([need(HELPED.name)], ["zebrafish are swimming"], limit=7)
    assert set(query.technologies) == set(helpers(HELPED.name))
    assert any("zebrafish" in variants for variants in query.words)
    assert query.limit == 7


def test_a_long_request_is_cut_to_its_first_words() -> None:
    assert len(words_of(" ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(600)))) <= 40


async def test_a_rare_word_decides_and_a_word_that_all_have_does_not() -> None:
    index = ScratchIndex()
    texts = {"zebra": "watches zebrafish", **{f"n{number}": "watches everything" for number in range(30)}}
    await index.put(
        "list",
        [
            indexed(Listing(name, candidate(name, description=text), (ListedTool("look"),)), NOON.date())
            for name, text in texts.items()
        ],
    )
    request = "watch my zebrafish"
    answer = await index.search(index_query([], [request], limit=20))
    found = rank_for_request(answer, request)
    assert found[0].hit.id == "zebra"
    assert found[0].relevance > 2 * found[1].relevance
    assert all(0 < each.relevance <= 1 for each in found)
    await index.aclose()


def test_without_words_or_rows_nothing_is_ranked() -> None:
    assert rank_for_request(IndexAnswer(), "anything") == []
    assert rank_for_request(IndexAnswer((hit(1),), (1,)), "") == []


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans(), st.sampled_from(["redis", "kafka"])),
        max_size=12,
    )
)
def test_any_answer_is_ranked_the_same_whatever_its_order(rows: list[tuple[float, float, bool, str]]) -> None:
    hits = [
        hit(row, {name: sure}, merit=merit, deprecated=gone)
        for row, (sure, merit, gone, name) in enumerate(rows)
    ]
    there, back = ranked(IndexAnswer(tuple(hits))), ranked(IndexAnswer(tuple(reversed(hits))))
    assert there == back
    assert len(there) == len(set(there)) <= len(hits)
    by_id = {one.id: one for one in hits}
    assert [by_id[one].deprecated for one in there] == sorted(by_id[one].deprecated for one in there)
