"""Makes new tools arrive: announces a change once, holds the answer until the host has listed again,
and knows from what a host did which way to a tool works on it.

Order of truth: what was observed, then the table of hosts, then the assumption that the list is frozen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ServerEvent,
    ToolsListChanged,
)

from warroom_mcp import sdk
from warroom_mcp.approvals import Answer, Asker
from warroom_mcp.events import Event, Events, ToolboxChanged
from warroom_mcp.hosts import abilities_of
from warroom_mcp.models import Ticket

NATIVE = "native"
USE_TOOL = "use_tool"

_EVENTS: dict[str, Callable[[], ServerEvent]] = {
    "tools": ToolsListChanged,
    "prompts": PromptsListChanged,
    "resources": ResourcesListChanged,
}
# Tools first: a host debounces what follows, and the tools are what the model waits for.
_ORDER = ("tools", "prompts", "resources")
_STATE = "warroom.host"


@dataclass
class Host:
    """One connected host, and what it was seen doing.

    `behind` tells whether it has still to list the tools since the latest announcement; `relisted`
    whether it did so when it was last waited for; `called_native` whether it ever called a child's tool
    by name.
    """

    name: str | None = None
    behind: bool = False
    relisted: bool | None = None
    called_native: bool = False
    _listed: anyio.Event = field(default_factory=anyio.Event)

    def listed(self) -> None:
        """The host has asked for the tools."""
        self.behind = False
        self._listed.set()
        self._listed = anyio.Event()

    async def wait_for_list(self) -> None:
        """Return as soon as the host has listed the tools since the latest announcement."""
        while self.behind:
            await self._listed.wait()

    @property
    def route(self) -> str:
        """Which way to a new tool is known to work: `native`, or `use_tool`, which always does."""
        if self.called_native:
            return NATIVE
        known = abilities_of(self.name).relists
        return NATIVE if self.relisted and known is not False else USE_TOOL


class Delivery:
    """All hosts of this process, and the changes that they have still to be told."""

    def __init__(self, events: Events, *, wait: float) -> None:
        self.bus = InMemorySubscriptionBus()
        self._wait = wait
        self._sessions: dict[int, Connection] = {}
        self._hosts: dict[str, Host] = {}
        self._changed: set[str] = set()
        self._unannounced = anyio.Event()
        self._held = 0
        events.subscribe(self._note)

    def host(self, ctx: ServerRequestContext[Any, Any]) -> Host:
        """The host behind a request: one a connection where there is one, else one a client identity."""
        name = sdk.client_name(ctx.session)
        connection = sdk.host_connection(ctx.session)
        if not sdk.is_modern(ctx.protocol_version):
            host: Host = connection.state.setdefault(_STATE, Host())
            host.name = name
            return host
        # A modern request stands alone; on stdio all come from the one host at the other end.
        key = "stdio" if ctx.request is None else f"http:{name}"
        return self._hosts.setdefault(key, Host(name))

    def connected(self, ctx: ServerRequestContext[Any, Any]) -> None:
        """A host of the handshake era is ready for notifications."""
        connection = sdk.host_connection(ctx.session)
        self._sessions[id(connection)] = connection
        connection.exit_stack.callback(self._sessions.pop, id(connection), None)

    async def run(self) -> None:
        """Announce changes that no request is waiting for, such as a child's own; runs until cancelled."""
        while True:
            await self._unannounced.wait()
            # What changes in the same breath goes into the same announcement.
            await anyio.sleep(0.05)
            if self._held == 0:
                await self.announce()
            else:
                self._unannounced = anyio.Event()

    async def announce(self) -> None:
        """Tell all hosts of both eras what changed since the last time."""
        kinds, self._changed = self._changed, set()
        self._unannounced = anyio.Event()
        if "tools" in kinds:
            for host in self._all_hosts():
                host.behind = True
        for kind in (k for k in _ORDER if k in kinds):
            await self.bus.publish(_EVENTS[kind]())
            for connection in list(self._sessions.values()):
                await sdk.send_list_changed(connection, kind)

    def hold(self) -> "Hold":
        """Keep changes back while a request makes them, then announce them together."""
        return Hold(self)

    async def announce_and_wait(self, host: Host) -> None:
        """Announce, then give the host time to list again; one that never did is not waited for twice."""
        await self.announce()
        # Another request of the same host may have made the announcement; then both wait for its list.
        if not host.behind or (host.relisted is False and not host.called_native):
            return
        with anyio.move_on_after(self._wait):
            await host.wait_for_list()
        host.relisted = not host.behind

    def _all_hosts(self) -> list[Host]:
        states = (connection.state.get(_STATE) for connection in self._sessions.values())
        return [*self._hosts.values(), *(host for host in states if host is not None)]

    def _note(self, event: Event) -> None:
        if isinstance(event, ToolboxChanged) and event.kinds:
            self._changed |= event.kinds
            self._unannounced.set()

    def _enter(self) -> None:
        self._held += 1

    def _leave(self) -> None:
        self._held -= 1
        if self._held == 0 and self._changed:
            self._unannounced.set()


class Hold:
    """While entered, nothing is announced but by the one who entered it."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def paused(self, asker: Asker) -> Asker:
        """The same asker; while it asks nothing is kept back, as a person may take minutes."""
        return _PausedAsker(self._delivery, asker)

    def __enter__(self) -> "Hold":
        self._delivery._enter()
        return self

    def __exit__(self, *exc: object) -> None:
        self._delivery._leave()


@dataclass(frozen=True)
class _PausedAsker:
    _delivery: Delivery
    _asker: Asker

    @property
    def administrator(self) -> bool:
        return self._asker.administrator

    async def ask(self, ticket: Ticket) -> Answer | None:
        self._delivery._leave()
        try:
            return await self._asker.ask(ticket)
        finally:
            self._delivery._enter()
