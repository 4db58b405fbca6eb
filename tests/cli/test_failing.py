import pytest

from tests.cli.fakes import wrapped
from warroom_mcp.cli.failing import as_dict, exit_code, single, tell
from warroom_mcp.errors import (
    ApprovalDenied,
    ApprovalRequired,
    Blocked,
    StartFailed,
    UnknownServer,
    WarRoomError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ApprovalRequired("waits"), 4),
        (ApprovalDenied("no"), 3),
        (Blocked("never"), 3),
        (UnknownServer("who"), 1),
        (ValueError("odd"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_an_error_in_groups_is_found() -> None:
    error = StartFailed("it left")
    assert single(wrapped(error)) is error


def test_our_error_goes_before_others_of_its_group() -> None:
    ours: WarRoomError = StartFailed("it left")
    assert single(ExceptionGroup("both", [ValueError("odd"), ours])) is ours


def test_an_unexpected_error_is_one_line_with_a_way_to_more() -> None:
    told = as_dict(ValueError("first\nsecond"))
    assert told["code"] == "internal_error"
    assert told["message"] == "ValueError: first"
    assert "WARROOM_DEBUG=1" in told["hint"]


def test_no_traceback_unless_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WARROOM_DEBUG", raising=False)
    tell(ValueError("odd\x1b[31m"))
    assert capsys.readouterr().err.startswith("error [internal_error] ValueError: odd\\x1b[31m\nhint: ")
    monkeypatch.setenv("WARROOM_DEBUG", "1")
    try:
        raise ValueError("odd")
    except ValueError as error:
        tell(error)
    assert "Traceback" in capsys.readouterr().err


def test_the_card_of_a_waiting_ticket_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tell(ApprovalRequired("waits", details={"card": ["Runs: npx"]}))
    assert "  Runs: npx\n" in capsys.readouterr().err
