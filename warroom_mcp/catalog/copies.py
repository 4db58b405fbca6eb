"""The copies of registries that the index holds: brought up to date, told of, taken along as a file."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from warroom_mcp.catalog.index import CatalogIndex
from warroom_mcp.listing import SourceStatus

if TYPE_CHECKING:
    from warroom_mcp.catalog.sync import Progress, Registry, Synced
    from warroom_mcp.catalog.web import Web
    from warroom_mcp.settings import Settings

REGISTRY = "registry"
"""The public registry, which is searched live as well."""


class Copies:
    """Copies of the public registry and of those of the settings.

    `secret` gives the value of a reference such as `env:NAME`.
    """

    def __init__(
        self,
        settings: "Settings",
        index: CatalogIndex,
        clock: Callable[[], datetime],
        web: "Callable[[], Web]",
        secret: Callable[[str], str] | None,
    ) -> None:
        self._settings = settings
        self._index = index
        self._clock = clock
        self._web = web
        self._secret = secret

    async def sync(
        self, *, whole: bool = False, on_progress: "Progress" = lambda name, seen: None
    ) -> tuple["Synced", ...]:
        """Bring the copies of all registries up to date, one after the other."""
        from warroom_mcp.catalog.sync import Sync

        syncing = Sync(self._web(), self._index, self._clock)
        done = [
            await syncing.run(registry, whole=whole, on_progress=on_progress)
            for registry in self._registries()
        ]
        return tuple(done)

    async def told(self) -> tuple[SourceStatus, ...]:
        """How the copy of each registry stands, also of one that was never made."""
        told = {status.name: status for status in await self._index.sources()}
        names = (REGISTRY, *self._settings.catalog_registries)
        return tuple(told.get(name, SourceStatus(name)) for name in names)

    async def export(self, path: Path) -> int:
        """Write the index to a file; how many listings it holds.

        Raises:
            InvalidInput: the file cannot be written.
        """
        from warroom_mcp.catalog.snapshot import export_index

        return await export_index(self._index, path, self._clock())

    async def import_(self, path: Path) -> tuple[SourceStatus, ...]:
        """Read a file that `export` wrote into the index.

        Raises:
            InvalidInput: it is no such file.
        """
        from warroom_mcp.catalog.snapshot import import_index

        told = await import_index(self._index, path, self._clock().date())
        return tuple(status for status in await self._index.sources() if status.name in told)

    def _registries(self) -> "list[Registry]":
        from warroom_mcp.catalog.sync import Registry

        private, secret = self._settings.catalog_registries.items(), self._secret
        return [
            Registry(REGISTRY, self._settings.mcp_registry_url),
            *(
                Registry(name, one.url, partial(secret, one.token) if one.token and secret else None)
                for name, one in private
            ),
        ]
