"""From a listed package to the exact one: version, integrity and facts as its registry serves them now."""

from collections.abc import Awaitable
from typing import TypeVar

import anyio

from warroom_mcp.catalog.enrich import PackageRegistry
from warroom_mcp.catalog.facts import PackageFacts
from warroom_mcp.errors import IntegrityMismatch, NoExecutable, PackageNotFound, SourceUnavailable
from warroom_mcp.models import Candidate

_T = TypeVar("_T")


def late(name: str, seconds: float) -> SourceUnavailable:
    """The error for a service that did not answer in time."""
    reason = f"timed out after {seconds:.1f} s"
    return SourceUnavailable(f"{name} {reason}.", details={"reason": reason, "service": name})


async def within(seconds: float, name: str, work: Awaitable[_T]) -> _T:
    """The answer of a service, or `SourceUnavailable` when it takes longer than `seconds`."""
    try:
        with anyio.fail_after(seconds):
            return await work
    except TimeoutError as error:
        raise late(name, seconds) from error


async def served(candidate: Candidate, registry: PackageRegistry) -> PackageFacts:
    """The facts of the candidate's version, or of the latest where that may take its place.

    Raises:
        PackageNotFound: the registry does not serve it.
        SourceUnavailable: the registry gave no usable answer.
    """
    package = candidate.package
    facts = await registry.facts(package.identifier, package.version)
    if facts is None and package.version is not None and package.integrity is None:
        facts = await registry.facts(package.identifier)
    if facts is None:
        version = f" {package.version}" if package.version else ""
        raise PackageNotFound(f"{registry.name} does not serve {package.identifier}{version}.")
    return facts


def check(candidate: Candidate, facts: PackageFacts) -> None:
    """Refuse facts that the candidate cannot be started with.

    Raises:
        NoExecutable: the package offers nothing to start.
        IntegrityMismatch: it is served with another integrity than the candidate has.
    """
    if not facts.starts:
        raise NoExecutable(f"{candidate.package.identifier} {facts.version} offers nothing to start.")
    expected = candidate.package.integrity
    if expected is not None and facts.integrity is not None and expected != facts.integrity:
        raise IntegrityMismatch(
            f"{candidate.package.identifier} {facts.version} is served with another integrity than approved.",
            details={"expected": expected, "served": facts.integrity},
        )
