"""One SQLite connection behind one worker thread at a time: opening, transactions, and what went wrong."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import anyio

from warroom_mcp.errors import ConfigCorrupt, StateError, StateNotWritable
from warroom_mcp.store.migrations import MIGRATIONS, is_own, migrate, version
from warroom_mcp.store.private import make_directory, make_file, writing

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

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


class Database:
    """A database file that is opened at its first use; creating the object touches nothing."""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
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

    async def write(self, work: Work[T]) -> T:
        """Run work in one write transaction: all of it is kept, or nothing.

        Raises:
            StateError: as for `read`.
        """
        return await self.read(lambda connection: _in_transaction(connection, work))

    async def aclose(self) -> None:
        """Close the connection, for good."""
        await anyio.to_thread.run_sync(self._close, limiter=self._limiter)

    def _run(self, work: Work[T]) -> T:
        with self._lock, _told(self.path):
            if self._closed:
                raise StateError(f"{self.path} is closed.", hint="War Room is shutting down.")
            if self._connection is None:
                self._connection = self._open()
            return work(self._connection)

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
            raise ConfigCorrupt(f"{self.path} is no database.", details={"path": str(self.path)})

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Before anything is written, even a pragma: the file may be somebody else's.
        if not is_own(connection):
            raise _foreign(self.path)
        self._write_ahead(connection)
        # Acknowledged means on the disk: approvals must survive a loss of power.
        connection.execute("PRAGMA synchronous = FULL")
        known = version(connection)
        if known > len(MIGRATIONS):
            raise StateError(
                f"{self.path} was written by a newer version of War Room.",
                hint="Update War Room, or choose another state directory with WARROOM_HOME.",
            )
        if known < len(MIGRATIONS):
            _in_transaction(connection, migrate)

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
