"""A War Room whose servers are given commands or addresses, in the place of approved packages.

For tests and benchmarks of what happens once a server is added: `python -m tests.preloaded --home DIR
(--stdio | --http PORT) (--command CMD | --url URL) [--name NAME] [--count N] [--bare] [--lazy]`, or with
`--server NAME=CMD` and `--server NAME=URL`, as often as there are servers. Only the installer is a
stand-in; everything from the manager on is the real thing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shlex
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from warroom_mcp.errors import WarRoomError
from warroom_mcp.models import AddedServer, LaunchPlan, Package, PackageKind
from warroom_mcp.server import greeting
from warroom_mcp.server.caller import Caller
from warroom_mcp.server.gateway import Gateway
from warroom_mcp.settings import Settings
from warroom_mcp.store.digest import digest
from warroom_mcp.warroom import AsyncWarRoom


class _AsPlanned:
    passes = frozenset({"PYTHONPATH", "VIRTUAL_ENV"})

    def command(self, plan: LaunchPlan) -> tuple[str, ...]:
        return plan.command


class CommandInstaller:
    """Installs nothing: the plan's portable command is what is started."""

    async def install(self, package: Package) -> _AsPlanned:
        return _AsPlanned()


def added(name: str, *, command: str | None = None, url: str | None = None) -> AddedServer:
    """A server as if a person had approved it."""
    kind = PackageKind.NPM if command is not None else PackageKind.HTTP
    package = Package(kind, url or name, "1.0.0" if command is not None else None)
    # A child runs in a directory of its own; commands are written for this one.
    argv = ("env", "-C", str(Path.cwd()), *shlex.split(command)) if command is not None else ()
    plan = LaunchPlan(name, f"test:{name}", package, argv)
    return AddedServer(plan, digest(plan), "a test", datetime.now(UTC))


def war_room(settings: Settings) -> AsyncWarRoom:
    """A War Room with an installer of commands; what is in the config file counts as approved."""
    room = AsyncWarRoom(settings)
    room._manager._waker._installer = CommandInstaller()
    room._manager._installer = CommandInstaller()

    async def yes(_: str) -> object:
        return True

    room._manager._approved = yes
    return room


class PreloadedGateway(Gateway):
    """A gateway whose servers come with it: they start with the first request of a host, as it speaks."""

    def __init__(self, room: AsyncWarRoom, servers: Sequence[AddedServer], *, start: bool) -> None:
        super().__init__(room)
        self._servers = servers
        self._started = not start

    async def run(self, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
        for server in self._servers:
            self.war_room._manager._config.add(server)
        async with anyio.create_task_group() as tasks:
            await tasks.start(super().run)
            await self.war_room.refresh()
            task_status.started()

    def take(self, caller: Caller) -> None:
        if self._started or caller.method in greeting.HANDSHAKE_METHODS:
            super().take(caller)
        else:
            self._started = True
            self.war_room.later(self._start, caller)

    async def _start(self, caller: Caller) -> None:
        async with anyio.create_task_group() as tasks:
            for server in self._servers:
                tasks.start_soon(self._wake, server.name, caller)
        super().take(caller)

    async def _wake(self, name: str, caller: Caller) -> None:
        with contextlib.suppress(WarRoomError):  # one that cannot start is no matter of the others
            await self.war_room.wake(name, caller.speech)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--http", type=int)
    parser.add_argument("--command")
    parser.add_argument("--url")
    parser.add_argument("--server", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--name", default="child")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--lazy", action="store_true")
    given = parser.parse_args()
    names = [given.name] if given.count == 1 else [f"{given.name}{i}" for i in range(given.count)]
    if given.server:
        servers = [_named(one) for one in given.server]
    else:
        servers = [added(name, command=given.command, url=given.url) for name in names]
    settings = Settings(home=given.home, tool_names="plain" if given.bare else "prefixed")

    def make() -> Gateway:
        return PreloadedGateway(war_room(settings), servers, start=not given.lazy)

    if given.stdio:
        from warroom_mcp.server.serve import serve_stdio

        given.home.mkdir(parents=True, exist_ok=True)
        config = given.home / "mcp-config.json"
        if not config.exists():
            config.write_text("{}", encoding="utf-8")
        asyncio.run(serve_stdio(str(given.home), make))
    else:
        _serve_http(make(), given.http)


def _named(server: str) -> AddedServer:
    name, _, what = server.partition("=")
    return added(name, url=what) if what.startswith("http") else added(name, command=what)


def _serve_http(gateway: Gateway, port: int) -> None:
    import uvicorn

    from warroom_mcp.server.http import http_app

    listening = socket.create_server(("127.0.0.1", port))
    app = http_app(gateway, host="127.0.0.1", token=None)

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"}), flush=True)  # noqa: T201

    server = Announcing(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    server.run(sockets=[listening])


if __name__ == "__main__":
    try:
        main()
    except WarRoomError as error:
        raise SystemExit(error.message) from error
