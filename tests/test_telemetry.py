"""Logs go to stderr, without secrets."""

import json
import logging
from collections.abc import Iterator

import pytest

from warroom_mcp.telemetry import configure_logging, redact_event

SECRET = "ghp_" + "a1B2c3D4" * 4 + "e5F6"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("warroom_mcp")
    before = list(root.handlers), root.level, own.level
    yield
    root.handlers, level, own_level = before[0], before[1], before[2]
    root.setLevel(level)
    own.setLevel(own_level)


def test_nothing_goes_to_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG")
    logging.getLogger("warroom_mcp.manager").debug("one %s", "word")
    logging.getLogger("mcp.client").error("two")
    logging.getLogger("warroom_mcp.x").info("three", extra={"tool": "get"})
    out, err = capfd.readouterr()
    assert out == ""
    assert [word for word in ("one word", "two", "three", "tool") if word not in err] == []


def test_own_logs_keep_to_the_level_and_those_of_libraries_to_warnings(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info")
    for name in ("warroom_mcp.x", "mcp.client", "httpx2"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, "%s-%d", name, level)
    _, err = capfd.readouterr()
    told = [f"{n}-{level}" for n in ("warroom_mcp.x", "mcp.client", "httpx2") for level in (10, 20, 30)]
    assert [line for line in told if line in err] == [
        "warroom_mcp.x-20",
        "warroom_mcp.x-30",
        "mcp.client-30",
        "httpx2-30",
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_secret_is_shown_nowhere(capfd: pytest.CaptureFixture[str], as_json: bool) -> None:
    configure_logging(json=as_json)
    fields = {"nested": {"a": [SECRET, (SECRET,)], SECRET: 1}, "error": ValueError(SECRET)}
    logging.getLogger("warroom_mcp.x").info(f"token {SECRET}", extra=fields)
    logging.getLogger("mcp.client").warning("got %s", {"token": SECRET})
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("warroom_mcp.y").exception("failed")
    _, err = capfd.readouterr()
    assert SECRET not in err
    assert err.count("[redacted:") >= 6
    assert "Traceback" in err


def test_json_is_one_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True)
    fields = {"calls": 3, "ok": True, "share": 0.5, "none": None}
    logging.getLogger("warroom_mcp.x").info("first\nsecond", extra=fields)
    _, err = capfd.readouterr()
    (line,) = err.splitlines()
    told = json.loads(line)
    assert {key: told[key] for key in ("event", "level", "logger", "calls", "ok", "share", "none")} == {
        "event": "first\nsecond",
        "level": "info",
        "logger": "warroom_mcp.x",
        "calls": 3,
        "ok": True,
        "share": 0.5,
        "none": None,
    }


def test_a_childs_text_does_not_reach_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    logging.getLogger("warroom_mcp.x").info("\x1b[2Jgone\x07 \u202eback")
    _, err = capfd.readouterr()
    assert "\\x1b[2Jgone\\x07 \\x202eback" in err


def test_configuring_again_does_not_tell_everything_twice(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    configure_logging()
    logging.getLogger("warroom_mcp.x").info("once")
    assert capfd.readouterr().err.count("once") == 1


def test_what_cannot_be_redacted_is_not_shown() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError(SECRET)

    event = redact_event(None, "info", {"event": "x", "value": Broken()})
    assert event == {"event": "x", "value": "[not shown: it could not be redacted]"}
