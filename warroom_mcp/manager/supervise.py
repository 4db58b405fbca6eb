"""Keeps the added servers as they are desired: adds, wakes, restarts and removes children."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from warroom_mcp.echo import echoed
from warroom_mcp.engine import Engine
from warroom_mcp.errors import (
    ApprovalRequired,
    CallTimeout,
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
from warroom_mcp.manager.waking import Waker
from warroom_mcp.models import (
    AddedServer,
    ChildState,
    Definitions,
    Package,
    ServerStatus,
    Speech,
    ToolUsage,
)
from warroom_mcp.settings import Settings

if TYPE_CHECKING:
    from warroom_mcp.manager.child import Child, Owner
    from warroom_mcp.manager.oauth.authorizing import Authorized
    from warroom_mcp.manager.oauth.consent import Present

_logger = logging.getLogger(__name__)

FLUSH_INTERVAL = 30.0
"""Seconds between two hand-overs of the usage counts; that much is lost if War Room is killed."""
LAST_FLUSH_DEADLINE = 2.0
FORGET_DEADLINE = 5.0
"""Seconds for the keyring to give up what was granted to a removed server; it may ask to be unlocked."""


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
    ) -> None:
        self._store = store
        self._config = config
        self._installer = installer
        self._engine = engine
        self._events = events
        self._on_definitions = on_definitions
        self._approved = approved
        self._opener = Opener(settings, engine, resolve=resolve)
        self._waker = Waker(
            settings,
            self._opener,
            installer,
            events,
            is_present=lambda entry: self._entries.get(entry.name) is entry,
            on_definitions=self._learned,
            clock=clock,
        )
        self._entries: dict[str, Entry] = {}
        self._told: dict[str, Definitions] = {}
        self._foreign: dict[str, str] = {}
        self._adding: dict[str, anyio.Lock] = {}
        self._restoring = anyio.Lock()
        self._tally = Tally()
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = await anyio.create_task_group().__aenter__()
        self._group.start_soon(self._flush_now_and_then)
        self._group.start_soon(self._waker.put_to_sleep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every child, hand over the counts, and let the engine go; bounded, also under cancellation."""
        group = self._tasks
        try:
            with anyio.CancelScope(shield=True):
                children = [child for entry in self._entries.values() for child in entry.lines.values()]
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
        if not package.remote:
            await self._installer.install(package)

    async def add(self, server: AddedServer, speech: Speech | None = None) -> Definitions:
        """Install, start and list an approved server, then remember it; on failure nothing is kept.

        `speech` is that of the host that wants it.

        Raises:
            InvalidInput: the name is taken.
            InstallError, ChildError, MissingInput, StateError: as they come.
        """
        name = server.name
        with telling_kept(NOT_ADDED):
            async with self._adding.setdefault(name, anyio.Lock()):
                return await self._add(server, speech or Speech())

    async def _add(self, server: AddedServer, speech: Speech) -> Definitions:
        name = server.name
        if (known := self._taken(server)) is not None:
            return (await self._awake(known, speech)).definitions
        self._events.publish(ServerChanged(name, ChildState.STARTING, "It is being started."))
        try:
            child = await self._waker.launch(self._tasks, server, speech)
            await self._remember(server, child)
        except WarRoomError as error:
            self._events.publish(ServerChanged(name, ChildState.FAILED, error.message))
            raise
        entry = Entry(server, child.definitions)
        self._entries[name] = entry
        self._waker.adopt(entry, child, speech)
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
        entry = self._entries.get(name)
        await to_thread.run_sync(self._config.remove, name)
        with anyio.CancelScope(shield=True):  # the config has changed: memory follows, whoever gives up
            self._foreign.pop(name, None)
            await self._drop(name)
            await self._store.forget(name)
        if entry is not None and entry.server.plan.package.remote:
            with anyio.move_on_after(FORGET_DEADLINE):
                await self._forget_grant(entry.server.plan.package.identifier)

    async def authorize(self, name: str, url: str, present: Present, *, deadline: float) -> Authorized:
        """Have a person authorise the remote server at an address; `present` shows them its page.

        Raises: InvalidInput, AuthorizationFailed.
        """
        # It brings the SDK, as `remote` does.
        module = "warroom_mcp.manager.oauth.authorizing"
        authorizing = await to_thread.run_sync(importlib.import_module, module)
        vault = await self._opener.vault()
        granted: Authorized = await authorizing.authorize(
            name, url, vault, present=present, deadline=deadline
        )
        return granted

    async def _forget_grant(self, url: str) -> None:
        """A server is gone: what was granted for its address is, too, unless another one has that address."""
        if all(entry.server.plan.package.identifier != url for entry in self._entries.values()):
            await (await self._opener.vault()).drop(url)

    async def _drop(self, name: str) -> None:
        """Forget a server that the config no longer has; its tools vanish before it stops."""
        self._tally.forget(name)
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        self._tell(name, entry.definitions, Definitions())
        del self._told[name]
        children = list(entry.lines.values())
        for child in children:
            child.stop()
        for child in children:
            await child.over.wait()

    # --- children ----------------------------------------------------------------------------

    @property
    def owner(self) -> Owner:
        """Who hears what children ask and tell by themselves."""
        return self._waker.owner

    @owner.setter
    def owner(self, owner: Owner) -> None:
        self._waker.owner = owner

    def line(self, name: str, speech: Speech) -> Child | None:
        """The child to call for a host that speaks like this, if it is ready: the quick way of a call."""
        entry = self._entries.get(name)
        return entry.line(speech) if entry is not None else None

    async def wake(self, name: str, speech: Speech | None = None) -> Child:
        """The running child, started if it does not run.

        Raises: UnknownServer, ApprovalRequired, InstallError, ChildError, MissingInput.
        """
        entry = self._known(name)
        with telling_kept(STILL_ADDED):
            return await self._awake(entry, speech or Speech())

    async def _awake(self, entry: Entry, speech: Speech) -> Child:
        return await self._waker.awake(self._tasks, entry, speech)

    def running(self) -> tuple[Child, ...]:
        """Every child that takes requests."""
        return tuple(c for entry in self._entries.values() for c in entry.lines.values() if c.ready)

    async def watch(self, name: str, uris: frozenset[str], speech: Speech) -> None:
        """Have a server tell of changes of these resources; it then does not sleep.

        Raises: as `wake`, and RpcError.
        """
        entry = self._known(name)
        if uris:
            await self._awake(entry, speech)
        for child in list(entry.lines.values()):
            if child.ready:
                await child.watch(uris)
        entry.watched = uris

    def later(self, work: Callable[..., Coroutine[Any, Any, None]], *given: Any) -> None:
        """Do something that nobody waits for."""
        self._tasks.start_soon(work, *given)

    def brought(self) -> dict[str, Any]:
        """The extensions and task abilities of all servers, as far as they are known."""
        extensions: dict[str, Any] = {}
        tasks: Any = None
        for entry in self._entries.values():
            offered = entry.definitions.capabilities
            given = offered.get("extensions")
            for name, value in (given if isinstance(given, Mapping) else {}).items():
                extensions.setdefault(name, value)
            tasks = tasks or offered.get("tasks")
        return {"extensions": extensions, **({"tasks": tasks} if tasks else {})}

    def suspect(self, child: Child) -> None:
        """A call of this child timed out: it is ended if it does not answer a ping either."""
        self._tasks.start_soon(child.check)

    def _known(self, name: str) -> Entry:
        if name in self._foreign:
            raise ApprovalRequired(f"{name} is not started: {self._foreign[name]}.")
        entry = self._entries.get(name)
        if entry is None:
            raise _unknown(name)
        return entry

    # --- definitions -------------------------------------------------------------------------

    async def _learned(self, name: str, definitions: Definitions) -> None:
        """What a child offers became known or changed."""
        entry = self._entries.get(name)
        if entry is None:
            return
        known, entry.definitions = self._told.get(name), definitions
        if known == definitions:
            return
        try:
            await self._store.keep_definitions(name, definitions)
        except StateError as error:  # it can be listed again at the next start
            _logger.warning("the definitions of %s could not be kept: %s", name, error)
        if self._entries.get(name) is entry:
            self._tell(name, known or Definitions(), definitions)

    def _tell(self, name: str, before: Definitions, after: Definitions) -> None:
        self._told[name] = after
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
        self, name: str, method: str, params: Mapping[str, Any] | None = None, speech: Speech | None = None
    ) -> dict[str, Any]:
        """Send one request to a server, waking it first, and return the result.

        A call that the child did not live to answer is sent once more if that can do no harm.

        Raises:
            UnknownServer, ApprovalRequired, InstallError, ChildError, MissingInput.
            RpcError: the child's own error.
        """
        entry = self._known(name)
        with telling_kept(STILL_ADDED):
            return await self._request(entry, method, params, speech or Speech())

    async def _request(
        self, entry: Entry, method: str, params: Mapping[str, Any] | None, speech: Speech
    ) -> dict[str, Any]:
        child = await self._awake(entry, speech)
        begun = anyio.current_time()
        failed = True
        try:
            try:
                result = await child.request(method, params)
            except ChildGone as error:
                if not repeatable(entry.definitions, method, params):
                    raise uncertain(error) from error
                child = await self._awake(entry, speech)
                result = await child.request(method, params)
            except CallTimeout:
                self.suspect(child)
                raise
            failed = bool(result.get("isError"))
            return result
        finally:
            tool = (params or {}).get("name")
            if method == "tools/call" and isinstance(tool, str):
                self.count(entry.name, tool, seconds=anyio.current_time() - begun, error=failed)

    def count(self, name: str, tool: str, *, seconds: float, error: bool) -> None:
        """Note one call of a tool."""
        entry = self._entries.get(name)
        if entry is not None:
            self._tally.count(name, tool, seconds=seconds, error=error)
            if not error:
                entry.failures = 0

    def may_repeat(self, name: str, method: str, params: Mapping[str, Any]) -> bool:
        """Whether a request that its child did not live to answer may be sent once more."""
        entry = self._entries.get(name)
        return entry is not None and repeatable(entry.definitions, method, params)

    # --- what is there -----------------------------------------------------------------------

    async def statuses(self) -> tuple[ServerStatus, ...]:
        """Every server of the config, with state, reason and next step."""
        usage = await self._usage()
        pids = {
            name: [child.pid for child in entry.lines.values() if child.pid is not None]
            for name, entry in self._entries.items()
        }
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


def _unknown(name: str) -> UnknownServer:
    return UnknownServer(f"No server is called {echoed(name)}.")
