"""Whether a package is the server that a list says it is: a pure function of what both say.

Lists hold slugs that look like package names; npm's `docker` and PyPI's `argocd` are unrelated projects.
A claim is confirmed by the package itself: it names the listing, or the same repository, or shows that it
is an MCP server of that name.
"""

import re
from dataclasses import replace

from warroom_mcp.catalog import wire
from warroom_mcp.catalog.facts import PackageFacts
from warroom_mcp.models import Candidate

_MCP = re.compile(r"(?<![a-z])mcp(?![a-z])|model.?context.?protocol", re.IGNORECASE)


def confirmed(candidate: Candidate, facts: PackageFacts | None) -> Candidate:
    """The candidate with its claim settled by the facts of its package; None are those of no package."""
    if not candidate.unconfirmed:
        return candidate
    if facts is None:
        return replace(candidate, unconfirmed=_says(candidate, "its registry does not serve that package"))
    against = disagreement(candidate, facts)
    return replace(candidate, unconfirmed=_says(candidate, against) if against else "")


def disagreement(candidate: Candidate, facts: PackageFacts) -> str:
    """Why the package is not shown to be the listed server; empty when it is."""
    if facts.mcp_name is not None:
        if facts.mcp_name.lower() == candidate.name.lower():
            return ""
        owner = facts.mcp_name.split("/", 1)[0].rpartition(".")[2].lower()
        if owner and owner == wire.repository_owner(candidate.repository):
            return ""
        return f"the package says that it is {facts.mcp_name}"
    if candidate.repository and facts.repository:
        if _plain(candidate.repository) == _plain(facts.repository):
            return ""
        return f"the package comes from {facts.repository}"
    if _MCP.search(candidate.package.identifier) or _MCP.search(
        " ".join((*facts.keywords, facts.description))
    ):
        return ""
    return "the package does not say that it is an MCP server"


def _plain(repository: str) -> str:
    """`host/owner/name` of a repository, without what points inside of it."""
    known = wire.repository(repository) or repository
    return known.lower().removeprefix("https://").rstrip("/").removesuffix(".git")


def _says(candidate: Candidate, against: str) -> str:
    source = candidate.sources[0] if candidate.sources else "its list"
    return (
        f"{source} names the {candidate.package.kind} package {candidate.package.identifier}, but {against}"
    )
