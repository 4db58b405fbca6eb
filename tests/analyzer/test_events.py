"""A log as events: what fails counts, what merely reports counts less."""

import pytest

from warroom_mcp.analyzer import analyze
from warroom_mcp.analyzer.events import ASIDE, events_of
from warroom_mcp.analyzer.subject import Subject

LOG = """\
2026-03-04T10:00:00Z INFO connected to redis
2026-03-04T10:00:01Z INFO nginx reloaded
2026-03-04T10:00:02Z INFO kafka consumer joined
2026-03-04T10:00:03Z ERROR order failed
org.postgresql.util.PSQLException: no
\tat org.postgresql.Driver.connect(Driver.java:2)
2026-03-04T10:00:04Z INFO order 7 accepted
"""


def shares(text: str) -> dict[str, float]:
    subject = Subject.of(text)
    events = events_of(subject)
    return {word: events.share(text.index(word)) for word in ("redis", "nginx", "PSQLException")}


def test_lines_that_continue_an_event_belong_to_it() -> None:
    assert len(events_of(Subject.of(LOG)).starts) == 5


def test_evidence_beside_the_failing_event_keeps_a_share() -> None:
    assert shares(LOG) == {"redis": ASIDE, "nginx": ASIDE, "PSQLException": 1.0}


def test_the_failing_event_says_what_the_problem_is_about() -> None:
    assert analyze(LOG).needs[0].technology == "postgres"


def test_a_text_of_few_lines_is_no_log_to_choose_from() -> None:
    short = "\n".join(LOG.splitlines()[:2]) + "\nPSQLException: error"
    assert set(shares(short).values()) == {1.0}


@pytest.mark.parametrize(
    "line",
    [
        "[ 4211.118] Out of memory: Killed process 7",
        "Mar  4 10:00:00 host app[7]: error: no",
        "E0304 10:00:00.000000 1 main.go:7] no",
        "app-1  | ERROR no",
        '{"level":"error"}',
        "<11>1 2026-03-04 error",
    ],
)
def test_each_way_to_begin_a_line_begins_an_event(line: str) -> None:
    events = events_of(Subject.of(f"{line}\n{line}\n{line}"))
    assert len(events.starts) == 3
    assert all(events.failing)
