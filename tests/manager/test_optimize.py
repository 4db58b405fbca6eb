"""What could go, and why: by the numbers alone."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.manager.optimize import count_tokens, propose
from warroom_mcp.models import ChildState, Definitions, Proposal, ServerStatus, ToolUsage

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def status(
    name: str = "one",
    *,
    added: float = 100,
    used: float | None = None,
    calls: int = 0,
    errors: int = 0,
    state: ChildState = ChildState.ASLEEP,
    memory: int | None = None,
) -> ServerStatus:
    last = NOW - timedelta(days=used) if used is not None else None
    usage = (ToolUsage(name, "tool", calls, errors, 1.0, last),) if calls else ()
    return ServerStatus(
        name, f"npm:{name}", state, "r", "n", "1.0.0", "terminal", NOW - timedelta(days=added), ("tool",),
        usage, memory,
    )  # fmt: skip


def proposed(*statuses: ServerStatus, **more: object) -> tuple[Proposal, ...]:
    return propose(statuses, now=NOW, unused_days=14, **more)  # type: ignore[arg-type]  # options vary by test


def test_a_server_in_use_stays() -> None:
    assert proposed(status(used=13.9, calls=1), status(added=13.9)) == ()


def test_what_nobody_called_for_long_goes_with_the_reason_in_words() -> None:
    (one,) = proposed(status(used=20, calls=5, memory=7))
    assert one == Proposal("one", "retire", "Nobody called it for 20 days.", 0, 7)


def test_what_was_never_called_goes_when_it_had_its_time() -> None:
    (one,) = proposed(status(added=14))
    assert one.reason == "It was never called in the 14 days since it was added."


def test_what_only_fails_goes_even_if_it_is_called_every_day() -> None:
    (one,) = proposed(status(used=0, calls=3, errors=3))
    assert one.reason == "All of its 3 calls failed."
    assert proposed(status(used=0, calls=3, errors=2), status(used=0, calls=2, errors=2)) == ()


def test_what_is_deprecated_goes_first_of_all_reasons() -> None:
    (one,) = proposed(status(used=0, calls=1), deprecated={"one": "use two"})
    assert one.reason == "It is deprecated: use two"


def test_entries_of_a_person_are_left_alone() -> None:
    assert proposed(status(state=ChildState.UNAPPROVED)) == ()


def test_the_largest_saving_comes_first() -> None:
    tool = {"name": "tool", "description": "x" * 400}
    offered = {"small": Definitions(tools=(tool,)), "large": Definitions(tools=(tool, tool))}
    found = proposed(status("none"), status("small"), status("large"), definitions=offered)
    assert [one.server for one in found] == ["large", "small", "none"]
    assert [one.tokens_saved for one in found] == [count_tokens(offered[n]) for n in ("large", "small")] + [0]
    assert 100 <= found[1].tokens_saved <= 115


@given(st.floats(0, 400), st.floats(0, 400), st.integers(0, 9), st.integers(0, 9), st.integers(1, 60))
def test_nothing_that_worked_lately_is_ever_proposed(
    added: float, used: float, calls: int, errors: int, days: int
) -> None:
    one = status(added=added, used=used, calls=calls, errors=min(errors, calls))
    found = propose([one], now=NOW, unused_days=days)
    lately = used < days if calls else added < days
    works = calls < 3 or errors < calls
    assert bool(found) == (not (lately and works))
