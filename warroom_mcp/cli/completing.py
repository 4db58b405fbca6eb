"""What shells complete: names of servers, tickets that wait. Reads state, never makes it, never fails."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def server_names(incomplete: str) -> list[str]:
    """The names in the config file."""
    return [name for name in _quietly(_names) if name.startswith(incomplete)]


def ticket_ids(incomplete: str) -> list[tuple[str, str]]:
    """The tickets that wait, with what each is about."""
    return [row for row in _quietly(_tickets) if row[0].startswith(incomplete)]


def _quietly(read: Callable[[], list[T]]) -> list[T]:
    try:
        return read()
    except Exception:
        # A shell that completes has no place to show an error.
        return []


def _names() -> list[str]:
    from warroom_mcp.cli.preparing import load_settings
    from warroom_mcp.store.config import ConfigFile

    return list(ConfigFile(load_settings().config_file).load().servers)


def _tickets() -> list[tuple[str, str]]:
    import anyio

    from warroom_mcp.cli.preparing import load_settings
    from warroom_mcp.cli.visible import one_line
    from warroom_mcp.models import TicketState
    from warroom_mcp.store.sqlite import SqliteStore

    database = load_settings().database
    if not database.is_file():
        return []

    async def read() -> list[tuple[str, str]]:
        store = SqliteStore(database)
        try:
            return [(t.id, one_line(t.plan.candidate_id)) for t in await store.tickets(TicketState.PENDING)]
        finally:
            await store.aclose()

    return anyio.run(read)
