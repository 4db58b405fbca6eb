"""Secrets by reference: `env:NAME` and `keyring:NAME`. Values are fetched at the start of a child only."""

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from warroom_mcp.errors import MissingInput

KEYRING_SERVICE = "war-room"
"""The service under which the operating system's keyring holds the secrets."""

_REFERENCE = re.compile(r"(env|keyring):([A-Za-z_][A-Za-z0-9_.-]{0,199})")
_NO_KEYRING = (
    "`pip install warroom-mcp[keyring]` adds the keyring; or set an environment variable and use env:NAME."
)


def is_reference(text: str) -> bool:
    """Whether a text is a reference to a secret, and not a secret itself."""
    return _REFERENCE.fullmatch(text) is not None


def resolve(reference: str) -> str:
    """The secret that a reference names.

    Raises: MissingInput naming the reference when there is none, and when the keyring cannot be asked.
    """
    matched = _REFERENCE.fullmatch(reference)
    if matched is None:
        # The text is not repeated: it may well be the secret itself.
        raise MissingInput("This is not a reference to a secret.", hint="Write env:NAME or keyring:NAME.")
    kind, name = matched[1], matched[2]
    value = os.environ.get(name) if kind == "env" else _from_keyring(name)
    if not value:
        raise MissingInput(
            f"The secret {reference} is not set.",
            hint=_how_to_set(kind, name),
            details={"missing": [reference]},
        )
    return value


def _how_to_set(kind: str, name: str) -> str:
    if kind == "env":
        return f"Set the environment variable {name} for War Room, then try again."
    return f"Store it with `keyring set {KEYRING_SERVICE} {name}`, then try again."


def _from_keyring(name: str) -> str | None:
    try:
        return fetch(name)
    except KeyringUnusable as error:
        hint = f"Set the environment variable {name} for War Room and use env:{name} instead."
        hint = hint if error.installed else _NO_KEYRING
        reference = f"keyring:{name}"
        raise MissingInput(
            f"The secret {reference} cannot be read: {error}.", hint=hint, details={"missing": [reference]}
        ) from None


# --- the keyring itself: all of these block, and may ask the person to unlock it ---------------------


class KeyringUnusable(Exception):
    """Why the keyring cannot be asked, in words without a value; `installed` tells whether it is there."""

    def __init__(self, why: str, *, installed: bool = True) -> None:
        super().__init__(why)
        self.installed = installed


def fetch(name: str) -> str | None:
    """What the keyring holds under a name.

    Raises: KeyringUnusable.
    """
    with _asking() as keyring:
        secret = keyring.get_password(KEYRING_SERVICE, name)
    return secret if isinstance(secret, str) else None


def keep(name: str, secret: str) -> None:
    """Put a secret into the keyring, in the place of an older one.

    Raises: KeyringUnusable.
    """
    with _asking() as keyring:
        keyring.set_password(KEYRING_SERVICE, name, secret)


def discard(name: str) -> None:
    """Take a secret out of the keyring, if it is there.

    Raises: KeyringUnusable.
    """
    if fetch(name) is not None:
        with _asking() as keyring:
            keyring.delete_password(KEYRING_SERVICE, name)


@contextmanager
def _asking() -> Iterator[Any]:
    try:
        # By name: the package is optional, and type checkers run with and without it.
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise KeyringUnusable("the keyring package is not installed", installed=False) from None
    try:
        yield keyring
    except Exception as error:
        # Backends raise more than KeyringError; what they say may quote what they were given.
        raise KeyringUnusable(f"the keyring does not answer ({type(error).__name__})") from None
