"""What an exact package is: grammars of names, versions and image references.

Everything here is text from registries, problems and models on its way to an argument vector, a path or
a request. Each grammar says what is allowed; the rest is refused, so that there is nothing to escape.
"""

import re
from dataclasses import dataclass

from warroom_mcp.addresses import address_problem
from warroom_mcp.errors import InvalidInput
from warroom_mcp.models import Package, PackageKind

LONGEST_NAME = 214
"""Characters of a package name; the limit of the npm registry, above that of PyPI in practice."""
_LONGEST_IMAGE = 300

_NPM_NAME = re.compile(r"(?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*")
_NPM_RESERVED = frozenset({"node_modules", "favicon.ico"})
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


def is_npm_name(name: str) -> bool:
    """Whether npm would take the name for a new package; a part of dots would leave its directory."""
    allowed = len(name) <= LONGEST_NAME and ".." not in name and name not in _NPM_RESERVED
    return allowed and _NPM_NAME.fullmatch(name) is not None


def is_pypi_name(name: str) -> bool:
    """Whether PyPI would take the name for a project."""
    return len(name) <= LONGEST_NAME and ".." not in name and _PYPI_NAME.fullmatch(name) is not None


def read_image(reference: str) -> Image | None:
    """The parts of an image reference, or None when it is none."""
    found = _IMAGE.fullmatch(reference) if len(reference) <= _LONGEST_IMAGE else None
    return Image(found["name"], found["tag"], found["digest"]) if found else None


def name_problem(package: Package) -> str | None:
    """Why a package's name, address or executable cannot be used, or None when it can."""
    name = package.identifier
    match package.kind:
        case PackageKind.NPM:
            well_formed = is_npm_name(name)
        case PackageKind.PYPI:
            well_formed = is_pypi_name(name)
        case PackageKind.OCI:
            well_formed = read_image(name) is not None
        case PackageKind.SOURCE:
            return f"{name[:200]!r} is known by a list or its source only: there is nothing to start"
        case _:
            problem = address_problem(name)
            return f"{name[:200]!r} is not an address that can be used: {problem}" if problem else None
    if not well_formed:
        return f"{name[:100]!r} is not a {package.kind} package name"
    if package.executable is not None and not _EXECUTABLE.fullmatch(package.executable):
        return f"{package.executable[:100]!r} is not the name of an executable"
    return None


def version_problem(package: Package) -> str | None:
    """Why a package's version is not one exact version, or None when it is, or none is needed."""
    match package.kind:
        case PackageKind.NPM:
            exact = _NPM_VERSION
        case PackageKind.PYPI:
            exact = _PYPI_VERSION
        case PackageKind.OCI:
            return _image_problem(package)
        case _:
            return None
    if package.version is None:
        return "no exact version is known"
    if not exact.fullmatch(package.version):
        return f"{package.version[:100]!r} is not one exact version"
    return None


def image_of(package: Package) -> Image:
    """The image that an OCI package names: exact, by tag or digest.

    Raises: InvalidInput for a malformed reference, and for one that moves without a digest to hold it.
    """
    if problem := _image_problem(package):
        raise InvalidInput(f"{problem}.", hint="Name a version tag, or a sha256 digest.")
    image = read_image(package.identifier)
    assert image is not None
    return Image(image.name, package.version or image.tag, package.integrity or image.digest)


def _image_problem(package: Package) -> str | None:
    image = read_image(package.identifier)
    if image is None:
        return f"{package.identifier[:100]!r} is not an image reference"
    tag, digest = package.version or image.tag, package.integrity or image.digest
    if tag is not None and (not _TAG.fullmatch(tag) or image.tag not in (None, tag)):
        return f"{tag[:100]!r} is not the tag of {package.identifier[:100]}"
    if digest is not None and (not _DIGEST.fullmatch(digest) or image.digest not in (None, digest)):
        return f"{digest[:100]!r} is not the digest of {package.identifier[:100]}"
    if digest is None and (tag is None or tag in _MOVING_TAGS):
        return f"{package.identifier[:100]} names no exact image: the tag {tag or 'latest'!r} moves"
    return None
