"""Keeps the added servers as they are desired: adds, wakes, restarts and removes children."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus

from warroom_mcp.echo import echoed
from warroom_mcp.engine import Engine
from warroom_mcp.errors import (
    ApprovalRequired,
    ChildGone,
    InvalidInput,
    StateError,
    UnknownServer,
    WarRoomError,
)
from warroom_mcp.events import Events, ServerChanged, ToolboxChanged
from warroom_mcp.manager import secrets
from warroom_mcp.manager.desired import DefinitionStore, Desired, DesiredState
from warroom_mcp.manager.entry import Entry, repeatable, uncertain
from warroom_mcp.manager.kept import NOT_ADDED, STILL_ADDED, telling_kept
from warroom_mcp.manager.opening import Opener, PackageInstaller, Resolve
from warroom_mcp.manager.status import foreign_status, memory_of, status
from warroom_mcp.manager.tally import Tally
from warroom_mcp.models import (
    AddedServer,
    ChildState,
    Definitions,
    Package,
    ServerStatus,
    ToolUsage,
)
from warroom_mcp.settings import Settings

if TYPE_CHECKING:
    from warroom_mcp.manager.child import Child
    from warroom_mcp.sdk import OnProgress

_logger = logging.getLogger(__name__)

FLUSH_INTERVAL = 30.0
"""Seconds between two hand-overs of the usage counts; that much is lost if War Room is killed."""
LAST_FLUSH_DEADLINE = 2.0


class Manager:
    """The children of one War Room, in a task group of its own: they survive the request that started them.

    Entered and left in the same task. `on_definitions` is told what each server offers whenever that
    becomes known or changes; without it a `ToolboxChanged` event is published instead. `approved` looks
    an approval up by its digest; with it, a config entry whose digest nobody approved is not started.
    """

    def __init__(
        self,
        settings: Settings,
        store: DefinitionStore,
        config: DesiredState,
        installer: PackageInstaller,
        engine: Engine,
        events: Events,
        *,
        on_definitions: Callable[[str, Definitions], None] | None = None,
        approved: Callable[[str], Awaitable[object]] | None = None,
        resolve: Resolve = secrets.resolve,
        clock: Callable[[], float] = anyio.current_time,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._config = config
        self._installer = installer
        self._engine = engine
        self._events = events
        self._on_definitions = on_definitions
        self._approved = approved
        self._clock = clock
        self._client_options = client_options
        self._opener = Opener(settings, engine, resolve=resolve)
        self._entries: dict[str, Entry] = {}
        self._foreign: dict[str, str] = {}
        self._adding: dict[str, anyio.Lock] = {}
        self._restoring = anyio.Lock()
        self._tally = Tally()
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = await anyio.create_task_group().__aenter__()
        self._group.start_soon(self._flush_now_and_then)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every child, hand over the counts, and let the engine go; bounded, also under cancellation."""
        group = self._tasks
        try:
            with anyio.CancelScope(shield=True):
                children = [entry.child for entry in self._entries.values() if entry.child is not None]
                for child in children:
                    child.stop()
                with anyio.move_on_after(LAST_FLUSH_DEADLINE):
                    await self._flush_or_log()
                for child in children:
                    await child.over.wait()
        finally:
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)
            with anyio.CancelScope(shield=True):
                await self._engine.aclose()

    @property
    def _tasks(self) -> TaskGroup:
        if self._group is None:
            raise RuntimeError("the manager has not been entered")
        return self._group

    # --- desired state -----------------------------------------------------------------------

    async def restore(self) -> None:
        """Make memory follow the config file: new servers come in asleep, with what they offered last;
        servers that another War Room took out are stopped. Starts nothing.

        Raises: ConfigCorrupt, StateError.
        """
        async with self._restoring:
            # Those that are added while the file is read are not in what was read, and stay.
            before = dict(self._entries)
            desired = await to_thread.run_sync(self._config.load)
            for name, entry in before.items():
                wanted = desired.servers.get(name)
                gone = wanted is None or wanted.approved != entry.server.approved
                if gone and self._entries.get(name) is entry:
                    await self._drop(name)
            await self._take_up(desired)

    async def _take_up(self, desired: Desired) -> None:
        """Put what the config has and memory has not into the table, asleep."""
        self._foreign = dict(desired.foreign)
        for name, server in desired.servers.items():
            if name in self._entries:
                continue
            if self._approved is not None and not await self._approved(server.approved):
                self._foreign[name] = "nobody approved exactly this"
                continue
            known = await self._store.definitions(name)
            if name in self._entries:  # it was added meanwhile, and runs
                continue
            self._entries[name] = Entry(server, known or Definitions())
            if known is not None:
                self._tell(name, Definitions(), known)

    async def prefetch(self, package: Package) -> None:
        """Install a package and run nothing of it.

        Raises: InstallError.
        """
        self._tasks.start_soon(_child_class)  # loading the SDK takes as long as a small installation
        if not package.remote:
            await self._installer.install(package)

    async def add(self, server: AddedServer) -> Definitions:
        """Install, start and list an approved server, then remember it; on failure nothing is kept.

        Raises:
            InvalidInput: the name is taken.
            InstallError, ChildError, MissingInput, StateError: as they come.
        """
        name = server.name
        with telling_kept(NOT_ADDED):
            async with self._adding.setdefault(name, anyio.Lock()):
                return await self._add(server)

    async def _add(self, server: AddedServer) -> Definitions:
        name = server.name
        if (known := self._taken(server)) is not None:
            return (await self._awake(known)).definitions
        self._events.publish(ServerChanged(name, ChildState.STARTING, "It is being started."))
        try:
            child = await self._launch(server, modern=False)
            await self._remember(server, child)
        except WarRoomError as error:
            self._events.publish(ServerChanged(name, ChildState.FAILED, error.message))
            raise
        entry = Entry(server, child.definitions)
        self._entries[name] = entry
        self._adopt(entry, child)
        self._tell(name, Definitions(), child.definitions)
        return child.definitions

    def _taken(self, server: AddedServer) -> Entry | None:
        """The entry that already is this server, unless it failed: adding is how a person tries again."""
        if server.name in self._foreign:
            raise InvalidInput(
                f"{server.name!r} is an entry of the config file that was not approved.",
                hint="Take the entry out of the config file, or give this server another name.",
            )
        entry = self._entries.get(server.name)
        if entry is None or entry.state is ChildState.FAILED:
            return None
        if entry.server.plan != server.plan:
            raise InvalidInput(
                f"Another server is already called {server.name!r}.",
                hint="Remove that one first.",
                details={"taken": server.name},
            )
        return entry

    async def _remember(self, server: AddedServer, child: Child) -> None:
        """Config first, then memory; the child is stopped and the config mended when either fails."""
        try:
            new = server.name not in self._entries
            await to_thread.run_sync(partial(self._config.add, server, new=new))
            try:
                await self._store.keep_definitions(server.name, child.definitions)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(self._config.remove, server.name)
                raise
        except BaseException:
            child.stop()
            raise

    async def remove(self, name: str) -> None:
        """Take a server out of the config, then stop and forget it; its tools vanish before it stops.

        Raises:
            UnknownServer: no server has that name.
            StateError: the config cannot be written; nothing was changed.
        """
        if name not in self._entries and name not in self._foreign:
            raise _unknown(name)
        await to_thread.run_sync(self._config.remove, name)
        with anyio.CancelScope(shield=True):  # the config has changed: memory follows, whoever gives up
            self._foreign.pop(name, None)
            await self._drop(name)
            await self._store.forget(name)

    async def _drop(self, name: str) -> None:
        """Forget a server that the config no longer has; its tools vanish before it stops."""
        self._tally.forget(name)
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        self._tell(name, entry.definitions, Definitions())
        if entry.child is not None:
            entry.child.stop()
            await entry.child.over.wait()

    # --- children ----------------------------------------------------------------------------

    async def wake(self, name: str) -> Definitions:
        """Start a server if it does not run.

        Raises: UnknownServer, ApprovalRequired, InstallError, ChildError, MissingInput.
        """
        entry = self._known(name)
        with telling_kept(STILL_ADDED):
            return (await self._awake(entry)).definitions

    async def _awake(self, entry: Entry) -> Child:
        """The running child of an entry, started if need be; of many callers one starts it."""
        if entry.child is not None and entry.child.ready:
            return entry.child
        async with entry.lock:
            if entry.child is not None:
                if entry.child.ready:
                    return entry.child
                await entry.child.over.wait()
            self._check_present(entry)
            if (error := entry.waiting(self._clock())) is not None:
                raise error
            return await self._start(entry)

    async def _start(self, entry: Entry) -> Child:
        self._move(entry, ChildState.STARTING, "It is being started.")
        modern = (entry.definitions.protocol_version or "") >= "2026"
        try:
            child = await self._launch(entry.server, modern=modern)
        except WarRoomError as error:
            self._failed(entry, error)
            raise
        except BaseException:
            self._move(entry, ChildState.ASLEEP, "Its start was given up.")
            raise
        try:
            self._check_present(entry)
        except UnknownServer:
            child.stop()
            raise
        before = entry.definitions
        self._adopt(entry, child)
        if child.definitions != before:
            await self._changed(entry, before, child.definitions)
        return child

    async def _launch(self, server: AddedServer, *, modern: bool) -> Child:
        """A started child whose task is ours; it is ready, and not yet in the table."""
        package = server.plan.package
        startable = None if package.remote else await self._installer.install(package)
        kind = await _child_class()
        child = kind(
            server.name,
            lambda: self._opener.open(server, startable),
            self._settings,
            modern=modern,
            on_changed=partial(self._announced, server.name),
            client_options=self._client_options,
        )
        await self._tasks.start(self._tend, child)
        return child

    async def _tend(self, child: Child, *, task_status: TaskStatus[None]) -> None:
        await child.run(task_status=task_status)
        entry = self._entries.get(child.name)
        if entry is not None and entry.child is child:
            self._ended(entry, child)

    def _adopt(self, entry: Entry, child: Child) -> None:
        entry.child, entry.definitions, entry.error = child, child.definitions, None
        self._move(entry, ChildState.READY, "It is ready.")
        if child.over.is_set():  # it ended while it was being remembered
            self._ended(entry, child)

    def _ended(self, entry: Entry, child: Child) -> None:
        entry.child = None
        if child.failure is None:
            self._move(entry, ChildState.ASLEEP, "It was stopped.")
        else:
            self._failed(entry, child.failure)

    def _failed(self, entry: Entry, error: WarRoomError) -> None:
        entry.note_failure(error, self._clock())
        self._move(entry, ChildState.FAILED, error.message)

    def _move(self, entry: Entry, state: ChildState, reason: str) -> None:
        entry.state, entry.reason = state, reason
        self._events.publish(ServerChanged(entry.name, state, reason))

    def _known(self, name: str) -> Entry:
        if name in self._foreign:
            raise ApprovalRequired(f"{name} is not started: {self._foreign[name]}.")
        entry = self._entries.get(name)
        if entry is None:
            raise _unknown(name)
        return entry

    def _check_present(self, entry: Entry) -> None:
        if self._entries.get(entry.name) is not entry:
            raise _unknown(entry.name)

    # --- definitions -------------------------------------------------------------------------

    async def _announced(self, name: str, definitions: Definitions, kinds: frozenset[str]) -> None:
        entry = self._entries.get(name)
        if entry is not None and kinds:
            await self._changed(entry, entry.definitions, definitions)

    async def _changed(self, entry: Entry, before: Definitions, after: Definitions) -> None:
        try:
            await self._store.keep_definitions(entry.name, after)
        except StateError as error:  # it can be listed again at the next start
            _logger.warning("the definitions of %s could not be kept: %s", entry.name, error)
        if self._entries.get(entry.name) is entry:
            entry.definitions = after
            self._tell(entry.name, before, after)

    def _tell(self, name: str, before: Definitions, after: Definitions) -> None:
        if self._on_definitions is not None:
            self._on_definitions(name, after)
            return
        kinds = set()
        if before.tools != after.tools:
            kinds.add("tools")
        if before.prompts != after.prompts:
            kinds.add("prompts")
        if (before.resources, before.templates) != (after.resources, after.templates):
            kinds.add("resources")
        if kinds:
            self._events.publish(ToolboxChanged(name, frozenset(kinds)))

    def definitions(self, name: str) -> Definitions:
        """What a server offers, as it is known; empty if it was never started.

        Raises: UnknownServer, ApprovalRequired.
        """
        return self._known(name).definitions

    def servers(self) -> tuple[AddedServer, ...]:
        """The added servers, in the order in which they came."""
        return tuple(entry.server for entry in self._entries.values())

    # --- calls -------------------------------------------------------------------------------

    async def request(
        self,
        name: str,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Send one request to a server, waking it first, and return the raw result.

        A call that the child did not live to answer is sent once more if that can do no harm.

        Raises:
            UnknownServer, ApprovalRequired, InstallError, ChildError, MissingInput.
            mcp.shared.exceptions.MCPError: the child's own error.
        """
        entry = self._known(name)
        with telling_kept(STILL_ADDED):
            return await self._request(entry, method, params, on_progress)

    async def _request(
        self, entry: Entry, method: str, params: Mapping[str, Any] | None, on_progress: OnProgress | None
    ) -> dict[str, Any]:
        child = await self._awake(entry)
        begun = anyio.current_time()
        failed = True
        try:
            try:
                result = await child.request(method, params, on_progress=on_progress)
            except ChildGone as error:
                if not repeatable(entry.definitions, method, params):
                    raise uncertain(error) from error
                child = await self._awake(entry)
                result = await child.request(method, params, on_progress=on_progress)
            failed = bool(result.get("isError"))
            entry.failures = 0
            return result
        finally:
            tool = (params or {}).get("name")
            if method == "tools/call" and isinstance(tool, str) and self._entries.get(entry.name) is entry:
                self._tally.count(entry.name, tool, seconds=anyio.current_time() - begun, error=failed)

    # --- what is there -----------------------------------------------------------------------

    async def statuses(self) -> tuple[ServerStatus, ...]:
        """Every server of the config, with state, reason and next step."""
        usage = await self._usage()
        pids = {name: entry.child.pid for name, entry in self._entries.items() if entry.child is not None}
        memory = await to_thread.run_sync(memory_of, pids)
        found = [
            status(entry, tuple(one for one in usage if one.server == name), memory.get(name))
            for name, entry in self._entries.items()
        ]
        return (*found, *(foreign_status(name, why) for name, why in self._foreign.items()))

    async def _usage(self) -> tuple[ToolUsage, ...]:
        try:
            kept = await self._store.usage()
        except StateError as error:
            _logger.warning("the usage counts could not be read: %s", error)
            kept = ()
        return self._tally.on_top_of(kept)

    async def flush(self) -> None:
        """Hand the usage counts to the store; those that it does not take are kept for the next time.

        Raises: StateError.
        """
        counts = self._tally.take()
        if not counts:
            return
        try:
            await self._store.add_usage(counts)
        except BaseException:
            self._tally.add(counts)
            raise

    async def _flush_now_and_then(self) -> None:
        while True:
            await anyio.sleep(FLUSH_INTERVAL)
            await self._flush_or_log()

    async def _flush_or_log(self) -> None:
        try:
            await self.flush()
        except StateError as error:
            _logger.warning("the usage counts could not be kept: %s", error)


async def _child_class() -> type[Child]:
    """The class of children; loading it loads the SDK, in a thread because that takes most of a second."""
    module = await to_thread.run_sync(importlib.import_module, "warroom_mcp.manager.child")
    return cast("type[Child]", module.Child)


def _unknown(name: str) -> UnknownServer:
    return UnknownServer(f"No server is called {echoed(name)}.")
