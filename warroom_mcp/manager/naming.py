"""What names of packages, versions, images, addresses and servers may look like.

Everything here is text from registries, problems and models on its way to an argument vector, a path
or a request. Each grammar says what is allowed; the rest is refused, so there is nothing to escape.
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from warroom_mcp.errors import InvalidInput
from warroom_mcp.models import Candidate, Package, PackageKind

LONGEST_NAME = 214
"""Characters of a package name; the limit of the npm registry, above that of PyPI in practice."""
LONGEST_URL = 2048
LONGEST_SERVER_NAME = 20
"""Characters. Hosts cut tool names at 64, and `server__tool` has to fit."""

_NPM_NAME = re.compile(r"(?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*")
_NPM_VERSION = re.compile(
    r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_PYPI_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PYPI_VERSION = re.compile(
    r"(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc)[0-9]+)?(?:\.post[0-9]+)?(?:\.dev[0-9]+)?"
)
_IMAGE = re.compile(
    r"(?P<name>(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_EXECUTABLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
# Stricter than RFC 3986: quotes, `$`, `;`, `|` and parentheses have no place in a server's address.
_URL = re.compile(r"https?://[A-Za-z0-9\-._~:/?\[\]@=&%+,]+")
_HOSTNAME = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)

_MOVING_TAGS = frozenset({"latest", "main", "master", "edge", "nightly", "dev", "stable"})


@dataclass(frozen=True, slots=True)
class Image:
    """A container image reference in its parts."""

    name: str
    tag: str | None
    digest: str | None

    @property
    def reference(self) -> str:
        """The most exact way to name it: by digest where known, else by tag."""
        if self.digest:
            return f"{self.name}@{self.digest}"
        return f"{self.name}:{self.tag}"


def check_package(package: Package) -> None:
    """Refuse a package whose name, version, executable or address is not exact and harmless.

    Raises: InvalidInput.
    """
    match package.kind:
        case PackageKind.NPM:
            _check_registry_package(package, _NPM_NAME, _NPM_VERSION)
        case PackageKind.PYPI:
            _check_registry_package(package, _PYPI_NAME, _PYPI_VERSION)
        case PackageKind.OCI:
            image_of(package)
        case _:
            check_url(package.identifier)
    if package.executable is not None and not _EXECUTABLE.fullmatch(package.executable):
        raise InvalidInput(f"{package.executable!r} is not the name of an executable.")


def _check_registry_package(package: Package, names: re.Pattern[str], versions: re.Pattern[str]) -> None:
    name = package.identifier
    # A first path part of dots would leave the directory that the package is installed into.
    if len(name) > LONGEST_NAME or ".." in name or not names.fullmatch(name):
        raise InvalidInput(f"{name!r} is not a {package.kind} package name.")
    if package.version is None or not versions.fullmatch(package.version):
        raise InvalidInput(
            f"{package.version!r} is not an exact version of {name}.",
            hint="Ranges, tags, addresses and git references are not started: name one exact version.",
        )


def image_of(package: Package) -> Image:
    """The image that an OCI package names: exact, by tag or digest.

    Raises: InvalidInput for a malformed reference, and for one that moves without a digest to hold it.
    """
    matched = _IMAGE.fullmatch(package.identifier)
    if matched is None or len(package.identifier) > LONGEST_NAME:
        raise InvalidInput(f"{package.identifier!r} is not an image reference.")
    tag, digest = matched["tag"], matched["digest"]
    if package.version is not None:
        if not _TAG.fullmatch(package.version) or tag not in (None, package.version):
            raise InvalidInput(f"{package.version!r} is not the tag of {package.identifier}.")
        tag = package.version
    if package.integrity is not None:
        if not _DIGEST.fullmatch(package.integrity) or digest not in (None, package.integrity):
            raise InvalidInput(f"{package.integrity!r} is not the digest of {package.identifier}.")
        digest = package.integrity
    if digest is None and (tag is None or tag in _MOVING_TAGS):
        raise InvalidInput(
            f"{package.identifier} names no exact image: the tag {tag or 'latest'!r} moves.",
            hint="Name a version tag, or a sha256 digest.",
        )
    return Image(matched["name"], tag, digest)


def check_url(url: str) -> None:
    """Refuse every address but https (http on this machine only), without user, password or fragment.

    Raises: InvalidInput.
    """
    reason = _url_problem(url)
    if reason:
        raise InvalidInput(f"{url[:200]!r} is not an address that can be used: {reason}.")


def _url_problem(url: str) -> str | None:
    if len(url) > LONGEST_URL or not _URL.fullmatch(url):
        return "only https addresses of ordinary characters are"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "it cannot be parsed"
    if "@" in parts.netloc:
        return "it carries a user name"
    if port == 0 or not (_HOSTNAME.fullmatch(host) or _is_address(host)):
        return "its host is not a host name"
    if parts.scheme == "http" and not is_loopback(host):
        return "http is for this machine only"
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host, as written, is this machine."""
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


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
        return [host] if _is_address(host) else host.split(".")[-2:-1] or [host]
    if package.kind is PackageKind.OCI:
        matched = _IMAGE.fullmatch(package.identifier)
        return (matched["name"] if matched else package.identifier).split("/")
    return package.identifier.lstrip("@").split("/")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
