"""The manager with real (fake) children, an installer that installs nothing, and memories made of dicts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from tests.children.processes import fake, modern
from warroom_mcp.engine.local import LocalEngine
from warroom_mcp.errors import InstallFailed, StateNotWritable
from warroom_mcp.events import Event, Events, ServerChanged
from warroom_mcp.manager import Manager
from warroom_mcp.manager.tally import Tally
from warroom_mcp.models import (
    AddedServer,
    ChildState,
    Definitions,
    LaunchPlan,
    Package,
    PackageKind,
    Speech,
    ToolUsage,
)
from warroom_mcp.settings import Settings


class Memory:
    """A definition store in a dict, which can be told to fail."""

    def __init__(self) -> None:
        self.kept: dict[str, Definitions] = {}
        self.tally = Tally()
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise StateNotWritable("the disk is full")

    async def keep_definitions(self, server: str, definitions: Definitions) -> None:
        self._check()
        self.kept[server] = definitions

    async def definitions(self, server: str) -> Definitions | None:
        return self.kept.get(server)

    async def forget(self, server: str) -> None:
        self.kept.pop(server, None)

    async def add_usage(self, usage: Sequence[ToolUsage]) -> None:
        self._check()
        self.tally.add(usage)

    async def usage(self) -> tuple[ToolUsage, ...]:
        return self.tally.on_top_of(())


@dataclass
class Config:
    """A config file in memory."""

    servers: dict[str, AddedServer] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    broken: bool = False

    def load(self) -> "Config":
        return self

    def add(self, server: AddedServer, *, new: bool = False) -> None:
        if self.broken:
            raise StateNotWritable("the file cannot be written")
        self.servers[server.name] = server

    def remove(self, name: str) -> None:
        if self.broken:
            raise StateNotWritable("the file cannot be written")
        self.servers.pop(name, None)


@dataclass(frozen=True)
class Ready:
    """An installed package whose program is a child in the mode that its name says: `ok`, `modern/dual`."""

    argv: tuple[str, ...]
    passes: frozenset[str] = frozenset()

    def command(self, plan: LaunchPlan) -> tuple[str, ...]:
        return self.argv


class Installer:
    """Installs nothing; counts."""

    def __init__(self, here: Path) -> None:
        self._here = here
        self.asked: list[str] = []

    async def install(self, package: Package) -> Ready:
        self.asked.append(package.identifier)
        if package.identifier == "missing":
            raise InstallFailed("it is not there")
        program, _, mode = package.identifier.rpartition("/")
        start = modern if program == "modern" else fake
        return Ready(tuple(start(mode, self._here / mode)))


@dataclass
class House:
    """A manager and everything around it."""

    manager: Manager
    memory: Memory
    config: Config
    installer: Installer
    events: list[Event] = field(default_factory=list)
    _news: anyio.Event = field(default_factory=anyio.Event)

    def states(self, name: str) -> list[str]:
        return [e.state for e in self.events if isinstance(e, ServerChanged) and e.server == name]

    async def state(self, name: str) -> ChildState:
        return next(one.state for one in await self.manager.statuses() if one.name == name)

    async def pid(self, name: str) -> int:
        (child,) = self.manager._entries[name].lines.values()
        assert child.pid is not None
        return child.pid

    async def becomes(self, name: str, state: ChildState) -> None:
        """Return when a server is in that state."""
        while self.manager._entries[name].state is not state:
            await self.changes()

    async def changes(self) -> None:
        """Return at the next event."""
        self._news = anyio.Event()
        await self._news.wait()

    def hear(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def call(
        self, name: str, mode: str = "", tool: str = "echo", speech: Speech | None = None
    ) -> dict[str, Any]:
        params = {"name": tool, "arguments": {"mode": mode}}
        return await self.manager.request(name, "tools/call", params, speech)


@asynccontextmanager
async def house(
    here: Path,
    config: Config | None = None,
    memory: Memory | None = None,
    given: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[House]:
    """A manager that has been entered; `given` are settings, `options` are its own."""
    events = Events()
    config, memory, installer = config or Config(), memory or Memory(), Installer(here)
    deadlines: dict[str, Any] = {"start_deadline": 10, "call_deadline": 10, "stop_deadline": 1}
    settings = Settings(**{"home": here / "home", **deadlines, **(given or {})})
    engine = LocalEngine()
    manager = Manager(settings, memory, config, installer, engine, events, **options)
    our = House(manager, memory, config, installer)
    events.subscribe(our.hear)
    with anyio.fail_after(30):
        async with manager:
            yield our


def server(
    mode: str = "ok", name: str | None = None, secrets: Mapping[str, str] | None = None
) -> AddedServer:
    """An approved server whose child is in that mode."""
    package = Package(PackageKind.NPM, mode, "1.0.0")
    plan = LaunchPlan(name or mode.rpartition("/")[2], f"npm:{mode}", package, secrets=secrets or {})
    return AddedServer(plan, "digest", "terminal", datetime.now(UTC))
