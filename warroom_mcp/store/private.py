"""Directories and files that only their owner can read, and writing them so that no half is ever seen."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from warroom_mcp.errors import StateNotWritable

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
# Opening must neither follow a planted link nor hand the file to children.
_GUARDS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell what the system refused in this block as `StateNotWritable`, naming the file."""
    try:
        yield
    except OSError as error:
        raise StateNotWritable(
            f"{path} cannot be written: {error.strerror or error}.", details={"path": str(path)}
        ) from error


def make_directory(directory: Path) -> None:
    """Make a directory that is closed to others; one that is there stays as it is."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def make_file(path: Path) -> None:
    """Make an empty file that is closed to others; one that is there is closed to them and kept."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _GUARDS, FILE_MODE))
    except FileExistsError:
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            path.chmod(mode & DIRECTORY_MODE)


def replace_file(path: Path, content: bytes) -> None:
    """Put new content in place of a file in one step: after a crash it holds the old or the new, whole.

    Only for a caller that holds the file's lock: the name of the draft is fixed, so that one left
    behind by a crash is taken away by the next write.
    """
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    try:
        _write(draft, content)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _GUARDS, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    """Make the new name survive a loss of power; Windows has no such call."""
    if os.name == "nt":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
