"""The smallest set that covers all needs: complete, without a superfluous server, the same every time."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.catalog.cover import LEAST, NEAR, Cover, Option, cover, interleave

SERVERS = "abcdefg"
OPTIONS = st.dictionaries(
    st.sampled_from(["redis", "kafka", "disk", "dns", "logs", "queue"]),
    st.lists(st.builds(Option, st.sampled_from(SERVERS), st.floats(0, 1)), max_size=6),
    max_size=6,
)


def able(options: list[Option]) -> set[str]:
    """The servers that are near enough to the best of a need."""
    best = max((one.relevance for one in options), default=0.0)
    return {one.id for one in options if one.relevance >= max(LEAST, NEAR * best)}


@given(OPTIONS)
def test_every_need_that_can_be_covered_is_and_the_others_are_told(options: dict[str, list[Option]]) -> None:
    found = cover(options)
    covered = [need for needs in found.chosen.values() for need in needs]
    assert sorted([*covered, *found.uncovered]) == sorted(options)
    assert set(found.uncovered) == {need for need, some in options.items() if not able(some)}
    for server, needs in found.chosen.items():
        assert needs
        assert all(server in able(options[need]) for need in needs)


@given(OPTIONS)
def test_no_chosen_server_is_superfluous(options: dict[str, list[Option]]) -> None:
    chosen = set(cover(options).chosen)
    for one in chosen:
        others = chosen - {one}
        assert any(able(some) and not able(some) & others for some in options.values())


@given(OPTIONS)
def test_it_is_the_smallest_set_or_next_to_it(options: dict[str, list[Option]]) -> None:
    asked = [able(some) for some in options.values() if able(some)]
    smallest = next(
        size
        for size in range(len(SERVERS) + 1)
        if any(all(need & set(some) for need in asked) for some in combinations(SERVERS, size))
    )
    assert smallest <= len(cover(options).chosen) <= smallest + 1


@given(OPTIONS)
def test_the_same_options_give_the_same_set(options: dict[str, list[Option]]) -> None:
    assert cover(options) == cover({need: list(some) for need, some in options.items()})


def test_what_later_choices_cover_as_well_is_taken_out_again() -> None:
    # The greedy rule takes the one for three needs first; the other two cover all that it does.
    wants = {"1": "xp", "2": "xp", "3": "xq", "4": "p", "5": "q"}
    found = cover({need: [Option(one, 0.9) for one in servers] for need, servers in wants.items()})
    assert found == Cover({"p": ("1", "2", "4"), "q": ("3", "5")}, ())


def test_one_server_for_all_needs_is_better_than_one_for_each() -> None:
    options = {
        "a": [Option("own-a", 0.9), Option("both", 0.8)],
        "b": [Option("own-b", 0.9), Option("both", 0.8)],
    }
    assert cover(options).chosen == {"both": ("a", "b")}


def test_a_server_that_hardly_fits_does_not_stand_in_for_one_that_does() -> None:
    options = {
        "a": [Option("own-a", 0.9), Option("both", 0.5)],
        "b": [Option("own-b", 0.9), Option("both", 0.5)],
    }
    assert set(cover(options).chosen) == {"own-a", "own-b"}


def test_of_equals_the_best_placed_is_taken() -> None:
    assert cover({"a": [Option("first", 0.9), Option("second", 0.9)]}).chosen == {"first": ("a",)}


def test_what_is_barely_relevant_covers_nothing() -> None:
    assert cover({"a": [Option("x", 0.29)], "b": []}) == Cover({}, ("a", "b"))
    assert cover({}) == Cover({}, ())


@given(st.lists(st.lists(st.sampled_from(SERVERS), unique=True), max_size=4))
def test_needs_take_turns_and_each_server_comes_once(lists: list[list[str]]) -> None:
    order = interleave(lists)
    assert sorted(order) == sorted({one for ranked in lists for one in ranked})
    for ranked in lists:
        # Nobody's place is worse than if all lists before it were as long as the longest.
        assert all(
            order.index(one) <= place * len(lists) + len(lists) - 1 for place, one in enumerate(ranked)
        )


def test_turns_are_in_the_order_of_the_lists() -> None:
    assert interleave([["a", "b"], ["c", "a", "d"], []]) == ["a", "c", "b", "d"]
