"""Translates one entry of the official registry into candidates; what does not fit is left out.

Nothing that an entry says becomes part of a command unless it is a plain word here: the runtime's own
arguments and launcher variables are never taken.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from warroom_mcp.addresses import is_acceptable, split_url
from warroom_mcp.catalog import wire
from warroom_mcp.catalog.identity import identify
from warroom_mcp.catalog.origin import origin_of_entry
from warroom_mcp.models import Candidate, InputPlace, Package, PackageInput, PackageKind
from warroom_mcp.packages import read_image

_NAME = re.compile(r"(?=.{3,200}\Z)[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}\Z")
_OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9-]{0,63}\Z")
_PLAIN = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._:/@=,+-]{0,199}\Z")
_BRACES = re.compile(r"\{([^{}]*)\}")
# Variables that change what a launcher, interpreter or loader runs.
_LAUNCHER = re.compile(
    r"(?:PATH|HOME|SHELL|IFS|ENV|BASH_ENV|NODE_.*|LD_.*|DYLD_.*|PYTHON.*|PIP_.*|UV_.*|NPM_CONFIG_.*|DOCKER_.*|"
    r"GIT_.*|PERL5.*|RUBY.*|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|WARROOM_.*)\Z",
    re.IGNORECASE,
)
# Headers that belong to the connection, not to the server's user.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade"})
# The problem parameters that a template may use, see `models.Need`.
_PARAMETERS = frozenset(
    {"host", "port", "database", "user", "container", "namespace", "bucket", "region", "url", "path"}
)
_PUBLIC_BASES = {
    PackageKind.NPM: frozenset({"registry.npmjs.org"}),
    PackageKind.PYPI: frozenset({"pypi.org"}),
}
_KINDS = {"npm": PackageKind.NPM, "pypi": PackageKind.PYPI, "oci": PackageKind.OCI}
_REMOTES = {"streamable-http": PackageKind.HTTP, "sse": PackageKind.SSE}
_META = "io.modelcontextprotocol.registry/official"


def read_entry(item: object, *, loopback: bool = False, source: str = "registry") -> tuple[Candidate, ...]:
    """The candidates of one item of a server list, the one to prefer first; none when it is unusable.

    Installable packages come before remote ones, because they can be checked. `loopback` accepts remote
    addresses on this machine, for a registry that runs here itself.
    """
    server = wire.field(item, "server") or item
    meta = wire.field(wire.field(item, "_meta"), _META)
    status = wire.text(wire.field(meta, "status") or wire.field(server, "status"))
    name = wire.field(server, "name")
    if status == "deleted" or not isinstance(name, str) or not _NAME.match(name):
        return ()
    packages = [*_packages(server), *_remotes(server, loopback=loopback)]
    found = _candidates(server, name, packages, _deprecation(status, meta), _updated(meta))
    return tuple(replace(candidate, sources=(source,)) for candidate in found)


def _candidates(
    server: object, name: str, packages: list[Package], deprecated: str | None, updated: date | None
) -> Iterator[Candidate]:
    repository = wire.repository(wire.field(server, "repository"))
    website = wire.field(server, "websiteUrl")
    addresses = [website] if isinstance(website, str) else []
    addresses += [package.identifier for package in packages if package.remote]
    origin, evidence = origin_of_entry(name, repository, addresses)
    for package in packages:
        identity = identify(package)
        if identity is not None:
            yield Candidate(
                id=identity,
                name=name,
                title=wire.text(wire.field(server, "title"), 100),
                description=wire.text(wire.field(server, "description"), 300),
                package=package,
                origin=origin,
                origin_evidence=evidence,
                repository=repository,
                updated=updated,
                deprecated=deprecated,
            )


def _deprecation(status: str, meta: object) -> str | None:
    if status != "deprecated":
        return None
    return wire.text(wire.field(meta, "statusMessage"), 200) or "its publisher has deprecated it"


def _updated(meta: object) -> date | None:
    return wire.day(wire.field(meta, "updatedAt")) or wire.day(wire.field(meta, "publishedAt"))


# --- packages ----------------------------------------------------------------------------------


def _packages(server: object) -> Iterator[Package]:
    found = [_package(item) for item in wire.listing(wire.field(server, "packages"), 20)]
    order = list(PackageKind)
    yield from sorted((one for one in found if one is not None), key=lambda one: order.index(one.kind))


def _package(item: object) -> Package | None:
    registry = wire.field(item, "registryType") or wire.field(item, "registryName")
    kind = _KINDS.get(registry) if isinstance(registry, str) else None
    identifier = wire.field(item, "identifier") or wire.field(item, "name")
    if kind is None or not isinstance(identifier, str) or not _is_public_base(kind, item):
        return None
    transport = wire.field(wire.field(item, "transport"), "type")
    if transport not in (None, "stdio"):
        return None
    version, integrity = wire.version(wire.field(item, "version")), None
    if kind is PackageKind.OCI:
        image = read_image(identifier)
        if image is None:
            return None
        version, integrity = wire.version(image.tag), image.digest
    arguments, inputs = _arguments(wire.field(item, "packageArguments"))
    return Package(
        kind=kind,
        identifier=identifier,
        version=version,
        integrity=integrity,
        arguments=arguments,
        inputs=(*read_inputs(wire.field(item, "environmentVariables")), *inputs),
    )


def _is_public_base(kind: PackageKind, item: object) -> bool:
    """Whether the package comes from the registry that War Room would ask for it."""
    base = wire.field(item, "registryBaseUrl")
    if base is None or kind not in _PUBLIC_BASES:
        return True
    parts = split_url(base) if isinstance(base, str) else None
    return parts is not None and parts.hostname in _PUBLIC_BASES[kind]


def _remotes(server: object, *, loopback: bool) -> Iterator[Package]:
    for item in wire.listing(wire.field(server, "remotes"), 20):
        kind = _REMOTES.get(str(wire.field(item, "type") or wire.field(item, "transportType")))
        url = wire.field(item, "url")
        # An address with {variables} cannot be known before a person fills them in.
        if kind is not None and isinstance(url, str) and is_acceptable(url, loopback=loopback):
            yield Package(kind=kind, identifier=url, inputs=tuple(_headers(wire.field(item, "headers"))))


# --- inputs ------------------------------------------------------------------------------------


def read_inputs(items: object) -> Iterator[PackageInput]:
    """The environment variables that a server is told to take, without those that change what is run."""
    for item in wire.listing(items, 60):
        name = wire.field(item, "name")
        if isinstance(name, str) and _VARIABLE.match(name) and not _LAUNCHER.match(name):
            yield _input(item, name, InputPlace.ENV)


def _headers(items: object) -> Iterator[PackageInput]:
    for item in wire.listing(items, 30):
        name = wire.field(item, "name")
        if isinstance(name, str) and _HEADER.match(name) and name.lower() not in _OWN_HEADERS:
            yield _input(item, name, InputPlace.HEADER)


def _arguments(items: object) -> tuple[tuple[str, ...], tuple[PackageInput, ...]]:
    """Fixed arguments, and those that a person fills in; only plain words are taken."""
    fixed: list[str] = []
    inputs: list[PackageInput] = []
    for item in wire.listing(items, 40):
        value, name = wire.field(item, "value"), wire.field(item, "name")
        option = name if isinstance(name, str) and _OPTION.match(name) else ""
        if wire.field(item, "type") == "named" and not option:
            continue
        if isinstance(value, str) and _PLAIN.match(value) and not wire.field(item, "variables"):
            fixed += [option, value] if option else [value]
        elif option and value is None and _is_flag(item):
            fixed.append(option)
        else:
            inputs.append(_input(item, option, InputPlace.ARGUMENT))
    return tuple(fixed), tuple(inputs)


def _is_flag(item: object) -> bool:
    """A required option with nothing to fill in: neither a default, a hint, choices, nor a format."""
    hints = ("default", "valueHint", "placeholder", "choices", "format", "isSecret", "description")
    return wire.field(item, "isRequired") is True and all(not wire.field(item, hint) for hint in hints)


def _input(item: object, name: str, place: InputPlace) -> PackageInput:
    value = wire.field(item, "value")
    inner = wire.mapping(wire.field(item, "variables"))
    parts = [item, *inner.values()]
    secret = any(wire.field(part, "isSecret") is True for part in parts)
    default, template = (None, None) if secret else _default(value, wire.field(item, "default"))
    choices = (wire.text(one, 100) for one in wire.listing(wire.field(item, "choices")))
    return PackageInput(
        name=name,
        place=place,
        description=_description(item, value),
        required=any(wire.field(part, "isRequired") is True for part in parts),
        secret=secret,
        default=default,
        template=template,
        choices=tuple(choice for choice in choices if choice),
    )


def _default(value: object, default: object) -> tuple[str | None, str | None]:
    """The default and the template that a value with or without braces stands for."""
    if isinstance(default, bool | int | float):
        default = str(default).lower()
    fallback = wire.text(default, 500) or None
    if not isinstance(value, str) or not value:
        return fallback, None
    names = set(_BRACES.findall(value))
    if not names:
        return wire.text(value, 500) or None, None
    return fallback, wire.text(value, 500) if names <= _PARAMETERS else None


def _description(item: object, value: object) -> str:
    told = wire.text(wire.field(item, "description") or wire.field(item, "valueHint"), 200)
    if isinstance(value, str) and _BRACES.search(value):
        return f"{told} (in the form {wire.text(value, 80)})".strip()
    return told
