"""The admin token: lets an administrator's own tools approve where there is no terminal."""

import hmac
import os
import secrets
from pathlib import Path

from warroom_mcp.errors import Refusal, StateError, StateNotWritable

FILE = "admin-token"
VARIABLE = "WARROOM_ADMIN_TOKEN"
_MAX_BYTES = 4096


def ensure_token(home: Path) -> Path:
    """The file with the token; made at the first call, readable by its owner only. It is never printed.

    Raises:
        StateNotWritable: it cannot be made.
    """
    path = home / FILE
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.is_file():
            return path
        raise StateNotWritable(f"{path} is no file.", details={"path": str(path)}) from None
    except OSError as error:
        raise StateNotWritable(
            f"{path} cannot be written: {error.strerror or error}.", details={"path": str(path)}
        ) from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    return path


def is_admin(home: Path, token_file: Path | None) -> bool:
    """Whether the given file, or else the environment, holds the token; false when none was given.

    Raises:
        Refusal: a token was given, and it is not the one.
        StateError: a file cannot be read.
    """
    given = _read(token_file) if token_file else os.environ.get(VARIABLE, "").strip().encode()
    if not given and token_file is None:
        return False
    path = home / FILE
    if not path.is_file():
        raise Refusal(
            f"{path} does not exist, so no token is valid.", hint="Run `warroom doctor`: it makes it."
        )
    _must_be_private(path)
    expected = _read(path)
    if not expected or not hmac.compare_digest(given, expected):
        raise Refusal("The admin token is not valid.", hint=f"The valid one is the content of {path}.")
    return True


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).strip()
    except OSError as error:
        raise StateError(
            f"{path} cannot be read: {error.strerror or error}.", hint="Give a file that can be read."
        ) from error


def _must_be_private(path: Path) -> None:
    """A token that others can read, or have put there, proves nothing."""
    if os.name == "nt":
        return
    status = path.stat()
    if status.st_mode & 0o077 or status.st_uid != os.getuid():
        raise Refusal(
            f"{path} is open to other users, so its token is not accepted.",
            hint="Delete the file; `warroom doctor` makes a new one that only you can read.",
        )
