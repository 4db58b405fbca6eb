"""Adds what package registries know to the few candidates that are about to be shown.

Bounded in number and time: what does not answer leaves its candidate as it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import anyio

from warroom_mcp.catalog.facts import PackageFacts, unserved, with_facts
from warroom_mcp.errors import SourceUnavailable
from warroom_mcp.models import Candidate, PackageKind


class PackageRegistry(Protocol):
    """Where packages of one kind are published."""

    @property
    def name(self) -> str:
        """The registry's name, as it stands in a candidate's sources."""
        ...

    async def facts(self, name: str, version: str | None = None) -> PackageFacts | None:
        """The facts of a version, of the latest without one; None when it is not served."""
        ...

    async def downloads(self, name: str) -> int | None:
        """Downloads of the last week, None when unknown."""
        ...


Registries = Mapping[PackageKind, PackageRegistry]


async def enrich(
    candidates: Sequence[Candidate], registries: Registries, *, seconds: float
) -> tuple[Candidate, ...]:
    """The same candidates in the same order, with facts and downloads where they came within `seconds`."""
    enriched = {candidate.id: candidate for candidate in candidates}

    async def add_facts(candidate: Candidate, registry: PackageRegistry) -> None:
        try:
            facts = await registry.facts(candidate.package.identifier)
        except SourceUnavailable:
            return
        known = enriched[candidate.id]
        enriched[candidate.id] = unserved(known, registry.name) if facts is None else with_facts(known, facts)

    async def add_downloads(candidate: Candidate, registry: PackageRegistry) -> None:
        enriched_downloads = await weekly_downloads(candidate, registry)
        enriched[candidate.id] = replace(enriched[candidate.id], weekly_downloads=enriched_downloads)

    with anyio.move_on_after(max(0.0, seconds)):
        async with anyio.create_task_group() as group:
            for candidate in candidates:
                registry = registries.get(candidate.package.kind)
                if registry is None:
                    continue
                group.start_soon(add_facts, candidate, registry)
                if candidate.weekly_downloads is None:
                    group.start_soon(add_downloads, candidate, registry)
    return tuple(enriched[candidate.id] for candidate in candidates)


async def weekly_downloads(candidate: Candidate, registry: PackageRegistry) -> int | None:
    """The candidate's downloads, asked for only when unknown; None when nobody tells."""
    if candidate.weekly_downloads is not None:
        return candidate.weekly_downloads
    try:
        return await registry.downloads(candidate.package.identifier)
    except SourceUnavailable:
        return None
