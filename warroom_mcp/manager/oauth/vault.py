"""What was granted to War Room by remote servers (OAuth), and where it is kept: the keyring, or this process.

A grant belongs to the address of a server, not to its name: under another address it does not exist.
Nothing here imports the SDK.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets as randomness
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import anyio
import msgspec
from anyio import to_thread

from warroom_mcp.errors import AuthorizationNeeded, WarRoomError
from warroom_mcp.manager import secrets
from warroom_mcp.manager.secrets import KeyringUnusable

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")

KEYRING_DEADLINE = 20.0
"""Seconds; the keyring may ask the person to unlock it."""
EARLY = 30.0
"""Seconds before its end at which a token is renewed, if it lasts long enough: clocks differ."""

# The Windows vault takes 1,280 characters; a JWT is often longer.
_PART = 1000
_HEAD = re.compile(r"(\d{1,3}):([0-9a-f]{8}):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one authorization gave, and what its renewal takes. No secret of it is ever in its repr.

    `id` is another one with every change of the tokens. `renew_at` is in seconds of the epoch.
    `wanted_scope` is what calls turned out to need; every authorization asks for it.
    """

    id: str = field(default_factory=lambda: randomness.token_hex(8))
    url: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    renew_at: float | None = None
    scope: str | None = None
    wanted_scope: str | None = None
    client_id: str = field(repr=False)
    client_secret: str | None = field(default=None, repr=False)
    client_method: str | None = None
    token_endpoint: str
    resource: str | None = None
    issuer: str | None = None

    @property
    def expired(self) -> bool:
        """Whether the access token is over, or nearly."""
        return self.renew_at is not None and time.time() >= self.renew_at


class Vault(Protocol):
    """Keeps grants. Does not raise: `trouble` says in words why grants last no longer than this process."""

    @property
    def trouble(self) -> str | None:
        """None while what is put here outlives the process."""

    async def get(self, url: str) -> Grant | None:
        """The grant for exactly this address."""

    async def put(self, grant: Grant) -> None:
        """Keep a grant in the place of an older one for its address."""

    async def drop(self, url: str) -> None:
        """Forget the grant for an address."""


class MemoryVault:
    """Grants for as long as this process lives."""

    def __init__(self, trouble: str = "grants are kept in memory only") -> None:
        self._grants: dict[str, Grant] = {}
        self._trouble = trouble

    @property
    def trouble(self) -> str | None:
        """Why they do not last."""
        return self._trouble

    async def get(self, url: str) -> Grant | None:
        """The grant for exactly this address."""
        return self._grants.get(address_of(url))

    async def put(self, grant: Grant) -> None:
        """Keep it."""
        self._grants[address_of(grant.url)] = grant

    async def drop(self, url: str) -> None:
        """Forget it."""
        self._grants.pop(address_of(url), None)


class KeyringVault:
    """Grants in the operating system's keyring; those that it does not take stay in this process."""

    def __init__(self) -> None:
        self._here: dict[str, Grant] = {}
        self._trouble: str | None = None
        self._turn = anyio.Lock()

    @property
    def trouble(self) -> str | None:
        """What the keyring last failed with."""
        return self._trouble

    async def get(self, url: str) -> Grant | None:
        """The grant for exactly this address."""
        url = address_of(url)
        if (kept := self._here.get(url)) is not None:
            return kept
        text = await self._ask(partial(_read, _name(url)))
        if text is None:
            return None
        try:
            grant = msgspec.json.decode(text, type=Grant)
        except msgspec.MsgspecError:  # its words would quote the entry
            _logger.warning("what the keyring holds for %s is no grant", url)
            return None
        return grant if grant.url == url else None

    async def put(self, grant: Grant) -> None:
        """Keep it; `trouble` tells whether it will last."""
        url = address_of(grant.url)
        self._here[url] = grant
        kept = await self._ask(partial(_write, _name(url), msgspec.json.encode(grant).decode()))
        if kept and self._here.get(url) is grant:
            del self._here[url]

    async def drop(self, url: str) -> None:
        """Forget it."""
        url = address_of(url)
        self._here.pop(url, None)
        await self._ask(partial(_erase, _name(url)))

    async def _ask(self, work: Callable[[], _T]) -> _T | None:
        try:
            with anyio.fail_after(KEYRING_DEADLINE):
                async with self._turn:  # a grant may be an entry of several parts
                    answer = await to_thread.run_sync(work, abandon_on_cancel=True)
        except (KeyringUnusable, TimeoutError) as error:
            why = str(error) or "the keyring does not answer"
            if isinstance(error, KeyringUnusable) and not error.installed:
                why = f"{why} (`pip install warroom-mcp[keyring]`)"
            if why != self._trouble:
                _logger.warning("authorizations last only as long as this process: %s", why)
            self._trouble = why
            return None
        self._trouble = None
        return answer


async def open_vault() -> Vault:
    """The keyring if it can be used, else this process; `trouble` says which."""
    vault = KeyringVault()
    await vault.get("https://warroom.invalid/")
    return vault if vault.trouble is None else MemoryVault(vault.trouble)


async def may_try_again(vault: Vault, error: WarRoomError) -> bool:
    """Whether a person authorised the server since it was parked with this error; asks the vault only."""
    url = error.details.get("url")
    if not isinstance(error, AuthorizationNeeded) or not isinstance(url, str):
        return False
    grant = await vault.get(url)
    return grant is not None and grant.id != error.details.get("grant")


def renew_at(expires_in: int | None) -> float | None:
    """When to renew a token that was given just now for so many seconds; None if that is not known."""
    if expires_in is None or expires_in <= 0:
        return None
    return time.time() + expires_in - min(EARLY, expires_in / 10)


def address_of(url: str) -> str:
    """The form of an address that grants are kept under: no fragment, scheme and host in lower case."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path, parts.query, ""))


def _name(url: str) -> str:
    # For the person who looks into the keyring; no `keyring:NAME` of a config can name it.
    digest = hashlib.sha256(url.encode()).hexdigest()[:32]
    return f"oauth {(urlsplit(url).hostname or '')[:200]} {digest}"


# --- one entry of the keyring, in parts if it has to be; the first part goes in last -----------------


def _read(name: str) -> str | None:
    head = _HEAD.fullmatch(secrets.fetch(name) or "")
    if head is None:
        return None
    parts = [head[3]]
    for number in range(1, int(head[1])):
        part = secrets.fetch(f"{name} {head[2]} {number}")
        if part is None:
            return None
        parts.append(part)
    return "".join(parts)


def _write(name: str, text: str) -> bool:
    before = secrets.fetch(name)
    parts = [text[at : at + _PART] for at in range(0, len(text), _PART)]
    stamp = randomness.token_hex(4)
    for number, part in enumerate(parts[1:], 1):
        secrets.keep(f"{name} {stamp} {number}", part)
    secrets.keep(name, f"{len(parts)}:{stamp}:{parts[0]}")
    if _read(name) != text:  # a keyring that is configured away takes everything and keeps nothing
        raise KeyringUnusable("the keyring does not keep what it is given")
    _erase_parts(name, before)
    return True


def _erase(name: str) -> None:
    before = secrets.fetch(name)
    secrets.discard(name)
    _erase_parts(name, before)


def _erase_parts(name: str, head: str | None) -> None:
    matched = _HEAD.fullmatch(head or "")
    for number in range(1, int(matched[1]) if matched else 1):
        secrets.discard(f"{name} {matched[2] if matched else ''} {number}")
