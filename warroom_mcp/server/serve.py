"""Runs the server on a transport until the host leaves or a signal asks it to stop."""

import signal
from contextlib import suppress

import anyio

from warroom_mcp.addresses import is_loopback
from warroom_mcp.errors import InvalidInput
from warroom_mcp.server.app import WarRoomServer, build_server
from warroom_mcp.server.stdio import host_stdio
from warroom_mcp.settings import Settings
from warroom_mcp.warroom import AsyncWarRoom


async def serve_stdio(settings: Settings | None = None) -> None:
    """Serve one host on stdin and stdout; returns at end of input, SIGTERM or SIGINT."""
    war_room = AsyncWarRoom(settings)
    server = build_server(war_room)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, tasks.cancel_scope)
        async with host_stdio(war_room.settings.max_message_bytes) as (read, write):
            await server.run(read, write, server.create_initialization_options())
        tasks.cancel_scope.cancel()


async def serve_http(host: str, port: int, settings: Settings | None = None) -> None:
    """Serve hosts of both eras over Streamable HTTP at `/mcp`, on a loopback address only.

    Raises:
        InvalidInput: the address is not a loopback address.
    """
    if not is_loopback(host):
        raise InvalidInput(
            f"{host} is not a loopback address; War Room starts programs and is not served to a network.",
            hint="Use --host 127.0.0.1, and a tunnel that authenticates if it has to be reached from afar.",
        )
    server = build_server(AsyncWarRoom(settings))
    await _run_http(server, host, port)


async def _run_http(server: WarRoomServer, host: str, port: int) -> None:
    import uvicorn

    # The host given here turns on the allow-list of Host and Origin headers against DNS rebinding.
    app = server.streamable_http_app(host=host)
    config = uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=3)
    await uvicorn.Server(config).serve()


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    # Not every platform has them; there the end of input is the only way out.
    with suppress(NotImplementedError), anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()
            return
