"""What a host can be relied on for: seen, then said, then known, then nothing assumed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.hosts import Abilities, Elicitation, abilities_of
from warroom_mcp.hosts.route import (
    LEAST_RESULT,
    Asking,
    Declared,
    Route,
    Seen,
    decide_asking,
    decide_route,
    message_limit,
    native_budget,
    page_limit,
    result_limit,
    split_by_budget,
)

KB = 1024
YES, NO, UNSURE = Abilities(relists=True), Abilities(relists=False), Abilities()
MODERN_DEAF = Declared(modern=True, listens=False)
MODERN_LISTENING = Declared(modern=True, listens=True)


# --- the way to a tool -----------------------------------------------------------------------


@pytest.mark.parametrize("abilities", [YES, NO, UNSURE])
@pytest.mark.parametrize("relisted", [True, False, None])
@pytest.mark.parametrize("declared", [Declared(), MODERN_DEAF, MODERN_LISTENING])
def test_a_native_call_proves_the_native_way(
    abilities: Abilities, relisted: bool | None, declared: Declared
) -> None:
    assert decide_route(Seen(relisted, called_native=True), declared, abilities) is Route.NATIVE


@pytest.mark.parametrize(
    ("relisted", "abilities", "route"),
    [
        (True, YES, Route.NATIVE),
        (True, UNSURE, Route.NATIVE),
        # It lists again and throws the new tools away.
        (True, NO, Route.USE_TOOL),
        (False, YES, Route.USE_TOOL),
        (False, UNSURE, Route.USE_TOOL),
        (None, YES, Route.NATIVE),
        (None, NO, Route.USE_TOOL),
        # Nothing is known: the list is taken for frozen.
        (None, UNSURE, Route.USE_TOOL),
    ],
)
def test_what_was_seen_wins_over_what_is_known(
    relisted: bool | None, abilities: Abilities, route: Route
) -> None:
    assert decide_route(Seen(relisted), Declared(), abilities) is route


def test_a_modern_host_that_does_not_listen_is_not_told_of_new_tools() -> None:
    assert decide_route(Seen(), MODERN_DEAF, YES) is Route.USE_TOOL
    assert decide_route(Seen(relisted=True), MODERN_DEAF, YES) is Route.NATIVE
    # To listen proves nothing, and hosts of the handshake era cannot say.
    assert decide_route(Seen(), MODERN_LISTENING, UNSURE) is Route.USE_TOOL
    assert decide_route(Seen(), Declared(listens=False), YES) is Route.NATIVE


def test_the_routes_are_the_words_of_the_answers() -> None:
    assert [str(route) for route in Route] == ["native", "use_tool"]


# --- asking ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "known", "asking"),
    [
        ((True, True), (None, None), Asking.FORM),
        ((True, False), (True, True), Asking.FORM),
        ((False, True), (True, True), Asking.URL),
        ((True, True), (False, None), Asking.URL),
        ((True, True), (False, False), Asking.NONE),
        ((False, False), (True, True), Asking.NONE),
        ((None, None), (True, True), Asking.NONE),
    ],
)
def test_only_what_is_declared_is_asked_and_nothing_that_is_known_to_fail(
    declared: tuple[bool | None, bool | None], known: tuple[bool | None, bool | None], asking: Asking
) -> None:
    abilities = Abilities(elicitation=Elicitation(*known))
    assert decide_asking(Declared(Elicitation(*declared)), abilities) is asking
    assert decide_asking(Declared(), abilities) is Asking.NONE


# --- how much it takes -----------------------------------------------------------------------


def test_the_own_tools_are_part_of_the_budget() -> None:
    assert native_budget(abilities_of("cursor-vscode"), 9) == 31
    assert native_budget(abilities_of("claude-code"), 9) is None
    assert native_budget(Abilities(tool_budget=5), 9) == 0


@pytest.mark.parametrize(
    ("abilities", "setting", "limit"),
    [
        (Abilities(), 256 * KB, 256 * KB),
        (Abilities(max_output_bytes=50_000), 256 * KB, 50_000),
        (Abilities(max_output_bytes=1024 * KB), 256 * KB, 256 * KB),
        (Abilities(max_output_bytes=100), 256 * KB, LEAST_RESULT),
        (Abilities(), 0, LEAST_RESULT),
        (Abilities(max_message_bytes=64 * KB), 256 * KB, 63 * KB),
        (Abilities(), 1024 * 1024 * KB, 10 * 1024 * KB - KB),
    ],
)
def test_the_smallest_of_all_limits_counts(abilities: Abilities, setting: int, limit: int) -> None:
    assert result_limit(abilities, setting) == limit


def test_a_message_is_never_longer_than_a_client_of_the_widespread_sdk_takes() -> None:
    assert message_limit(Abilities()) == 10 * 1024 * KB
    assert message_limit(Abilities(max_message_bytes=64 * KB)) == 64 * KB


def test_a_page_with_its_note_is_shown_whole() -> None:
    assert page_limit(Abilities(), 48 * KB) == 48 * KB
    assert page_limit(Abilities(max_output_bytes=50_000), 48 * KB) == 50_000 - KB
    assert page_limit(Abilities(max_output_bytes=10_000), 48 * KB) == 10_000 - KB
    assert page_limit(Abilities(max_output_bytes=1), 48 * KB) == LEAST_RESULT // 2


# --- which tools are shown -------------------------------------------------------------------


def test_what_has_room_is_shown_whole() -> None:
    assert split_by_budget(["a", "b"], {}, None) == (["a", "b"], [])
    assert split_by_budget(["a", "b"], {}, 2) == (["a", "b"], [])
    assert split_by_budget([], {}, 0) == ([], [])


def test_the_earliest_stay_and_with_them_what_was_called() -> None:
    names = ["a", "b", "c", "d"]
    assert split_by_budget(names, {}, 2) == (["a", "b"], ["c", "d"])
    assert split_by_budget(names, {"d": 1.0}, 2) == (["a", "d"], ["b", "c"])
    assert split_by_budget(names, {"b": 3.0, "c": 1.0, "d": 2.0}, 2) == (["b", "d"], ["a", "c"])
    assert split_by_budget(names, {"gone": 9.0}, 1) == (["a"], ["b", "c", "d"])
    assert split_by_budget(names, {"a": 1.0}, 0) == ([], names)


names = st.lists(st.sampled_from("abcdefghij"), unique=True)
used = st.dictionaries(st.sampled_from("abcdefghij"), st.floats(0, 9))


@given(names=names, used=used, budget=st.integers(0, 12))
def test_nothing_is_lost_and_the_order_stays(names: list[str], used: dict[str, float], budget: int) -> None:
    kept, hidden = split_by_budget(names, used, budget)
    assert sorted([*kept, *hidden]) == sorted(names)
    assert len(kept) == min(budget, len(names))
    for part in (kept, hidden):
        assert part == [name for name in names if name in part]
    assert not (set(hidden) & used.keys()) or set(kept) <= used.keys()


@given(names=names, used=used, budget=st.integers(0, 12))
def test_an_addition_takes_nothing_away(names: list[str], used: dict[str, float], budget: int) -> None:
    before, _ = split_by_budget(names, used, budget)
    after, _ = split_by_budget([*names, "new"], used, budget)
    assert set(before) <= set(after)
