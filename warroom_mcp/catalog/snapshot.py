"""The index as a file, for machines without internet: gzipped JSON lines, read back as a registry is.

The first line says what it is and how old each source was; each further one is a listing. What an
import brings is indexed anew, so a file from another version serves as well; it is checked as what a
registry says is checked, and never proves an origin. A line that is no listing is left out.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, TypeGuard

import anyio.to_thread
import msgspec

from warroom_mcp.catalog import wire
from warroom_mcp.catalog.entry import read_inputs
from warroom_mcp.catalog.identity import identify
from warroom_mcp.catalog.index import CatalogIndex, indexed
from warroom_mcp.catalog.origin import origin_of_npm
from warroom_mcp.errors import InvalidInput
from warroom_mcp.listing import Indexed, ListedTool, Listing, SourceStatus
from warroom_mcp.models import (
    Candidate,
    InputPlace,
    Origin,
    Package,
    PackageInput,
    PackageKind,
    Score,
)
from warroom_mcp.packages import name_problem

FORMAT = "warroom-catalog-1"
# The curated servers come with every installation.
_NOT_TAKEN = frozenset({"curated"})
_BATCH = 500
_SOURCE = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_MAX_SOURCES, _MAX_TOOLS = 200, 500
_MARK = re.compile(r"[0-9A-Za-z.+-]{1,40} [0-9T:.+Z-]{0,40}\Z")
_INTEGRITY = re.compile(r"sha(?:256|384|512)[-:][0-9A-Za-z+/=]{1,100}\Z")
_ARGUMENT = re.compile(r"(?:--?[A-Za-z][A-Za-z0-9-]{0,63}|[A-Za-z0-9@][A-Za-z0-9._:/@=,+-]{0,199})\Z")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}\Z")
# Headers that belong to the connection, not to the server's user.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade"})
# Lines longer than this are no listings; files that unpack to more are no snapshots.
_MAX_LINE, _MAX_BYTES = 1024 * 1024, 2 * 1024**3


async def export_index(index: CatalogIndex, path: Path, now: datetime) -> int:
    """Write all listings to a file, in the place of an older one; how many there are.

    Raises:
        InvalidInput: the file cannot be written.
    """
    statuses = [status for status in await index.sources() if status.name not in _NOT_TAKEN]
    head = {
        "format": FORMAT,
        "exported": now.astimezone(UTC).isoformat(),
        "sources": {
            status.name: {"synced": status.synced.isoformat() if status.synced else None, "mark": status.mark}
            for status in statuses
        },
    }
    partial = Path(f"{path}.part")
    count = 0
    try:
        with gzip.open(partial, "wt", encoding="utf-8", compresslevel=6) as file:
            file.write(json.dumps(head) + "\n")
            for status in statuses:
                after = ""
                while batch := await index.listings(status.name, after, _BATCH):
                    lines = [_line(status.name, listing) for listing in batch]
                    await anyio.to_thread.run_sync(file.writelines, lines)
                    count += len(batch)
                    after = batch[-1].id
        partial.replace(path)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror or error}.", hint="Choose another path."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return count


def _line(source: str, listing: Listing) -> str:
    members = {
        "source": source,
        "id": listing.id,
        "candidate": msgspec.to_builtins(listing.candidate),
        "tools": [[tool.name, tool.description] for tool in listing.tools],
        "words": list(listing.words),
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"


async def import_index(index: CatalogIndex, path: Path, today: date) -> dict[str, SourceStatus]:
    """Read a file that `export_index` wrote, in the place of what the index holds of its sources.

    A file that is no snapshot, or damaged, changes nothing.

    Raises:
        InvalidInput: it is no such file, or damaged.
    """
    statuses = await anyio.to_thread.run_sync(_checked, path, today)
    # Later than any walk that was ever begun, so that nothing of before is left.
    walk = int(datetime.now(UTC).timestamp() * 1_000_000)
    with _opened(path) as file:
        file.readline(_MAX_LINE)
        while lines := await anyio.to_thread.run_sync(_batch, file):
            batch = await anyio.to_thread.run_sync(_read, lines, frozenset(statuses), today)
            for name, listings in batch.items():
                await index.put(name, listings, walk=walk)
    for status in statuses.values():
        await index.drop_unseen(status.name, walk)
        await index.tell(status)
    return statuses


def _opened(path: Path) -> gzip.GzipFile:
    return gzip.open(path, "rb")


def _batch(file: gzip.GzipFile) -> list[bytes]:
    """The next lines; one that is too long falls apart into pieces that are no listings."""
    lines: list[bytes] = []
    size = 0
    while len(lines) < _BATCH and size < _MAX_LINE and (line := file.readline(_MAX_LINE)):
        lines.append(line)
        size += len(line)
    return lines


def _checked(path: Path, today: date) -> dict[str, SourceStatus]:
    """The sources that a file holds, once it is known that all of it can be read."""
    try:
        with _opened(path) as file:
            statuses = _sources(json.loads(file.readline(_MAX_LINE)), today)
            size = 0
            while data := file.read(_MAX_LINE):
                size += len(data)
                if size > _MAX_BYTES:
                    raise ValueError("it unpacks to more than two gigabytes")
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise InvalidInput(
            f"{path} is no catalog snapshot: {error}.",
            hint="Give a file that `warroom catalog export` wrote. Nothing was changed.",
        ) from error
    return statuses


def _sources(head: object, today: date) -> dict[str, SourceStatus]:
    if wire.field(head, "format") != FORMAT:
        raise ValueError("its first line is not that of a snapshot")
    told = wire.mapping(wire.field(head, "sources"))
    names = [name for name in told if _SOURCE.match(name) and name not in _NOT_TAKEN]
    return {name: _status(name, told[name], today) for name in names[:_MAX_SOURCES]}


def _status(name: str, told: object, today: date) -> SourceStatus:
    synced, mark = wire.moment(wire.field(told, "synced")), wire.field(told, "mark")
    if synced is not None and synced > datetime.combine(today, time.max, UTC):
        # From a clock that is wrong: such a copy would count as fresh for good.
        synced = None
    return SourceStatus(name, synced=synced, mark=mark if _is_mark(mark, today) else None)


def _is_mark(told: object, today: date) -> TypeGuard[str]:
    """Whether it is the mark of a registry's copy: those of catalog files are for the other machine alone."""
    if not isinstance(told, str) or not _MARK.match(told):
        return False
    newest = wire.moment(told.partition(" ")[2])
    return newest is not None and newest.date() <= today


def _read(lines: Sequence[bytes], sources: frozenset[str], today: date) -> dict[str, list[Indexed]]:
    """The listings of some lines, by source."""
    found: dict[str, list[Indexed]] = {}
    for line in lines:
        try:
            source, listing = _listing(json.loads(line))
            if source in sources:
                found.setdefault(source, []).append(indexed(listing, today))
        except (ValueError, TypeError, KeyError, RecursionError):
            # It costs the others nothing.
            continue
    return found


def _listing(members: Mapping[str, Any]) -> tuple[str, Listing]:
    """The listing of a line, and its source.

    Raises:
        ValueError, TypeError, KeyError: it is none, or holds what no source would have listed.
    """
    source, listed = members["source"], wire.text(members["id"], 300)
    candidate = _candidate(msgspec.convert(members["candidate"], Candidate), source)
    # An id is what a candidate is added by: it has to be that of its package.
    if not listed or candidate.id != (identify(candidate.package) or f"listed:{listed}"):
        raise ValueError(f"{candidate.id} is not the id of its package")
    tools = tuple(_tools(members["tools"]))
    words = tuple(text for word in wire.listing(members["words"], 100) if (text := wire.text(word, 100)))
    return source, Listing(listed, candidate, tools, words)


def _tools(told: object) -> Iterator[ListedTool]:
    for pair in wire.listing(told, _MAX_TOOLS):
        match pair:
            case [str() as name, str() as description] if shown := wire.text(name, 100):
                yield ListedTool(shown, wire.text(description, 300))


def _candidate(told: Candidate, source: str) -> Candidate:
    """The candidate as its source would list it: cleaned, and without what only a look at it can prove."""
    origin, evidence = told.origin, wire.text(told.origin_evidence, 300)
    if origin is Origin.OFFICIAL:
        npm = told.package.kind is PackageKind.NPM
        origin, proof = origin_of_npm(told.package.identifier) if npm else (Origin.UNPROVEN, "")
        evidence = proof or evidence
    return replace(
        told,
        name=_required(told.name, 200),
        title=wire.text(told.title, 100),
        description=wire.text(told.description, 600),
        package=_package(told.package),
        technologies=_texts(told.technologies),
        capabilities=_texts(told.capabilities),
        origin=origin,
        origin_evidence=evidence,
        repository=wire.repository(told.repository),
        weekly_downloads=wire.count(told.weekly_downloads),
        deprecated=wire.text(told.deprecated, 200) or None,
        heir=wire.text(told.heir, 300) or None,
        unconfirmed=wire.text(told.unconfirmed, 300),
        listed_as="",
        tools=_texts(told.tools),
        sources=(source,),
        need=None,
        parameters={},
        relevance=0.0,
        score=Score(),
    )


def _required(told: str, limit: int) -> str:
    if not (text := wire.text(told, limit)):
        raise ValueError("a server has no name")
    return text


def _texts(told: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for one in told[:_MAX_TOOLS] if (text := wire.text(one, 100)))


def _package(told: Package) -> Package:
    """The package, if nothing of it could change the command that it becomes part of.

    Raises:
        ValueError: something could.
    """
    if told.kind is PackageKind.SOURCE:
        return Package(told.kind, wire.text(told.identifier, 300))
    if problem := name_problem(told):
        raise ValueError(problem)
    if told.version is not None and wire.version(told.version) is None:
        raise ValueError("its version is none")
    if told.integrity is not None and not _INTEGRITY.match(told.integrity):
        raise ValueError("its integrity is none")
    if not all(_ARGUMENT.match(argument) for argument in told.arguments):
        raise ValueError("an argument is no plain word")
    return replace(told, inputs=tuple(_input(one) for one in told.inputs))


def _input(told: PackageInput) -> PackageInput:
    match told.place:
        case InputPlace.ENV:
            usable = bool(list(read_inputs([{"name": told.name}])))
        case InputPlace.HEADER:
            usable = bool(_HEADER.match(told.name)) and told.name.lower() not in _OWN_HEADERS
        case _:
            usable = not told.name or bool(_ARGUMENT.match(told.name))
    if not usable:
        raise ValueError("an input sets what is not for its user to set")
    return replace(
        told,
        description=wire.text(told.description, 300),
        default=None if told.default is None or told.secret else wire.text(told.default, 500),
        template=None if told.template is None or told.secret else wire.text(told.template, 500),
        choices=_texts(told.choices),
    )
