"""Brings children up when they are needed, and lets them sleep when they are not.

Of many callers one starts a child. A failed start may be tried again at once, then later and later; a
child that nobody used for a while is stopped, and wakes at its next use.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from anyio.abc import TaskGroup, TaskStatus

from warroom_mcp.errors import UnknownServer, WarRoomError
from warroom_mcp.events import Events, ServerChanged
from warroom_mcp.manager.child import Child, Owner
from warroom_mcp.manager.entry import LONGEST_BACKOFF, Entry
from warroom_mcp.manager.opening import Opener, PackageInstaller
from warroom_mcp.models import AddedServer, ChildState, Definitions, Speech
from warroom_mcp.settings import Settings
from warroom_mcp.wire.codec import RpcError

MAX_REVIVALS = 8
"""Failures in a row after which a child that is listened to waits for its next use like every other."""
SWEEP_INTERVAL = 5.0
"""Seconds between two looks at who has been idle for too long."""

_logger = logging.getLogger(__name__)
OnDefinitions = Callable[[str, Definitions], Awaitable[None]]


class Waker:
    """Starts and stops the children of entries. The table of entries is the manager's.

    `owner` hears what children ask and tell by themselves; `is_present` says whether an entry still is
    in the table; `on_definitions` is told what a child offers, after each start and change.
    """

    def __init__(
        self,
        settings: Settings,
        opener: Opener,
        installer: PackageInstaller,
        events: Events,
        *,
        is_present: Callable[[Entry], bool],
        on_definitions: OnDefinitions,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self.owner = Owner()
        self._settings = settings
        self._opener = opener
        self._installer = installer
        self._events = events
        self._is_present = is_present
        self._on_definitions = on_definitions
        self._clock = clock
        self._homes: dict[Child, Entry] = {}
        self._tasks: TaskGroup | None = None

    async def awake(self, tasks: TaskGroup, entry: Entry, speech: Speech) -> Child:
        """The running child for such a host, started if need be.

        Raises: UnknownServer, InstallError, ChildError, MissingInput.
        """
        self._tasks = tasks
        if (child := entry.line(speech)) is not None:
            return child
        async with entry.lock:
            if (child := entry.line(speech)) is not None:
                return child
            if (ending := entry.lines.get(entry.key(speech))) is not None:
                await ending.over.wait()
            self._check_present(entry)
            error = entry.waiting(self._clock())
            if error is not None and not await self._opener.may_try_again(error):
                raise error
            return await self._start(tasks, entry, speech)

    async def _start(self, tasks: TaskGroup, entry: Entry, speech: Speech) -> Child:
        first = not entry.lines
        if first:
            self.move(entry, ChildState.STARTING, "It is being started.")
        try:
            child = await self.launch(tasks, entry.server, entry.speech_for(speech), entry)
        except WarRoomError as error:
            self.failed(entry, error)
            raise
        except BaseException:
            if first:
                self.move(entry, ChildState.ASLEEP, "Its start was given up.")
            raise
        try:
            self._check_present(entry)
        except UnknownServer:
            child.stop()
            raise
        child = self.adopt(entry, child, speech)
        await self._on_definitions(entry.name, child.definitions)
        if entry.watched:
            with contextlib.suppress(RpcError, WarRoomError):  # a child that watches nothing can be called
                await child.watch(entry.watched)
        return child

    async def launch(
        self, tasks: TaskGroup, server: AddedServer, speech: Speech, entry: Entry | None = None
    ) -> Child:
        """A started child whose task is in `tasks`; it is ready, and not yet in the table."""
        package = server.plan.package
        startable = None if package.remote else await self._installer.install(package)
        child = Child(
            server.name,
            partial(self._opener.open, server, startable),
            self._settings,
            speech=speech,
            only=entry is not None and entry.only is not None,
            owner=self.owner,
            on_changed=lambda definitions, _: self._on_definitions(server.name, definitions),
        )
        await tasks.start(self._tend, child)
        return child

    async def _tend(self, child: Child, *, task_status: TaskStatus[None]) -> None:
        await child.run(task_status=task_status)
        self._ended(child)

    def adopt(self, entry: Entry, child: Child, speech: Speech) -> Child:
        """Put a ready child into the table; returns the one to use, if another serves such hosts already."""
        if child.modern != speech.modern:
            entry.only = child.modern
            # Only now it is known that hosts of both eras share the line of one.
            if (known := entry.line(speech)) is not None:
                child.stop()
                return known
        entry.lines[entry.key(speech)] = child
        entry.latest = None
        entry.definitions, entry.error = child.definitions, None
        self._homes[child] = entry
        self.move(entry, ChildState.READY, "It is ready.")
        if child.over.is_set():  # it ended while it was being remembered
            self._ended(child)
        return child

    def _ended(self, child: Child) -> None:
        entry = self._homes.pop(child, None)
        if entry is None:
            return
        entry.lines = {key: line for key, line in entry.lines.items() if line is not child}
        entry.latest = None
        if child.failure is not None:
            self.failed(entry, child.failure)
            if entry.watched and self._tasks is not None:
                self._tasks.start_soon(self._revive, entry, child.speech)
        elif not entry.lines:
            self.move(entry, ChildState.ASLEEP, child.farewell)

    async def _revive(self, entry: Entry, speech: Speech) -> None:
        """Start a child again that somebody listens to: nobody would notice its silence.

        Later and later, and no more than `MAX_REVIVALS` times in a row.
        """
        while entry.watched and self._is_present(entry) and not entry.lines:
            pause = entry.retry_at - self._clock()
            if self._tasks is None or pause == math.inf or entry.failures > MAX_REVIVALS:
                return
            await anyio.sleep(min(LONGEST_BACKOFF, max(0.0, pause)))
            try:
                await self.awake(self._tasks, entry, speech)
            except (WarRoomError, RpcError) as error:
                _logger.info("%s is not up again yet: %s", entry.name, error)

    async def put_to_sleep(self) -> None:
        """Stop children that nobody used for `idle_seconds`; runs until it is cancelled."""
        idle = self._settings.idle_seconds
        while idle > 0:
            await anyio.sleep(min(SWEEP_INTERVAL, idle / 4))
            for child, entry in list(self._homes.items()):
                if not child.in_use and not entry.watched and time.monotonic() - child.used > idle:
                    child.stop(f"It was stopped after {idle / 60:.0f} minutes without use.")

    def failed(self, entry: Entry, error: WarRoomError) -> None:
        """Note why an entry does not work, and when it may be tried again; other lines of it work on."""
        entry.note_failure(error, self._clock())
        if not any(child.ready for child in entry.lines.values()):
            self.move(entry, ChildState.FAILED, error.message)

    def move(self, entry: Entry, state: ChildState, reason: str) -> None:
        """An entry is in another state now."""
        entry.state, entry.reason = state, reason
        self._events.publish(ServerChanged(entry.name, state, reason))

    def _check_present(self, entry: Entry) -> None:
        if not self._is_present(entry):
            raise UnknownServer(f"No server is called {entry.name}.")
