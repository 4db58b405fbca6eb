"""Counts of calls: none is lost on the way to the store, and none is counted twice."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.manager.tally import Tally, summed
from warroom_mcp.models import ToolUsage


def moment(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def test_calls_are_counted_by_server_and_tool_with_their_time() -> None:
    now = [0.0]
    tally = Tally(lambda: now[0])
    for now[0], failed in ((1.0, False), (2.0, True)):
        tally.count("a", "x", seconds=0.25, error=failed)
    tally.count("b", "x", seconds=1.0, error=False)
    assert tally.take() == (
        ToolUsage("a", "x", 2, 1, 0.5, moment(2)),
        ToolUsage("b", "x", 1, 0, 1.0, moment(2)),
    )
    assert tally.take() == ()


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(["count", "keep", "fail"]))
    )
)
def test_however_often_the_store_fails_nothing_is_lost_or_counted_twice(
    steps: list[tuple[str, str, str]],
) -> None:
    tally, kept = Tally(), Tally()
    counted = 0
    for server, tool, step in steps:
        tally.count(server, tool, seconds=1.0, error=False)
        counted += 1
        if step != "count":
            (kept if step == "keep" else tally).add(tally.take())
    total = tally.on_top_of(kept.on_top_of(()))
    assert sum(one.calls for one in total) == counted
    assert list(total) == sorted(total, key=lambda one: (one.server, one.tool))
    assert len({(one.server, one.tool) for one in total}) == len(total)


def test_what_is_forgotten_of_a_server_is_forgotten_whenever_it_was_counted() -> None:
    tally = Tally()
    tally.add([ToolUsage("a", "x", 3)])
    tally.count("a", "y", seconds=0, error=False)
    tally.count("b", "x", seconds=0, error=False)
    tally.forget("a")
    assert [one.server for one in tally.take()] == ["b"]


def test_of_two_counts_the_later_use_is_kept() -> None:
    one = ToolUsage("a", "x", 1, 1, 0.5, moment(5))
    assert summed(one, ToolUsage("a", "x", 2, 0, 1.0, moment(3))) == ToolUsage("a", "x", 3, 1, 1.5, moment(5))
    assert summed(ToolUsage("a", "x"), ToolUsage("a", "x")).last_used is None
