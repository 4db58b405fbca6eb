"""Makes new tools arrive: announces a change once, and holds the answer until the host has listed again.

What a host was seen doing, what it declared, and the table of hosts decide which way to a tool is named,
and how many tools it is shown: see `warroom_mcp/hosts/route.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from warroom_mcp.approvals import Answer, Asker, Opener
from warroom_mcp.events import Event, Events, ToolboxChanged
from warroom_mcp.hosts import abilities_of
from warroom_mcp.hosts.abilities import Elicitation
from warroom_mcp.hosts.route import Declared, Route, Seen, decide_route, native_budget, split_by_budget
from warroom_mcp.models import Ticket
from warroom_mcp.server.answers import Reach
from warroom_mcp.server.caller import Host, opens_urls, shows_forms
from warroom_mcp.server.subscriptions import Subscriptions
from warroom_mcp.toolbox import OWN_NAMES, Toolbox

# Tools first: a host debounces what follows, and the tools are what the model waits for.
_ORDER = ("tools", "prompts", "resources")


def route(host: Host) -> Route:
    """Which way to a new tool is known to work on a host."""
    elicitation = Elicitation(shows_forms(host.capabilities), opens_urls(host.capabilities))
    return decide_route(
        Seen(host.relisted, host.called_native),
        Declared(elicitation, host.modern, host.listens),
        abilities_of(host.name, host.release),
    )


class Delivery:
    """The changes that the hosts of this process have still to be told."""

    def __init__(
        self, events: Events, toolbox: Toolbox, subscriptions: Subscriptions, *, wait: float
    ) -> None:
        self._wait = wait
        self._toolbox = toolbox
        self._subscriptions = subscriptions
        self._hosts: dict[Host, None] = {}
        self._changed: set[str] = set()
        self._unannounced = anyio.Event()
        self._held = 0
        events.subscribe(self._note)

    def met(self, host: Host) -> None:
        """A host asked something: from now on it is behind after each announcement."""
        self._hosts.setdefault(host, None)

    def only(self) -> Host | None:
        """The one host of this process, if there is but one."""
        return next(iter(self._hosts)) if len(self._hosts) == 1 else None

    def gone(self, host: Host) -> None:
        """A host has left."""
        self._hosts.pop(host, None)

    async def run(self) -> None:
        """Announce changes that no request is waiting for, such as a child's own; runs until cancelled."""
        while True:
            await self._unannounced.wait()
            # What changes in the same breath goes into the same announcement.
            await anyio.sleep(0.05)
            if self._held == 0:
                self.announce()
            else:
                self._unannounced = anyio.Event()

    def hidden(self, host: Host) -> frozenset[str]:
        """The tools that a host does not list, as it takes no more: they are found and used all the same."""
        budget = native_budget(abilities_of(host.name, host.release), len(OWN_NAMES))
        if budget is None:
            return frozenset()
        names = [tool.name for tool in self._toolbox.tools()]
        return frozenset(split_by_budget(names, host.used, budget)[1])

    def reach(self, host: Host) -> Reach:
        """How a host reaches the tools of children, as far as is known by now."""
        return Reach(route(host), self.hidden(host))

    def announce(self) -> None:
        """Tell all hosts of both eras what changed since the last time."""
        if not self._changed:  # and `run` goes on waiting for what it waits for
            return
        kinds, self._changed = self._changed, set()
        self._unannounced = anyio.Event()
        if "tools" in kinds:
            for host in self._hosts:
                host.behind = True
        for kind in (k for k in _ORDER if k in kinds):
            self._subscriptions.publish(kind)

    def hold(self) -> Hold:
        """Keep changes back while a request makes them, then announce them together."""
        return Hold(self)

    async def announce_and_wait(self, host: Host) -> None:
        """Announce, then give the host time to list again; one that never did is not waited for twice."""
        self.announce()
        # Another request of the same host may have made the announcement; then both wait for its list.
        if not host.behind or (host.relisted is False and not host.called_native):
            return
        with anyio.move_on_after(self._wait):
            await host.wait_for_list()
        host.relisted = not host.behind

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

    def __enter__(self) -> Hold:
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

    async def open(self, url: str, why: str) -> bool:
        if not isinstance(self._asker, Opener):
            return False
        self._delivery._leave()
        try:
            return await self._asker.open(url, why)
        finally:
            self._delivery._enter()
