"""What is known of one added server: which line a host gets, when to try again, and what may be repeated."""

import math
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.errors import (
    ChildGone,
    IntegrityMismatch,
    MissingInput,
    StartFailed,
    StartTimeout,
    WarRoomError,
)
from warroom_mcp.manager.child import Child
from warroom_mcp.manager.entry import (
    LONGEST_BACKOFF,
    MAX_LINES,
    Entry,
    hopeless,
    repeatable,
    uncertain,
)
from warroom_mcp.models import AddedServer, Definitions, LaunchPlan, Package, PackageKind, Speech

LEGACY, MODERN = Speech(), Speech(True)


def entry() -> Entry:
    plan = LaunchPlan("a", "npm:a", Package(PackageKind.NPM, "a", "1.0.0"))
    return Entry(AddedServer(plan, "digest", "terminal", datetime.now(UTC)))


def line(*, ready: bool = True) -> Child:
    return cast(Child, SimpleNamespace(ready=ready))


# --- lines ---------------------------------------------------------------------------------------


def test_hosts_of_two_eras_have_two_lines() -> None:
    one = entry()
    assert one.key(LEGACY) != one.key(MODERN)
    assert one.speech_for(MODERN) == MODERN


def test_what_a_modern_host_may_be_asked_goes_with_each_request_and_needs_no_line() -> None:
    assert entry().key(MODERN) == entry().key(Speech(True, {"elicitation": {}}))


def test_only_what_a_server_can_ask_for_makes_another_line() -> None:
    one = entry()
    asking = Speech(capabilities={"elicitation": {}})
    assert one.key(LEGACY) != one.key(asking)
    assert one.key(asking) == one.key(Speech(capabilities={"elicitation": {}, "experimental": {"a": 1}}))


def test_all_hosts_share_the_era_of_a_server_that_speaks_only_one() -> None:
    one = entry()
    one.only = False
    assert one.key(MODERN) == one.key(LEGACY)
    assert one.speech_for(Speech(True, {"roots": {}})) == Speech(False, {"roots": {}})
    one.only = True
    assert one.key(LEGACY) == one.key(MODERN)


def test_only_a_ready_line_is_given_out() -> None:
    one = entry()
    assert one.line(LEGACY) is None
    one.lines[one.key(LEGACY)] = line(ready=False)
    assert one.line(LEGACY) is None
    one.lines[one.key(LEGACY)], one.latest = ready = line(), None
    assert one.line(LEGACY) is one.line(LEGACY) is one.line(Speech()) is ready[0]
    assert one.line(MODERN) is None
    assert one.line(LEGACY) is ready[0]


def test_over_the_limit_hosts_share_the_first_line_of_their_era() -> None:
    one = entry()
    speeches = [Speech(capabilities={"sampling": {"n": n}}) for n in range(MAX_LINES)]
    for speech in speeches:
        one.lines[one.key(speech)] = line()
    assert one.key(LEGACY) == one.key(speeches[0])
    assert one.key(speeches[3]) != one.key(speeches[0])
    assert one.key(MODERN) not in one.lines  # none speaks its era: it gets one of its own


# --- failures ------------------------------------------------------------------------------------


def test_the_first_failure_may_be_tried_again_at_once_and_further_ones_later_and_later() -> None:
    one = entry()
    pauses = []
    for _ in range(12):
        one.note_failure(StartFailed("no"), 100.0)
        pauses.append(one.retry_at - 100.0)
    assert pauses[:5] == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_BACKOFF


@given(st.integers(1, 5000))
def test_no_number_of_failures_makes_the_pause_longer_than_the_limit(failures: int) -> None:
    one = entry()
    one.failures = failures
    one.note_failure(StartFailed("no"), 0.0)
    assert 0 <= one.retry_at <= LONGEST_BACKOFF


@pytest.mark.parametrize(
    "error",
    [
        MissingInput("no secret"),
        IntegrityMismatch("another file"),
        StartFailed("401", details={"credential": "Authorization"}),
    ],
)
def test_what_only_harm_can_come_of_is_not_tried_again(error: WarRoomError) -> None:
    one = entry()
    one.note_failure(error, 0.0)
    assert hopeless(error)
    assert one.retry_at == math.inf


@pytest.mark.parametrize("error", [StartFailed("no"), StartTimeout("late"), ChildGone("gone")])
def test_what_may_pass_is_tried_again(error: WarRoomError) -> None:
    assert not hopeless(error)


def test_while_it_is_too_early_the_same_error_is_given_anew() -> None:
    one = entry()
    error = StartFailed("no", hint="do this", retryable=True, details={"a": 1})
    one.note_failure(error, 0.0)
    assert one.waiting(0.0) is None
    one.note_failure(error, 0.0)
    again = one.waiting(0.5)
    assert again is not error
    assert again is not None
    assert again.to_dict() == error.to_dict()
    assert one.waiting(1.0) is None


def test_a_clock_that_was_set_back_keeps_nobody_waiting_but_the_hopeless() -> None:
    one = entry()
    for _ in range(3):
        one.note_failure(StartFailed("no"), 10_000.0)
    assert one.waiting(10_001.0) is not None
    assert one.waiting(0.0) is None
    one.note_failure(MissingInput("no secret"), 10_000.0)
    assert one.waiting(0.0) is not None


# --- repeating -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotations", "may"),
    [
        ({"readOnlyHint": True}, True),
        ({"idempotentHint": True}, True),
        ({"readOnlyHint": False}, False),
        ({"readOnlyHint": "true"}, False),
        ({"destructiveHint": False}, False),
        ({}, False),
        (None, False),
        ("odd", False),
    ],
)
def test_only_a_tool_that_says_so_may_be_called_twice(annotations: Any, may: bool) -> None:
    tool = {"name": "a", "inputSchema": {}, "annotations": annotations}
    definitions = Definitions(tools=({"name": "b", "inputSchema": {}}, tool))
    assert repeatable(definitions, "tools/call", {"name": "a"}) is may
    assert not repeatable(definitions, "tools/call", {"name": "b"})
    assert not repeatable(definitions, "tools/call", {"name": "unknown"})
    assert not repeatable(definitions, "tools/call", None)
    assert repeatable(definitions, "resources/read", {"uri": "a://b"})


def test_a_call_whose_effect_is_not_known_is_told_so() -> None:
    error = uncertain(ChildGone("gone", details={"a": 1}))
    assert not error.retryable
    assert "not known" in error.hint
    assert (error.message, error.details) == ("gone", {"a": 1})
