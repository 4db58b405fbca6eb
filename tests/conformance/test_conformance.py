"""Nothing that the protocol's own conformance suite can see is lost on the way through War Room."""

import json
from pathlib import Path

import pytest

from tests.conformance.compare import FIXTURE, OWN_HTTP, OWN_STDIO, RELAY, Subject, compare
from tests.conformance.served import served
from tests.conformance.suite import REVISIONS, required, run
from tests.conformance.verdict import Checks, Comparison, failing, losses, table_of

REQUIRED = ("ping", "tools-list")
ALL_WELL = {"ping": Checks(2, 0), "tools-list": Checks(3, 0), "server-sse-polling": Checks(3, 0)}
HOW_MANY = {"2025-11-25": 30, "2026-07-28": 37}


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("conformance")
@pytest.mark.parametrize("subject", [OWN_STDIO, OWN_HTTP], ids=["stdio", "http"])
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_conforming_server_conforms_through_war_room(subject: Subject, revision: str) -> None:
    comparison = compare(subject, revision)
    of = HOW_MANY[revision]
    assert not comparison.losses, str(comparison)
    assert comparison.passing == (of, of, of), str(comparison)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("conformance")
def test_the_relay_for_stdio_programs_lets_a_conforming_server_conform(tmp_path: Path) -> None:
    # The other revision starts a process for each of its thirty-odd sessions: too long for every change.
    revision = REVISIONS[-1]
    with served((*RELAY, *FIXTURE), tmp_path / "relay.log") as url:
        table = run(url, revision, tmp_path / "run")
    assert failing(required(revision), table) == set()


def test_equal_runs_lose_nothing() -> None:
    assert losses(REQUIRED, ALL_WELL, ALL_WELL) == []


def test_a_required_scenario_that_fails_only_through_war_room_is_a_loss() -> None:
    through = ALL_WELL | {"ping": Checks(2, 1)}
    assert losses(REQUIRED, ALL_WELL, through) == ["ping is required and passes only directly"]


def test_a_required_scenario_that_did_not_run_is_a_failing_one() -> None:
    through = {name: checks for name, checks in ALL_WELL.items() if name != "ping"}
    assert losses(REQUIRED, ALL_WELL, through) == ["ping is required and passes only directly"]
    assert failing(REQUIRED, through) == {"ping"}


def test_what_fails_directly_too_is_no_loss() -> None:
    failed = ALL_WELL | {"ping": Checks(1, 1)}
    assert losses(REQUIRED, failed, failed) == []


def test_fewer_passed_checks_are_a_loss_without_any_failure() -> None:
    through = ALL_WELL | {"tools-list": Checks(2, 0)}
    assert losses(REQUIRED, ALL_WELL, through) == ["tools-list passes 2 checks instead of 3"]


def test_fewer_passed_checks_are_a_loss_in_scenarios_that_are_not_required() -> None:
    direct = ALL_WELL | {"json-schema-2020-12": Checks(8, 0)}
    through = ALL_WELL | {"json-schema-2020-12": Checks(5, 3)}
    assert losses(REQUIRED, direct, through) == ["json-schema-2020-12 passes 5 checks instead of 8"]


def test_polling_is_a_matter_of_the_front_and_no_loss() -> None:
    assert losses(REQUIRED, ALL_WELL, ALL_WELL | {"server-sse-polling": Checks(0, 1)}) == []


def test_more_passed_checks_are_no_loss() -> None:
    assert losses(REQUIRED, ALL_WELL | {"ping": Checks(1, 1)}, ALL_WELL) == []


def test_a_direct_run_in_which_nothing_passes_is_no_measure() -> None:
    (loss,) = losses(REQUIRED, {"ping": Checks(0, 1)}, ALL_WELL)
    assert "nothing to compare with" in loss


def test_a_table_names_scenarios_and_counts_only_what_passed_or_failed(tmp_path: Path) -> None:
    run = tmp_path / "server-server-sse-polling-2026-11-25T16-15-10-368Z"
    run.mkdir()
    statuses = ("SUCCESS", "INFO", "FAILURE", "WARNING", "SUCCESS", "SKIPPED")
    (run / "checks.json").write_text(json.dumps([{"id": "x", "status": status} for status in statuses]))
    assert table_of(tmp_path) == {"server-sse-polling": Checks(2, 1)}


def test_a_comparison_shows_both_runs_and_what_got_lost() -> None:
    through = ALL_WELL | {"ping": Checks(1, 1)}
    shown = str(Comparison("2025-11-25", "a stdio child", REQUIRED, ALL_WELL, through))
    assert "required: direct 2/2, through War Room 1/2" in shown
    assert "LOST: ping is required and passes only directly" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("ping")] == [
        ["ping", "yes", "2/0", "1/1"]
    ]
