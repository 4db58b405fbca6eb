"""The commands for the local copies of the catalogs: sync, status, export, import."""

from pathlib import Path

import anyio
import typer

from warroom_mcp import shapes
from warroom_mcp.cli import failing, views
from warroom_mcp.cli.running import Outcome, Session
from warroom_mcp.errors import InvalidInput


async def sync(session: Session, *, whole: bool) -> Outcome:
    """Bring the copies up to date; 1 when one of them was cut off.

    Raises:
        InvalidInput: the settings say that no registry is to be asked.
    """
    if session.settings.offline:
        raise InvalidInput(
            "The setting offline is on: no registry is asked.",
            hint="Unset WARROOM_OFFLINE, or read a file from another machine with `warroom catalog import`.",
        )
    try:
        done = await session.war_room.finding.sync(whole=whole)
    except anyio.get_cancelled_exc_class():
        typer.echo("What was copied until now is kept, and the next sync goes on with it.", err=True)
        raise
    answer = shapes.rows("synced", [shapes.synced(one) for one in done])
    failed = any(one.failure for one in done)
    return Outcome(answer, views.synced, failing.FAILED if failed else failing.OK)


async def status(session: Session) -> Outcome:
    """What there is of each source, and since when."""
    statuses = await session.war_room.finding.sources()
    answer = shapes.rows("catalog", [shapes.source_status(one) for one in statuses])
    return Outcome(answer, views.catalog)


async def export(session: Session, path: Path) -> Outcome:
    """Write the copies to a file."""
    count = await session.war_room.finding.export(path)
    return Outcome({"file": str(path), "servers": count}, views.exported)


async def import_(session: Session, path: Path) -> Outcome:
    """Read the copies from a file."""
    statuses = await session.war_room.finding.import_(path)
    return Outcome(shapes.rows("catalog", [shapes.source_status(one) for one in statuses]), views.catalog)
