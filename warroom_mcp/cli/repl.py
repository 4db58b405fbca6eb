"""`warroom repl`: one War Room that stays open, and a person who types problems into it.

Lines are kept for the arrow keys while it runs and are not written to disk: problems carry secrets.
"""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio.from_thread

from warroom_mcp.cli import failing, problems, running, servers
from warroom_mcp.cli.preparing import load_settings
from warroom_mcp.cli.running import Outcome, Session, Work

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

PROMPT = "war-room> "
_HELP = "Type a problem, or: status, optimize, help, exit."


def repl(*, as_json: bool, auto_approve: bool) -> int:
    """Read lines until `exit` or the end of input; the exit code. An error ends its line, not the loop."""
    running.set_up_logs()
    try:
        settings = load_settings()
        with (
            anyio.from_thread.start_blocking_portal("asyncio") as portal,
            portal.wrap_async_context_manager(running.opened(settings)) as session,
        ):
            _loop(portal, session, as_json, auto_approve)
    except BaseException as error:
        return running.fail(error, as_json=as_json)
    return failing.OK


def _loop(portal: "BlockingPortal", session: Session, as_json: bool, auto_approve: bool) -> None:
    if session.asker:
        # Arrow keys and history, where the platform has them.
        with suppress(ImportError):
            import readline  # noqa: F401 - importing it is what turns it on
        sys.stderr.write(_HELP + "\n")
    while (line := _read(session)) is not None:
        if line == "exit":
            return
        if line == "help":
            sys.stderr.write(_HELP + "\n")
        elif line:
            _one(portal, session, _work(line, auto_approve), as_json)


def _read(session: Session) -> str | None:
    """The next line; None at the end of input, an empty one after Ctrl-C."""
    try:
        return (_typed() if session.asker else _plain()).strip()
    except EOFError:
        return None
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return ""


def _typed() -> str:
    if sys.stdout.isatty():
        return input(PROMPT)
    # Stdout goes elsewhere and takes answers only.
    sys.stderr.write(PROMPT)
    sys.stderr.flush()
    return input()


def _plain() -> str:
    """A line that no person types: without a prompt, whatever bytes it has."""
    line = sys.stdin.buffer.readline()
    if not line:
        raise EOFError
    return line.decode("utf-8", "replace")


def _work(line: str, auto_approve: bool) -> Work:
    if line == "status":
        return servers.listed
    if line == "optimize":
        return lambda session: servers.optimize(session, apply=True)
    return lambda session: problems.solve(session, line, auto_approve=auto_approve)


def _one(portal: "BlockingPortal", session: Session, work: Work, as_json: bool) -> None:
    """Run one line; Ctrl-C ends the line only."""

    async def carried() -> Outcome:
        return await running.carried(work, session)

    future = portal.start_task_soon(carried)
    try:
        running.deliver(future.result(), as_json=as_json)
    except (Exception, KeyboardInterrupt) as error:
        running.fail(error, as_json=as_json)
    finally:
        future.cancel()
