"""The person at the terminal: whether there is one, and what they answer to a card.

A model that may run commands has pipes for stdin and stderr, and no terminal: it can ask, and never
answers. Whoever sits at the real terminal of this machine counts as its administrator.
"""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress

import anyio
from anyio import from_thread, lowlevel

from warroom_mcp.approvals import Answer
from warroom_mcp.cli.visible import visible
from warroom_mcp.models import Approver, Ticket

BY = "terminal"
_YES, _NO = "yes", "no"
# A line of an answer; whatever is longer is no answer.
_LINE_BYTES = 4096


def person_present() -> bool:
    """Whether a person can read what stderr shows and type on stdin."""
    try:
        return os.isatty(sys.stdin.fileno()) and os.isatty(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False


class TerminalAsker:
    """Shows the whole card and asks; `quiet` keeps other output off the terminal meanwhile."""

    administrator = True

    def __init__(self, quiet: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._quiet = quiet
        # Needs are covered one after another, but nothing here relies on it.
        self._turn = anyio.Lock()

    async def ask(self, ticket: Ticket) -> Answer | None:
        """Yes, no, or None when the person leaves it open (an empty line, the end of input)."""
        async with self._turn:
            with self._quiet():
                show_card(ticket)
                return _answer(await read_line(_question(ticket)), ticket)

    async def confirm(self, ticket: Ticket) -> bool:
        """Whether the person typed `yes`, the whole word."""
        async with self._turn:
            with self._quiet():
                show_card(ticket)
                line = await read_line("Type yes to approve exactly this: ")
                return line.strip().lower() == _YES


def show_card(ticket: Ticket) -> None:
    """Write the card to stderr, line by line as it was made."""
    lines = [f"--- approval {ticket.id}: {ticket.why}", *ticket.card, "---"]
    sys.stderr.write("".join(visible(line) + "\n" for line in lines))
    sys.stderr.flush()


async def read_line(prompt: str) -> str:
    """One line from the terminal, empty at the end of input; a cancelled reader is left behind.

    What was typed before the prompt was shown is thrown away: it was no answer to it.
    """
    _forget_typed()
    sys.stderr.write(prompt)
    sys.stderr.flush()
    token = lowlevel.current_token()
    send, receive = anyio.create_memory_object_stream[str](1)

    def read() -> None:
        # Not through sys.stdin: its lock, held by a thread left behind, would crash the interpreter's end.
        try:
            line = os.read(sys.stdin.fileno(), _LINE_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError):
            line = ""
        with suppress(Exception):
            from_thread.run_sync(send.send_nowait, line, token=token)

    threading.Thread(target=read, name="terminal", daemon=True).start()
    with send, receive:
        return await receive.receive()


def _forget_typed() -> None:
    with suppress(ImportError):
        import termios

        with suppress(termios.error, OSError, ValueError):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def _question(ticket: Ticket) -> str:
    yes = _YES if ticket.approver is Approver.ADMINISTRATOR else "y"
    return f"Start exactly this? [{yes} = approve, n = refuse, Enter = decide later] "


def _answer(line: str, ticket: Ticket) -> Answer | None:
    """What is confirmed as an administrator takes the whole word."""
    word = line.strip().lower()
    yes = (_YES,) if ticket.approver is Approver.ADMINISTRATOR else ("y", _YES)
    if word in yes:
        return Answer(True, BY)
    return Answer(False, BY) if word in ("n", _NO) else None
