"""Candidate ids and the names inside them: the one place where they are made, read and checked.

A name that does not pass here never becomes part of a URL, a path or a command.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from warroom_mcp.addresses import is_loopback, split_url
from warroom_mcp.echo import echoed
from warroom_mcp.errors import UnknownCandidate
from warroom_mcp.models import Package, PackageKind
from warroom_mcp.packages import is_npm_name, is_pypi_name, read_image

_PYPI_RUNS = re.compile(r"[-_.]+")
_SCHEMES = {
    PackageKind.NPM: "npm",
    PackageKind.PYPI: "pypi",
    PackageKind.OCI: "oci",
    PackageKind.HTTP: "remote",
    PackageKind.SSE: "remote",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """A candidate id, read: `scheme` is npm, pypi, oci or remote, `name` is checked and in normal form."""

    scheme: str
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"


def read_id(candidate_id: str) -> Identity:
    """The identity that a candidate id stands for.

    Raises:
        UnknownCandidate: it is none, or its name breaks the rules of its registry.
    """
    scheme, _, name = candidate_id.partition(":")
    checked = normal_name(scheme, name)
    if checked is None:
        raise UnknownCandidate(
            f"{echoed(candidate_id, 80)} is no candidate id.",
            hint="Candidate ids look like npm:NAME, pypi:NAME, oci:REFERENCE or remote:URL; "
            "take one from the answer of find_servers.",
        )
    return Identity(scheme, checked)


def identify(package: Package) -> str | None:
    """The candidate id of a package, or None when its name breaks the rules of its registry."""
    scheme = _SCHEMES.get(package.kind)
    name = normal_name(scheme, package.identifier) if scheme else None
    return None if name is None else f"{scheme}:{name}"


def normal_name(scheme: str, name: str) -> str | None:
    """The name in its registry's normal form, or None when it breaks the registry's rules."""
    match scheme:
        case "npm":
            return name if is_npm_name(name) else None
        case "pypi":
            return _PYPI_RUNS.sub("-", name).lower() if is_pypi_name(name) else None
        case "oci":
            return name if read_image(name) else None
        case "remote":
            return _normal_url(name)
        case _:
            return None


def _normal_url(url: str) -> str | None:
    parts = split_url(url)
    if parts is None or parts.fragment:
        return None
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return None
    return parts._replace(netloc=parts.netloc.lower()).geturl()


def url_segment(name: str) -> str:
    """A checked name as one path segment of a URL: `@scope/name` becomes `@scope%2Fname`."""
    return quote(name, safe="@")
