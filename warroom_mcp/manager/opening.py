"""From an approved server to an open connection: secrets resolved, environment built, place prepared."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio import to_thread

from warroom_mcp.engine import Engine
from warroom_mcp.errors import AuthorizationNeeded, InvalidInput, StateNotWritable, WarRoomError
from warroom_mcp.manager import secrets
from warroom_mcp.manager.environment import child_environment
from warroom_mcp.manager.oauth.vault import Vault, may_try_again, open_vault
from warroom_mcp.manager.stdio import open_stdio
from warroom_mcp.models import AddedServer, LaunchPlan, Package
from warroom_mcp.settings import Settings

if TYPE_CHECKING:
    from warroom_mcp.manager.link import Link
    from warroom_mcp.wire.peer import OnNotification, OnRequest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""Server names that may become a directory: the config file, where they are read from, is open to others."""


class Startable(Protocol):
    """An installed package: `command(plan)` is the argument vector, `passes` further variables it needs."""

    @property
    def passes(self) -> frozenset[str]: ...
    def command(self, plan: LaunchPlan) -> tuple[str, ...]: ...


class PackageInstaller(Protocol):
    """Makes a package startable; at once when it already is."""

    async def install(self, package: Package) -> Startable: ...


Resolve = Callable[[str], str]
"""A secret's value from its reference; blocks; raises MissingInput."""


class Opener:
    """Opens connections to servers; remembers nothing."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        *,
        resolve: Resolve = secrets.resolve,
        base: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._resolve = resolve
        self._base = os.environ if base is None else base
        self._vault: Vault | None = None
        self._opening_vault = anyio.Lock()

    @asynccontextmanager
    async def open(
        self,
        server: AddedServer,
        startable: Startable | None,
        on_request: OnRequest,
        on_notification: OnNotification,
    ) -> AsyncIterator[Link]:
        """An open connection; `startable` is None for a remote server.

        Raises: MissingInput, InvalidInput, StartFailed, StateNotWritable.
        """
        resolved = await to_thread.run_sync(self._resolved, server.plan, abandon_on_cancel=True)
        if startable is None:
            async with self._remote(server.plan, resolved, on_request, on_notification) as remote:
                yield remote
        else:
            async with self._local(server.plan, resolved, startable, on_request, on_notification) as local:
                yield local

    def _resolved(self, plan: LaunchPlan) -> dict[str, str]:
        return {name: self._resolve(reference) for name, reference in plan.secrets.items()}

    @asynccontextmanager
    async def _local(
        self,
        plan: LaunchPlan,
        resolved: Mapping[str, str],
        startable: Startable,
        on_request: OnRequest,
        on_notification: OnNotification,
    ) -> AsyncIterator[Link]:
        place = await to_thread.run_sync(self._place, plan.server)
        environment = child_environment(
            plan.environment, resolved, home=place, base=self._base, passes=startable.passes
        )
        async with open_stdio(
            self._engine,
            startable.command(plan),
            on_request,
            on_notification,
            env=environment,
            cwd=place,
            name=plan.server,
            max_message_bytes=self._settings.max_message_bytes,
            grace=self._settings.stop_deadline,
            hidden=list(resolved.values()),
        ) as link:
            yield link

    @asynccontextmanager
    async def _remote(
        self,
        plan: LaunchPlan,
        resolved: Mapping[str, str],
        on_request: OnRequest,
        on_notification: OnNotification,
    ) -> AsyncIterator[Link]:
        # The SDK comes with it; see the module. Loading it takes most of a second, so in a thread.
        remote = await to_thread.run_sync(importlib.import_module, "warroom_mcp.manager.remote")
        given = resolved or any(header.lower() == "authorization" for header in plan.headers)
        url = plan.package.identifier
        auth = None if given else remote.RemoteAuth(plan.server, url, await self.vault())
        async with remote.open_remote(
            plan.package.kind,
            plan.package.identifier,
            on_request,
            on_notification,
            headers={**plan.headers, **resolved},
            credentials=list(resolved),
            max_message_bytes=self._settings.max_message_bytes,
            read_deadline=self._settings.call_deadline,
            auth=auth,
        ) as link:
            yield link

    async def vault(self) -> Vault:
        """Where grants of remote servers are kept; opened once, as the keyring may ask to be unlocked."""
        async with self._opening_vault:
            if self._vault is None:
                self._vault = await open_vault()
            return self._vault

    async def may_try_again(self, error: WarRoomError) -> bool:
        """Whether what an error waits for has come: a person's consent, maybe through another process."""
        return isinstance(error, AuthorizationNeeded) and await may_try_again(await self.vault(), error)

    def _place(self, name: str) -> Path:
        """The child's own directory, which is also its HOME: nobody else's business."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name[:100]!r} cannot be a server's name.")
        place = self._settings.home / "run" / name
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.chmod(0o700)
        except OSError as error:
            raise StateNotWritable(f"{place} cannot be made: {error.strerror or error}.") from error
        return place.absolute()
