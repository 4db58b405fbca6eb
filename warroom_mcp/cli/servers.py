"""The commands about servers and their tools: add, list, remove, optimize, tools, call, stats."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import anyio

from warroom_mcp import shapes
from warroom_mcp.cli import failing, views
from warroom_mcp.cli.running import Outcome, Session
from warroom_mcp.cli.visible import visible
from warroom_mcp.errors import InvalidArguments, InvalidInput


async def add(
    session: Session, candidate_id: str, values: Mapping[str, str], *, auto_approve: bool
) -> Outcome:
    """Add one candidate."""
    added = await session.war_room.add_server(
        candidate_id, parameters=values, auto_approve=auto_approve, asker=session.asker
    )
    return Outcome(shapes.added(added), views.added)


async def listed(session: Session) -> Outcome:
    """Every server."""
    statuses = await session.war_room.list_servers()
    return Outcome(shapes.rows("servers", [shapes.server(s) for s in statuses]), views.servers)


async def remove(session: Session, name: str) -> Outcome:
    """Stop and forget a server."""
    await session.war_room.remove_server(name)
    return Outcome({"removed": name}, views.removed)


async def authorize(session: Session, name: str) -> Outcome:
    """Have the person authorise a remote server."""
    trouble = await session.war_room.authorize(name, BrowserOpener())
    return Outcome({"authorized": name, **({"note": trouble} if trouble else {})}, views.authorized)


class BrowserOpener:
    """Shows a page in the person's browser; its address goes to stderr as well, for those without one."""

    async def open(self, url: str, why: str) -> bool:
        """Open the page."""
        import webbrowser

        sys.stderr.write(f"{visible(why)}\nOpen this page to agree:\n{visible(url)}\n")
        sys.stderr.flush()
        with suppress(webbrowser.Error):
            await anyio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True)
        return True


async def optimize(session: Session, *, apply: bool) -> Outcome:
    """What to retire; with `apply` it is done."""
    proposals = await session.war_room.optimize(apply=apply)
    return Outcome(shapes.proposals(proposals, applied=apply), views.proposals)


async def tools(session: Session, query: str, limit: int) -> Outcome:
    """The tools that match, or all."""
    await session.war_room.refresh()
    every = session.war_room.toolbox.tools()
    matches = await session.war_room.find_tools(query, limit) if query else every
    answer = {**shapes.rows("tools", [shapes.tool(t) for t in matches]), "available": len(every)}
    return Outcome(answer, views.tools)


async def call(session: Session, tool: str, arguments: str) -> Outcome:
    """Call a tool; its own error is exit code 1."""
    given = parse_arguments(arguments)
    answer = await session.war_room.call_tool(tool, given)
    return Outcome(answer, views.called, failing.FAILED if answer.get("isError") else failing.OK)


async def stats(session: Session) -> Outcome:
    """How often each tool was called."""
    statuses = await session.war_room.list_servers()
    usage = [shapes.usage(used) for status in statuses for used in status.usage]
    return Outcome(shapes.rows("usage", usage), views.stats)


def parse_arguments(text: str) -> dict[str, Any]:
    """A tool's arguments.

    Raises:
        InvalidArguments: the text is no JSON object.
    """
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArguments(f"The arguments are not JSON: {error}.", hint=_EXAMPLE) from None
    if not isinstance(arguments, dict):
        raise InvalidArguments("The arguments are not a JSON object.", hint=_EXAMPLE)
    return arguments


_EXAMPLE = """Write a JSON object, in quotes of the shell: '{"name": "value"}'."""


def parse_values(settings: Sequence[str]) -> dict[str, str]:
    """Values for a server's inputs out of `NAME=VALUE`.

    Raises:
        InvalidInput: one has no name or no `=`; its text is not repeated, as it may be a secret.
    """
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(
                "A --set has no NAME=VALUE.",
                hint="Write --set NAME=VALUE; for a secret the value is a reference, as env:NAME.",
            )
        values[name.strip()] = value
    return values
