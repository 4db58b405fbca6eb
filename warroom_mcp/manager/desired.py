"""What the manager needs from what is remembered: the config file as it is desired, and the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from warroom_mcp.models import AddedServer, Definitions, ToolUsage


class DefinitionStore(Protocol):
    """What the manager has remembered for it."""

    async def keep_definitions(self, server: str, definitions: Definitions) -> None: ...
    async def definitions(self, server: str) -> Definitions | None: ...
    async def forget(self, server: str) -> None: ...
    async def add_usage(self, usage: Sequence[ToolUsage]) -> None: ...
    async def usage(self) -> tuple[ToolUsage, ...]: ...


class Desired(Protocol):
    """What a person wants to run; `foreign` maps the entries that are not started to the reason."""

    @property
    def servers(self) -> Mapping[str, AddedServer]: ...
    @property
    def foreign(self) -> Mapping[str, str]: ...


class DesiredState(Protocol):
    """The config file; its calls block."""

    def load(self) -> Desired: ...
    def add(self, server: AddedServer, *, new: bool = False) -> None: ...
    def remove(self, name: str) -> object: ...
