"""`warroom serve`: the MCP server on stdin and stdout, or on a loopback port. Stdout belongs to MCP.

Hosts wait for the first answer: what it does not need is imported when it is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from warroom_mcp.places import find_home

if TYPE_CHECKING:
    from warroom_mcp.server.gateway import Gateway


def serve() -> int:
    """Serve the host on stdin and stdout until it leaves or a signal asks to stop; the exit code."""
    from warroom_mcp.server.serve import serve_stdio

    def run() -> None:
        home = find_home()
        if (home / "settings.toml").exists():
            # The rest of the settings is looked at when the gateway is needed, and told to the host then.
            from warroom_mcp.cli.preparing import check_settings_file

            check_settings_file()
        asyncio.run(serve_stdio(str(home), make_gateway))

    return _told_on_stderr(run)


def serve_http(host: str, port: int, *, open_to_all: bool) -> int:
    """Serve hosts over HTTP; errors go to stderr only. `open_to_all` needs no token."""

    def run() -> None:
        import anyio

        gateway = make_gateway()
        from warroom_mcp.server import http, token

        secret = None if open_to_all else token.http_token(gateway.war_room.settings.home)
        anyio.run(lambda: http.serve(gateway, host=host, port=port, token=secret))

    return _told_on_stderr(run)


def make_gateway() -> Gateway:
    """A gateway by the settings of this process. Blocks: it loads nearly everything.

    Raises: InvalidInput, ConfigCorrupt: a setting is wrong.
    """
    from warroom_mcp.cli.preparing import load_settings

    settings = load_settings()
    from warroom_mcp.server.gateway import Gateway
    from warroom_mcp.telemetry import configure_logging
    from warroom_mcp.warroom import AsyncWarRoom

    configure_logging()
    return Gateway(AsyncWarRoom(settings))


def _told_on_stderr(run: Callable[[], None]) -> int:
    try:
        run()
    except BaseException as raised:
        # Loaded only now: it brings what prints to a terminal.
        from warroom_mcp.cli.failing import exit_code, single, tell

        error = single(raised)
        if isinstance(error, (SystemExit, GeneratorExit)):
            raise
        tell(error)
        return exit_code(error)
    return 0
