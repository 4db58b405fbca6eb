"""Who stands behind a server, as far as two sides say the same: a name alone proves nothing.

The registry lets only the owner of a GitHub account or of a domain publish under its name, so its names
are evidence; a repository field in a package is only what its author wrote there.
"""

from collections.abc import Sequence
from dataclasses import replace

from warroom_mcp.addresses import split_url
from warroom_mcp.catalog import wire
from warroom_mcp.models import Candidate, Origin

_GITHUB_PREFIXES = ("io.github.", "com.github.")
MCP_PROJECT = "modelcontextprotocol"


def origin_of_entry(name: str, repository: str | None, addresses: Sequence[str]) -> tuple[Origin, str]:
    """Origin and evidence of a registry entry from its name, repository, and web or server addresses.

    Never official: the registry says who published, not whether that is the vendor.
    """
    namespace = name.split("/", 1)[0].lower()
    owner = github_owner(name)
    if owner is not None:
        if wire.repository_owner(repository) == owner:
            return Origin.KNOWN_PUBLISHER, f"published by the GitHub owner of its repository, {owner}"
        return Origin.UNPROVEN, f"published by GitHub account {owner}, whose repository is not named"
    domain = ".".join(reversed(namespace.split(".")))
    if "." in domain and any(_is_under(address, domain) for address in addresses):
        return Origin.KNOWN_PUBLISHER, f"published by the owner of the domain {domain}"
    return Origin.UNPROVEN, f"published under {namespace}, which nothing else confirms"


def github_owner(name: str) -> str | None:
    """The GitHub account whose namespace a registry name is in, or None."""
    namespace = name.split("/", 1)[0].lower()
    for prefix in _GITHUB_PREFIXES:
        if namespace.startswith(prefix):
            return namespace.removeprefix(prefix) or None
    return None


def _is_under(address: str, domain: str) -> bool:
    parts = split_url(address)
    host = (parts.hostname or "") if parts else ""
    return host == domain or host.endswith("." + domain)


def origin_of_npm(name: str) -> tuple[Origin, str]:
    """Origin and evidence of an npm package: a scope belongs to one account, other names to whoever came."""
    if name.startswith(f"@{MCP_PROJECT}/"):
        return Origin.OFFICIAL, f"published in @{MCP_PROJECT}, the npm scope of the MCP project"
    return Origin.UNPROVEN, ""


def confirm(candidate: Candidate, mcp_name: str | None, entry: Candidate | None) -> Candidate:
    """The candidate with the ownership proof weighed: package and registry entry have to name each other.

    `mcp_name` is what the package calls itself, `entry` the registry's candidate of that name for this
    very package, or None. It takes nothing away, but for what only a registry entry said that the
    package does not answer.
    """
    if _rests_on_registry(candidate) and mcp_name != candidate.name:
        said = f"calls itself {mcp_name}" if mcp_name else "does not name it back"
        evidence = f"the registry entry {candidate.name} names the package, which {said}"
        return replace(candidate, origin=Origin.UNPROVEN, origin_evidence=evidence)
    if mcp_name is None or entry is None or entry.id != candidate.id:
        return candidate
    proof = f"the package and its registry entry {mcp_name} name each other"
    if github_owner(mcp_name) == MCP_PROJECT:
        origin, proof = Origin.OFFICIAL, f"{proof}, and {MCP_PROJECT} is the MCP project"
    else:
        origin = entry.origin
        proof = f"{proof}; {entry.origin_evidence}" if entry.origin_evidence else proof
    if _RANK[origin] < _RANK[candidate.origin]:
        origin, proof = candidate.origin, f"{candidate.origin_evidence}; {proof}".strip("; ")
    return replace(candidate, origin=origin, origin_evidence=proof)


def _rests_on_registry(candidate: Candidate) -> bool:
    """Whether only a registry entry speaks for the publisher; its name is then the candidate's."""
    return (
        candidate.origin is Origin.KNOWN_PUBLISHER
        and "registry" in candidate.sources
        and "curated" not in candidate.sources
    )


_RANK = {Origin.UNPROVEN: 0, Origin.KNOWN_PUBLISHER: 1, Origin.OFFICIAL: 2}


def stronger(first: Candidate, second: Candidate) -> tuple[Origin, str]:
    """The better proven origin of two, with its evidence; the first's when they are equal."""
    best = second if _RANK[second.origin] > _RANK[first.origin] else first
    return best.origin, best.origin_evidence or (
        second.origin_evidence if second.origin is best.origin else ""
    )
