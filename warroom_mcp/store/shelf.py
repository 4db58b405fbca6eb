"""Large contents of a session, kept as files and handed out page by page until the session ends.

Nothing is made before the first content. The files of one War Room lie in a directory of its own, beside a
lock that it holds while it lives: a directory whose lock is free belongs to a dead one and is swept.
"""

import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from warroom_mcp.errors import InvalidArguments, ResultGone, StateError
from warroom_mcp.store.private import FILE_MODE, make_directory, writing

if TYPE_CHECKING:
    from filelock import FileLock

MAX_BYTES = 256 * 1024 * 1024
PAGE_BYTES = 48 * 1024
"""With the line that follows it, a page is below the 50,000 characters that Claude Code shows."""

_LOCK = ".lock"
# Longest character of UTF-8: a shorter page could hold none.
_LEAST_PAGE = 4
_OPEN = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_MEDIA = ("image/", "audio/", "video/", "font/")
_TEXTUAL = ("json", "xml", "yaml", "toml", "javascript", "csv", "markdown")


@dataclass(frozen=True, slots=True)
class Kept:
    """A content on the shelf: its size in bytes and in pages."""

    id: str
    size: int
    pages: int
    mime: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page, counted from 1; `text` tells whether it is whole characters of UTF-8."""

    data: bytes
    mime: str
    number: int
    pages: int
    text: bool


@dataclass(frozen=True, slots=True)
class _Item:
    path: Path
    mime: str
    text: bool
    cuts: tuple[int, ...]
    """Where each page begins, and where the last one ends."""

    @property
    def size(self) -> int:
        return self.cuts[-1]


class Shelf:
    """The contents that this War Room keeps; all calls may come from any thread.

    `directory` is shared by all War Rooms of a home. The oldest contents go when there are more than
    `max_bytes` of them; the latest one stays, whatever its size.
    """

    def __init__(self, directory: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._directory = directory
        self._own = directory / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._max_bytes = max_bytes
        self._items: dict[str, _Item] = {}
        self._guard = threading.Lock()
        self._held: FileLock | None = None
        self._closed = False

    def put(self, data: bytes, mime: str, *, page_bytes: int = PAGE_BYTES) -> Kept:
        """Keep a content, in pages of at most so many bytes; text is cut between characters.

        Raises:
            StateError: it cannot be written, or the shelf is closed.
        """
        text = _is_text(data, mime)
        cuts = _cuts(data, max(page_bytes, _LEAST_PAGE), text)
        name = secrets.token_hex(8)
        item = _Item(self._own / name, mime, text, cuts)
        with self._guard:
            self._open()
            with writing(item.path):
                make_directory(self._own)
                _write(item.path, data)
            self._items[name] = item
            self._make_room()
        return Kept(name, item.size, len(cuts) - 1, mime)

    def page(self, name: str, number: int) -> Page:
        """One page of a content, the first is 1.

        Raises:
            ResultGone: no such content is kept, or no longer.
            InvalidArguments: it has no such page.
        """
        with self._guard:
            item = self._items.get(name)
            if item is None:
                raise ResultGone(f"No result is kept as {name[:80]!r}.")
            pages = len(item.cuts) - 1
            if not 1 <= number <= pages:
                raise InvalidArguments(f"Result {name} has pages 1 to {pages}; there is no page {number}.")
            start, end = item.cuts[number - 1], item.cuts[number]
            data = _read(item.path, start, end)
            if len(data) != end - start:
                self._drop(name)
                raise ResultGone(f"The file of result {name} is gone or was changed.")
        return Page(data, item.mime, number, pages, item.text)

    def close(self) -> None:
        """Delete everything; nothing is kept or found afterwards."""
        with self._guard:
            self._closed = True
            self._items.clear()
            if self._held is not None:
                _clear(self._own, self._held)
                self._held = None

    def _open(self) -> None:
        if self._closed:
            raise StateError("The shelf of large results is closed: War Room is ending.")
        if self._held is not None:
            return
        with writing(self._directory):
            make_directory(self._directory.parent)
            make_directory(self._directory)
            sweep(self._directory)
            # The lock comes first: no directory is ever without its holder, or it would be swept.
            held = _lock(self._own)
            held.acquire(timeout=5)
        self._held = held

    def _make_room(self) -> None:
        total = sum(item.size for item in self._items.values())
        for name in list(self._items)[:-1]:
            if total <= self._max_bytes:
                return
            total -= self._items[name].size
            self._drop(name)

    def _drop(self, name: str) -> None:
        item = self._items.pop(name)
        with suppress(OSError):
            item.path.unlink()


def sweep(directory: Path) -> int:
    """Delete what War Rooms left that ended without closing their shelf; tells how many there were."""
    from filelock import Timeout

    swept = 0
    for lock_file in sorted(directory.glob(f"*{_LOCK}")):
        own = lock_file.with_name(lock_file.name.removesuffix(_LOCK))
        lock = _lock(own)
        # One that cannot be opened is another user's; one that is held belongs to a living War Room.
        with suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            _clear(own, lock)
            swept += 1
    return swept


def _lock(own: Path) -> "FileLock":
    # Imported late: most sessions never have a large result.
    from filelock import FileLock

    path = own.with_name(own.name + _LOCK)
    # Taken and released by different threads. A lock that outlives its holder would never be swept.
    return FileLock(path, mode=FILE_MODE, thread_local=False, fallback_to_soft=False)


def _clear(own: Path, held: "FileLock") -> None:
    """Delete a directory and give up its lock, which is held."""
    shutil.rmtree(own, ignore_errors=True)
    lock_file = Path(held.lock_file)
    with suppress(OSError):
        lock_file.unlink()
    held.release()
    if os.name == "nt":
        # Open files cannot be deleted there.
        with suppress(OSError):
            lock_file.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    # Not synced to disk: what is here ends with the session.
    draft = path.with_name(path.name + ".new")
    with _removed_on_failure(draft):
        with os.fdopen(os.open(draft, _OPEN, FILE_MODE), "wb") as file:
            file.write(data)
        os.replace(draft, path)


@contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _read(path: Path, start: int, end: int) -> bytes:
    """Bytes of a file; fewer when it is not what was written."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)
    except OSError:
        return b""


def _is_text(data: bytes, mime: str) -> bool:
    kind = mime.partition(";")[0].strip().lower()
    named = kind.startswith("text/") or any(word in kind for word in _TEXTUAL)
    if not named and (kind.startswith(_MEDIA) or b"\0" in data):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cuts(data: bytes, page_bytes: int, text: bool) -> tuple[int, ...]:
    cuts = [0]
    while len(data) - cuts[-1] > page_bytes:
        end = cuts[-1] + page_bytes
        cuts.append(_text_end(data, cuts[-1], end) if text else end)
    cuts.append(len(data))
    return tuple(cuts)


def _text_end(data: bytes, start: int, end: int) -> int:
    """Where a page of text ends: after the last line in its last quarter, else between characters."""
    line = data.rfind(b"\n", end - (end - start) // 4, end)
    if line >= 0:
        return line + 1
    while data[end] & 0xC0 == 0x80:
        end -= 1
    return end
