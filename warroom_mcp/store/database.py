"""One SQLite connection behind one worker thread at a time: opening, transactions, and what went wrong."""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import anyio

from warroom_mcp.errors import ConfigCorrupt, StateError, StateNotWritable
from warroom_mcp.store.migrations import STATE, Schema, is_own, migrate, version
from warroom_mcp.store.private import FILE_MODE, make_directory, make_file, writing

_logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Renew = Callable[[sqlite3.Connection, str], None]

# How long another process may hold the database before a call gives up, in seconds.
BUSY_SECONDS = 5.0
# How long to wait before asking again where SQLite itself does not wait.
_PAUSE = 0.01

# What every SQLite file begins with.
_HEADER = b"SQLite format 3\0"

_NOT_WRITABLE = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# A file of which nothing is lost that cannot be made again goes aside under this ending.
SET_ASIDE = ".set-aside"


class Database:
    """A database file that is opened at its first use; creating the object touches nothing.

    With `renew` it is a copy that can be made again: a file that is damaged, or of a newer version, is
    set aside, and `renew` writes into the new one what became of it. A file of another program stays.
    """

    def __init__(
        self,
        path: Path,
        *,
        schema: Schema = STATE,
        busy_seconds: float = BUSY_SECONDS,
        renew: Renew | None = None,
    ) -> None:
        self.path = path
        self._schema = schema
        self._busy_seconds = busy_seconds
        self._renew = renew
        self._file: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        # The limiter queues tasks; the lock also holds when two event loops share the object.
        self._limiter = anyio.CapacityLimiter(1)
        self._lock = threading.Lock()

    async def read(self, work: Work[T]) -> T:
        """Run work that reads.

        Raises:
            StateError: the database is closed, busy for too long, not writable or not readable.
        """
        return await anyio.to_thread.run_sync(self._run, work, limiter=self._limiter)

    async def look(self, work: Work[T]) -> T:
        """Run work that reads several times, all of it as of one moment.

        Raises:
            StateError: as for `read`.
        """
        return await self.read(lambda connection: _at_one_moment(connection, work))

    async def write(self, work: Work[T]) -> T:
        """Run work in one write transaction: all of it is kept, or nothing.

        Raises:
            StateError: as for `read`, and when the file had to be made anew.
        """
        return await anyio.to_thread.run_sync(
            self._run, lambda connection: _in_transaction(connection, work), True, limiter=self._limiter
        )

    async def aclose(self) -> None:
        """Close the connection, for good."""
        await anyio.to_thread.run_sync(self._close, limiter=self._limiter)

    def _run(self, work: Work[T], writes: bool = False) -> T:
        with self._lock, _told(self.path):
            if self._closed:
                raise StateError(f"{self.path} is closed.", hint="War Room is shutting down.")
            opened = self._connection is not None
            why: str | None = None
            if opened and self._renew is not None and self._file != _identity(self.path):
                # Another process has set the file aside: what is written to it now is lost.
                self._let_go()
                why = "was taken away"
            else:
                try:
                    return work(self._ready())
                except (sqlite3.DatabaseError, StateError) as error:
                    why = _why_unusable(error)
                    if self._renew is None or why is None:
                        raise
                    self._make_anew(why)
            if opened and writes:
                # What the caller has written before is gone: going on would leave half of it.
                raise ConfigCorrupt(
                    f"{self.path} {why} and was made anew.",
                    hint="It is a copy, nothing else was lost: try again.",
                    retryable=True,
                    details={"path": str(self.path)},
                )
            return work(self._ready())

    def _ready(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _make_anew(self, why: str) -> None:
        """Set the file aside, unless another process has done so, and begin a new one."""
        from filelock import FileLock

        self._let_go()
        aside = self.path.with_name(self.path.name + SET_ASIDE)
        with writing(self.path), FileLock(f"{self.path}.lock", mode=FILE_MODE, thread_local=False):
            if self._file != _identity(self.path):
                return
            # The write-ahead log belongs to its database; without it, changes would be missing.
            for ending in ("", "-wal", "-shm"):
                aside.with_name(aside.name + ending).unlink(missing_ok=True)
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}{ending}", f"{aside}{ending}")
            _logger.warning("%s %s: it was set aside as %s and is made anew", self.path, why, aside)
            connection = self._connection = self._open()
            assert self._renew is not None
            self._renew(connection, f"{why} and was set aside as {aside.name}")

    def _close(self) -> None:
        with self._lock, _told(self.path):
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _open(self) -> sqlite3.Connection:
        with writing(self.path):
            make_directory(self.path.parent)
            make_file(self.path)
            self._file = _identity(self.path)
            self._refuse_other_files()
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_other_files(self) -> None:
        """SQLite itself takes a file that is shorter than its header for an empty one, and overwrites it."""
        with self.path.open("rb") as file:
            start = file.read(len(_HEADER))
        if start and start != _HEADER:
            raise ConfigCorrupt(
                f"{self.path} is no database.", details={"path": str(self.path), "found": _DAMAGED}
            )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Before anything is written, even a pragma: the file may be somebody else's.
        if not is_own(connection, self._schema):
            raise _foreign(self.path)
        self._write_ahead(connection)
        # Acknowledged means on the disk: approvals must survive a loss of power.
        connection.execute(f"PRAGMA synchronous = {self._schema.synchronous}")
        connection.execute(f"PRAGMA mmap_size = {self._schema.mapped}")
        known = version(connection)
        if known > len(self._schema.steps):
            raise StateError(
                f"{self.path} was written by a newer version of War Room.",
                hint="Update War Room, or choose another state directory with WARROOM_HOME.",
                details={"path": str(self.path), "found": _NEWER},
            )
        if known < len(self._schema.steps):
            _in_transaction(connection, lambda one: migrate(one, self._schema))

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Switch to WAL, which SQLite refuses at once, without waiting, while another process opens."""
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if _code(error) not in _BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)


_DAMAGED, _NEWER = "was damaged", "was written by a newer version"


def _why_unusable(error: Exception) -> str | None:
    """Why the file itself is of no use to this version, or None when the failure lies elsewhere."""
    if isinstance(error, sqlite3.Error):
        return _DAMAGED if _code(error) in _CORRUPT else None
    found = error.details.get("found") if isinstance(error, StateError) else None
    return str(found) if found else None


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file the path leads to now."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_dev, told.st_ino


def _at_one_moment(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")


def _in_transaction(connection: sqlite3.Connection, work: Work[T]) -> T:
    # IMMEDIATE takes the write lock first: a transaction that begins by reading could not wait for it.
    connection.execute("BEGIN IMMEDIATE")
    try:
        answer = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
    return answer


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; the extended codes carry it in their low byte."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _foreign(path: Path) -> ConfigCorrupt:
    return ConfigCorrupt(
        f"{path} is a database of another program.",
        hint="Move the file away, or choose another state directory with WARROOM_HOME. Nothing was changed.",
        details={"path": str(path)},
    )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell SQLite's errors as the project's own, naming the file."""
    try:
        yield
    except sqlite3.Error as error:
        code, details = _code(error), {"path": str(path)}
        if code in _CORRUPT:
            raise ConfigCorrupt(f"{path} is damaged or no database: {error}.", details=details) from error
        if code in _BUSY:
            raise StateError(
                f"{path} was held by another process for too long.",
                hint="Try again; if it stays so, end the other War Room process.",
                retryable=True,
                details=details,
            ) from error
        if code in _NOT_WRITABLE:
            raise StateNotWritable(
                f"{path} cannot be written: {error}.",
                hint="Free space on the disk and make the directory writable, or set WARROOM_HOME.",
                details=details,
            ) from error
        raise StateError(f"{path} could not be used: {error}.", details=details) from error
