"""The config file: the servers a person approved, in the shape that hosts use.

Other programs and people write this file too. What they wrote is never started, and never lost.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warroom_mcp.errors import ConfigCorrupt, InvalidInput, StateError
from warroom_mcp.models import AddedServer
from warroom_mcp.store.entries import from_entry, to_entry
from warroom_mcp.store.private import FILE_MODE, make_directory, replace_file, writing

SERVERS = "mcpServers"
# How long another process may hold the file's lock before a write gives up, in seconds.
LOCK_SECONDS = 10.0

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Desired:
    """What the file asks for: approved servers, and every other entry with the reason it is not started."""

    servers: Mapping[str, AddedServer] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)


class ConfigFile:
    """`mcp-config.json`, which may not exist yet; all calls block, writes for up to `lock_seconds`.

    Reading checks that every entry still is what its own approval digest was made for. Someone who can
    write the file can also write a digest: before an entry is started, its digest is to be looked up
    among the approvals of the store.
    """

    def __init__(self, path: Path, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self.path = path
        self._lock_seconds = lock_seconds

    def load(self) -> Desired:
        """Read the file; a missing one asks for nothing.

        Raises:
            ConfigCorrupt: it is not JSON of the expected shape; the message names line and column.
            StateError: it cannot be read.
        """
        servers: dict[str, AddedServer] = {}
        foreign: dict[str, str] = {}
        for name, entry in self._entries(self._read()).items():
            read = from_entry(name, entry)
            if isinstance(read, str):
                foreign[name] = read
            else:
                servers[name] = read
        return Desired(servers, foreign)

    def add(self, server: AddedServer, *, new: bool = False) -> None:
        """Write a server into the file, in place of an earlier approved one of that name.

        One that is said to be `new` takes nobody's place: another process may have given the name to
        another server a moment ago.

        Raises:
            Refusal: its plan is not the one that was approved.
            InvalidInput: the plan holds a secret's value, or has no portable form; or it is new, and the
                name is taken.
            ConfigCorrupt, StateError: nothing was written.
        """

        def change(entries: Document) -> bool:
            before = entries.get(server.name)
            if server.name in entries:
                known = self._must_be_own(server.name, before)
                if new and known.approved != server.approved:
                    raise _taken(server.name)
            entries[server.name] = to_entry(server, before)
            return True

        self._change(change)

    def remove(self, name: str) -> bool:
        """Take an approved server out of the file; false when no entry has that name.

        Raises:
            ConfigCorrupt, StateError: nothing was written; among the causes: the entry is not, or no
                longer, what was approved.
        """

        def change(entries: Document) -> bool:
            if name not in entries:
                return False
            self._must_be_own(name, entries[name])
            del entries[name]
            return True

        # Looked up first, so that removing nothing makes no directory and takes no lock.
        return name in self._entries(self._read()) and self._change(change)

    def _change(self, change: Callable[[Document], bool]) -> bool:
        with self._locked():
            document = self._read()
            # A document without servers gets its table here, and not before it is known to be sound.
            entries = document.setdefault(SERVERS, {})
            self._entries(document)
            changed = change(entries)
            if changed:
                self._write(document)
            return changed

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Imported late: only a write needs it.
        from filelock import FileLock, Timeout

        with writing(self.path):
            make_directory(self.path.parent)
            lock = FileLock(
                self.path.with_name(self.path.name + ".lock"), timeout=self._lock_seconds, mode=FILE_MODE
            )
            try:
                lock.acquire()
            except Timeout as error:
                raise StateError(
                    f"{self.path} was held by another process for {self._lock_seconds:g} seconds.",
                    hint="Try again; if it stays so, end the other War Room process.",
                    retryable=True,
                ) from error
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> Document:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StateError(f"{self.path} cannot be read: {error.strerror or error}.") from error
        return _parse(content, self.path)

    def _entries(self, document: Document) -> Document:
        entries = document.get(SERVERS, {})
        if not isinstance(entries, dict):
            raise _corrupt(self.path, f'"{SERVERS}" is not an object')
        return entries

    def _write(self, document: Document) -> None:
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        try:
            content = text.encode("utf-8")
        except UnicodeEncodeError:
            # Half a surrogate pair, as an escape in the file: it can only stay an escape.
            content = (json.dumps(document, indent=2) + "\n").encode("ascii")
        with writing(self.path):
            # A person may have made the file a link to where they keep such files.
            replace_file(self.path.resolve(), content)

    def _must_be_own(self, name: str, entry: object) -> AddedServer:
        read = from_entry(name, entry)
        if isinstance(read, str):
            raise StateError(
                f"The entry {name!r} in {self.path} is left as it is: {read}.",
                hint="Take the entry out of the file, or rename it there, and try again.",
                details={"path": str(self.path), "server": name},
            )
        return read


def _parse(content: bytes, path: Path) -> Document:
    try:
        # Editors on Windows put a byte order mark in front.
        document = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise _corrupt(path, f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise _corrupt(path, f"line {line}, column {column}: not UTF-8") from error
    except RecursionError as error:
        raise _corrupt(path, "it is nested too deeply") from error
    except ValueError as error:
        raise _corrupt(path, str(error)) from error
    if not isinstance(document, dict):
        raise _corrupt(path, "it is not an object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> Document:
    """An object whose keys all differ: of two equal ones, a rewrite would lose the first."""
    document: Document = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"the key {key!r} appears twice in one object")
        document[key] = value
    return document


def _taken(name: str) -> InvalidInput:
    return InvalidInput(
        f"Another War Room has just added another server called {name!r}.",
        hint="Add it again: it gets another name then.",
        retryable=True,
        details={"taken": name},
    )


def _corrupt(path: Path, why: str) -> ConfigCorrupt:
    return ConfigCorrupt(f"{path} cannot be used: {why}.", details={"path": str(path)})
