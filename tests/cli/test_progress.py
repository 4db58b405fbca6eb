import io
import sys

import pytest

from warroom_mcp.cli.progress import Display
from warroom_mcp.events import Events, Progress, ServerChanged


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """A terminal in the place of stderr; not as a fixture, as pytest takes stderr back before the test."""
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    return terminal


def test_progress_is_shown_with_foreign_text_made_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = screen(monkeypatch)
    events = Events()
    with Display() as display:
        events.subscribe(display.hear)
        events.publish(Progress("install", "fetching [bold]x\x1b[2J"))
        events.publish(Progress("install", "unpacking", 0.5))
        events.publish(ServerChanged("x", "ready", ""))
        with display.paused():
            events.publish(Progress("start", "starting"))
    shown = terminal.getvalue()
    assert "fetching [bold]x\\x1b[2J" in shown
    assert "unpacking" in shown


def test_nothing_is_written_while_a_person_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = screen(monkeypatch)
    with Display() as display:
        with display.paused():
            display.hear(Progress("install", "fetching"))
            assert terminal.getvalue() == ""
        assert "fetching" in terminal.getvalue()
        display.hear(Progress("install", "done", 1.0))


def test_without_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.hear(Progress("install", "fetching"))
    assert capsys.readouterr().err == ""
