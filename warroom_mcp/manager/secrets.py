"""Secrets by reference: `env:NAME` and `keyring:NAME`. Values are fetched at the start of a child only."""

import importlib
import os
import re

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
        # By name: the package is optional, and type checkers run with and without it.
        keyring = importlib.import_module("keyring")
        errors = importlib.import_module("keyring.errors")
    except ImportError:
        raise _unreachable(name, "the keyring package is not installed", _NO_KEYRING) from None
    try:
        secret = keyring.get_password(KEYRING_SERVICE, name)
    except errors.KeyringError as error:
        hint = f"Set the environment variable {name} for War Room and use env:{name} instead."
        raise _unreachable(name, f"the keyring does not answer ({type(error).__name__})", hint) from None
    return secret if isinstance(secret, str) else None


def _unreachable(name: str, why: str, hint: str) -> MissingInput:
    reference = f"keyring:{name}"
    return MissingInput(
        f"The secret {reference} cannot be read: {why}.", hint=hint, details={"missing": [reference]}
    )
