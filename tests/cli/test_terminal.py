"""What a person at a real (pseudo) terminal sees and types."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from tests.cli.test_approving import keep, state
from tests.cli.values import ticket
from warroom_mcp.cli import terminal
from warroom_mcp.cli.terminal import TerminalAsker
from warroom_mcp.models import Approver, Ticket, TicketState

if sys.platform == "win32":
    pytest.skip("pseudo terminals are a matter of POSIX", allow_module_level=True)

import pty
import signal

# Each test starts real processes.
pytestmark = pytest.mark.slow

DEADLINE = 60.0


class Terminal:
    """A command whose stdin and stderr are a terminal; stdout goes to a pipe."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], cwd: Path) -> None:
        self.shown = ""
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "warroom_mcp", *arguments],
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
        os.close(slave)

    def until(self, text: str) -> None:
        """Read what is shown until a text appears."""
        end = time.monotonic() + DEADLINE
        while text not in self.shown:
            ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} never appeared in {self.shown!r}"
            self.shown += self._read()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> tuple[int, str]:
        """Exit code and stdout, once the command has ended."""
        out, _ = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out.decode()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._master)

    def _read(self) -> str:
        try:
            return os.read(self._master, 65536).decode("utf-8", "replace")
        except OSError:
            # Linux answers so when the last process has let go of the terminal.
            pytest.fail(f"the command ended early: {self.shown!r}")


@pytest.fixture
def at_terminal(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Run a command at a terminal."""
    opened: list[Terminal] = []

    def run(*arguments: str) -> Terminal:
        opened.append(Terminal(arguments, environment, tmp_path))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


def test_the_word_yes_approves_what_the_card_shows(home: Path, at_terminal: Callable[..., Terminal]) -> None:
    keep(home, ticket())
    person = at_terminal("approve", "t-1")
    person.until("Type yes")
    assert "Runs: npx -y mcp-server-redis@1.2.3" in person.shown
    person.type("yes\n")
    code, out = person.end()
    assert (code, "t-1" in out) == (0, True)
    assert state(home, "t-1") == (TicketState.APPROVED, "terminal")
    assert (home / "admin-token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("typed", ["y\n", "\x04"])
def test_anything_else_approves_nothing(typed: str, home: Path, at_terminal: Callable[..., Terminal]) -> None:
    keep(home, ticket())
    person = at_terminal("approve", "t-1")
    person.until("Type yes")
    person.type(typed)
    assert person.end() == (3, "")
    assert state(home, "t-1") == (TicketState.PENDING, None)


def test_an_interrupted_question_approves_nothing(home: Path, at_terminal: Callable[..., Terminal]) -> None:
    keep(home, ticket())
    person = at_terminal("approve", "t-1")
    person.until("Type yes")
    person.process.send_signal(signal.SIGINT)
    assert person.end() == (130, "")
    person.until("error [interrupted]")
    assert "Traceback" not in person.shown
    assert "Fatal" not in person.shown
    assert state(home, "t-1") == (TicketState.PENDING, None)


def test_the_repl_ends_at_exit(at_terminal: Callable[..., Terminal]) -> None:
    person = at_terminal("repl")
    person.until("war-room> ")
    person.type("status\n")
    person.until("war-room> ")
    person.type("exit\n")
    code, out = person.end()
    assert (code, out) == (0, "No server is added yet: `warroom solve` with a problem, or `warroom find`.\n")


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "approver", "approved"),
    [
        ("y", Approver.PERSON, True),
        (" YES ", Approver.PERSON, True),
        ("yes", Approver.ADMINISTRATOR, True),
        ("y", Approver.ADMINISTRATOR, None),
        ("n", Approver.PERSON, False),
        ("no", Approver.ADMINISTRATOR, False),
        ("", Approver.PERSON, None),
        ("yes please", Approver.PERSON, None),
    ],
)
async def test_an_answer_is_yes_no_or_left_open(
    typed: str, approver: Approver, approved: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def line(_: str) -> str:
        return typed

    monkeypatch.setattr(terminal, "read_line", line)
    answer = await TerminalAsker().ask(ticket(approver=approver))
    assert (answer.approved if answer else None) is approved
    assert answer is None or answer.by == "terminal"


async def test_the_card_cannot_move_the_cursor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: Ticket = ticket()
    monkeypatch.setattr(terminal, "read_line", _nothing)
    object.__setattr__(shown, "card", ("Runs: \x1b[2Jnpx",))
    await TerminalAsker().ask(shown)
    assert "Runs: \\x1b[2Jnpx\n" in capsys.readouterr().err


async def _nothing(_: str) -> str:
    return ""


async def test_a_cancelled_question_lets_go_at_once() -> None:
    read, write = os.pipe()

    class Stdin:
        def fileno(self) -> int:
            return read

    with pytest.MonkeyPatch.context() as patch, anyio.fail_after(5):
        patch.setattr(sys, "stdin", Stdin())
        with anyio.move_on_after(0.05) as scope:
            await terminal.read_line("? ")
        assert scope.cancelled_caught
        # The reader that was left behind takes what comes next, and nothing breaks.
        os.write(write, b"late\n")
    os.close(write)
