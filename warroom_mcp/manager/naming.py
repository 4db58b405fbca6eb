"""Names of servers, and the refusal of packages that are not exact."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from warroom_mcp.addresses import is_address
from warroom_mcp.errors import InvalidInput
from warroom_mcp.models import Candidate, Package, PackageKind
from warroom_mcp.packages import name_problem, read_image, version_problem

LONGEST_SERVER_NAME = 20
"""Characters. Hosts cut tool names at 64, and `server__tool` has to fit."""


def check_package(package: Package) -> None:
    """Refuse a package whose name, version, executable or address is not exact and harmless.

    Raises: InvalidInput.
    """
    if problem := name_problem(package):
        raise InvalidInput(f"{problem}.")
    if problem := version_problem(package):
        raise InvalidInput(
            f"{package.identifier}: {problem}.",
            hint="Ranges, tags, addresses and git references are not started: name one exact version.",
        )


def server_name(candidate: Candidate, taken: Collection[str]) -> str:
    """A short name for a candidate's server: `[a-z0-9-]`, at most 20 characters, not in `taken`."""
    # The curated name says what it is for; any other name is the author's to choose, the package's is not.
    reviewed = _slug(candidate.name) if "curated" in candidate.sources else ""
    stem = reviewed or _stem(candidate.package) or _slug(candidate.name) or "server"
    name = stem[:LONGEST_SERVER_NAME].strip("-")
    number = 2
    while name in taken:
        suffix = f"-{number}"
        name = stem[: LONGEST_SERVER_NAME - len(suffix)].strip("-") + suffix
        number += 1
    return name


_NOISE = frozenset(
    {"mcp", "server", "servers", "modelcontextprotocol", "model-context-protocol", "com", "io"}
)
"""Words that every second server carries and that tell none of them apart."""


def _stem(package: Package) -> str:
    """The word that tells this package apart: `time` of `mcp-server-time`, `sentry` of `@sentry/mcp`."""
    for part in reversed(_name_parts(package)):
        words = [word for word in _slug(part).split("-") if word not in _NOISE]
        if words:
            return "-".join(words)
    return ""


def _name_parts(package: Package) -> list[str]:
    if package.remote:
        host = _host(package.identifier)
        # The registered domain says whose it is: `sentry` of `mcp.sentry.dev`.
        return [host] if is_address(host) else host.split(".")[-2:-1] or [host]
    if package.kind is PackageKind.OCI:
        image = read_image(package.identifier)
        return (image.name if image else package.identifier).split("/")
    return package.identifier.lstrip("@").split("/")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
