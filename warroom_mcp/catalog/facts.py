"""What a package registry knows of one package, and how it changes a candidate."""

from dataclasses import dataclass, replace
from datetime import date

from warroom_mcp.models import Candidate


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """The facts of one version of a package; None means that the registry did not say.

    `updated` is the day of the newest release. `starts` is false when the package offers nothing to run;
    `executable` names what to run when there is a choice. `mcp_name` is the registry entry that the
    package says it belongs to, `keywords` are its own and the names of what it can start.
    """

    version: str
    integrity: str | None = None
    updated: date | None = None
    deprecated: str | None = None
    repository: str | None = None
    mcp_name: str | None = None
    executable: str | None = None
    starts: bool = True
    description: str = ""
    keywords: tuple[str, ...] = ()


def with_facts(candidate: Candidate, facts: PackageFacts) -> Candidate:
    """The candidate with what is known of its package; the package itself is left as it is."""
    deprecated = candidate.deprecated or facts.deprecated
    if not facts.starts:
        deprecated = deprecated or "the package offers nothing to start"
    return replace(
        candidate,
        updated=facts.updated or candidate.updated,
        deprecated=deprecated,
        repository=candidate.repository or facts.repository,
        description=candidate.description or facts.description,
    )


def pinned(candidate: Candidate, facts: PackageFacts) -> Candidate:
    """The candidate with its facts, and its package fixed to their version, integrity and executable."""
    package = replace(
        candidate.package,
        version=facts.version,
        integrity=facts.integrity,
        executable=candidate.package.executable or facts.executable,
    )
    return replace(with_facts(candidate, facts), package=package)


def unserved(candidate: Candidate, service: str) -> Candidate:
    """The candidate, told that its registry does not have it, so that it falls below the others."""
    reason = candidate.deprecated or f"{service} does not serve this package"
    return replace(candidate, deprecated=reason)
