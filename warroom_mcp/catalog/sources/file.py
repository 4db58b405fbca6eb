"""Catalog files: lists of servers on this machine, one JSON object a line, or a registry's own answer.

A row has `name`, and as far as it is known `id`, `description`, `aliases`, `tags`, `category`,
`packages` ({registry, name, version, confidence}), `remotes` ({type, url}), `env` ({name, description,
required, secret}), `tools` ({name, description}), `repository`, `official`, `validated`, `deprecated`.
What a list says of packages is a claim: only a package that somebody has started (`validated`) or that
the list itself was made from (`listed`) is taken as told; any other is shown and not started.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from warroom_mcp.catalog import wire
from warroom_mcp.catalog.entry import read_entry, read_inputs
from warroom_mcp.catalog.identity import identify
from warroom_mcp.errors import SourceUnavailable
from warroom_mcp.listing import ListedTool, Listing
from warroom_mcp.models import Candidate, Origin, Package, PackageKind

MAX_BYTES = 512 * 1024 * 1024
_MAX_TOOLS = 500
_KINDS = {"npm": PackageKind.NPM, "pypi": PackageKind.PYPI, "oci": PackageKind.OCI}
_REMOTES = {"streamable-http": PackageKind.HTTP, "http": PackageKind.HTTP, "sse": PackageKind.SSE}
_TAKEN_AS_TOLD = frozenset({"validated", "listed"})


def read_file(path: Path, source: str) -> Iterator[Listing]:
    """The listings of a catalog file, in its order; a row that is none is left out.

    Raises:
        SourceUnavailable: the file cannot be read, is too large, or is not JSON.
    """
    try:
        told = path.stat()
        if not S_ISREG(told.st_mode):
            raise _unusable(path, "it is no file")
        if told.st_size > MAX_BYTES:
            raise _unusable(path, f"it is larger than {MAX_BYTES} bytes")
        with path.open("rb") as file:
            for item in _items(file, path):
                if (listing := read_row(item, source)) is not None:
                    yield listing
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


def _items(file: BinaryIO, path: Path) -> Iterator[object]:
    """The rows of the file: a line each where its first line is one by itself, else those of the whole."""
    first = b""
    while not first.strip(b"\xef\xbb\xbf \t\r\n"):
        if not (first := file.readline()):
            raise _unusable(path, "it is empty")
    rest = file.read(1)
    row = _json(first)
    if isinstance(row, dict) and not isinstance(wire.field(row, "servers"), list):
        yield row
        yield from (item for line in _lines(rest, file) if (item := _json(line)) is not None)
        return
    data = first + rest + file.read()
    whole = _json(data)
    if whole is None:
        rows = [item for line in data.splitlines() if isinstance(item := _json(line), dict)]
        if not rows:
            raise _unusable(path, "it is not JSON")
        yield from rows
        return
    servers = wire.field(whole, "servers")
    yield from servers if isinstance(servers, list) else whole if isinstance(whole, list) else [whole]


def _lines(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    yield start + file.readline()
    yield from file


def _json(data: bytes) -> object:
    """The value, or None when the bytes are none: a line that is broken costs the others nothing."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _unusable(path: Path, reason: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"The catalog file {path} cannot be used: {reason}.",
        hint="Correct the path in the setting catalog_files, or the file.",
        retryable=False,
        details={"reason": reason, "path": str(path)},
    )


def read_row(item: object, source: str) -> Listing | None:
    """One row as a listing: of the form above, or an entry of a registry; None when it is neither."""
    if wire.field(item, "server") is not None:
        candidates = read_entry(item, source=source)
        return Listing(candidates[0].name, candidates[0]) if candidates else None
    name = wire.text(wire.field(item, "name"), 200)
    if not name:
        return None
    listed = wire.text(wire.field(item, "id"), 300) or name
    tools = tuple(_tools(item))
    package, unconfirmed = _package(item, listed, source)
    candidate = Candidate(
        id=identify(package) or f"listed:{listed}",
        name=name,
        description=wire.text(wire.field(item, "description"), 600),
        package=package,
        origin=Origin.KNOWN_PUBLISHER if wire.field(item, "official") is True else Origin.UNPROVEN,
        origin_evidence=f"{source} lists it as the vendor's own"
        if wire.field(item, "official") is True
        else "",
        repository=wire.repository(wire.field(item, "repository")),
        deprecated=_deprecated(item),
        unconfirmed=unconfirmed,
        tools=tuple(tool.name for tool in tools),
        sources=(source,),
    )
    return Listing(listed, candidate, tools, tuple(_words(item)))


def _deprecated(item: object) -> str | None:
    told = wire.field(item, "deprecated")
    return (
        wire.text(told, 200) or None
        if isinstance(told, str)
        else "its list says so"
        if told is True
        else None
    )


def _words(item: object) -> Iterator[str]:
    for name in ("aliases", "tags"):
        yield from (
            text for each in wire.listing(wire.field(item, name), 30) if (text := wire.text(each, 100))
        )
    if category := wire.text(wire.field(item, "category"), 60):
        yield category


def _tools(item: object) -> Iterator[ListedTool]:
    for each in wire.listing(wire.field(item, "tools"), _MAX_TOOLS):
        name = wire.text(each if isinstance(each, str) else wire.field(each, "name"), 100)
        if name:
            yield ListedTool(name, wire.text(wire.field(each, "description"), 300))


def _package(item: object, listed: str, source: str) -> tuple[Package, str]:
    """How the server is started, as far as its list knows, and why it cannot be, if so."""
    claims = sorted(_claims(item), key=lambda claim: not claim[1])
    if claims and claims[0][1]:
        return claims[0][0], ""
    for remote in wire.listing(wire.field(item, "remotes"), 10):
        kind = _REMOTES.get(str(wire.field(remote, "type")))
        url = wire.field(remote, "url")
        if kind is not None and isinstance(url, str):
            package = Package(kind, url)
            if identify(package) is not None:
                return package, ""
    if claims:
        named = claims[0][0]
        return named, f"{source} names this {named.kind} package, and nothing confirms that it is the server"
    return Package(PackageKind.SOURCE, listed), f"{source} names no package that could be started"


def _claims(item: object) -> Iterator[tuple[Package, bool]]:
    inputs = tuple(read_inputs([_input(each) for each in wire.listing(wire.field(item, "env"), 60)]))
    for each in wire.listing(wire.field(item, "packages"), 10):
        kind = _KINDS.get(str(wire.field(each, "registry")))
        name = wire.field(each, "name")
        if kind is None or not isinstance(name, str):
            continue
        package = Package(kind, name, wire.version(wire.field(each, "version")), inputs=inputs)
        if identify(package) is not None:
            told = wire.field(each, "confidence")
            yield package, told is None or (isinstance(told, str) and told in _TAKEN_AS_TOLD)


def _input(item: object) -> dict[str, object]:
    """An input in the registry's words."""
    told = wire.mapping(item)
    return {**told, "isRequired": told.get("required"), "isSecret": told.get("secret")}


def listings_of(items: Sequence[object], source: str) -> tuple[Listing, ...]:
    """The listings of some rows."""
    return tuple(listing for item in items if (listing := read_row(item, source)) is not None)
