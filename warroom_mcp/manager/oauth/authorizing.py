"""Has a person authorise a remote server (OAuth): a page is shown, its answer received, the grant kept.

A grant replaces an older one only when the server has accepted it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import anyio

from warroom_mcp.addresses import address_problem
from warroom_mcp.echo import echoed
from warroom_mcp.errors import AuthorizationFailed, InvalidInput
from warroom_mcp.manager.oauth.callback import receiving
from warroom_mcp.manager.oauth.consent import Consent, Present
from warroom_mcp.manager.oauth.vault import Vault, address_of

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@dataclass(frozen=True, slots=True)
class Authorized:
    """What was granted; `trouble` says why it lasts no longer than this process, None if it lasts."""

    scope: str | None
    trouble: str | None


async def authorize(
    server_name: str,
    url: str,
    vault: Vault,
    *,
    present: Present,
    deadline: float,
    client_metadata_url: str | None = None,
) -> Authorized:
    """Have a person authorise a remote server, and keep the grant in the vault under its address.

    `present` is called once, with the address of the server's own page: https, or loopback if the server is.
    `client_metadata_url` identifies War Room where the authorization server takes such (https, a document
    that names `http://127.0.0.1/callback`); else it registers. `deadline` is in seconds, for everything.

    Raises:
        InvalidInput: it is no address that secrets may be sent to.
        AuthorizationFailed: nothing was granted, and what was kept before is as it was.
    """
    if (problem := address_problem(url)) is not None:
        raise InvalidInput(f"{echoed(url)} cannot be the address of a remote server: {problem}.")
    before = await vault.get(url)
    try:
        with anyio.fail_after(deadline), _without_sdk_logs():
            async with receiving(fixed_path=client_metadata_url is not None) as callback:
                consent = Consent(
                    server_name, address_of(url), present, callback, before, client_metadata_url
                )
                grant = await consent.obtain()
    except TimeoutError:
        raise AuthorizationFailed(
            f"{server_name} was not authorised within {deadline:g} seconds.", retryable=True
        ) from None
    with anyio.CancelScope(shield=True):  # the vault has a deadline of its own; the person has consented
        await vault.put(grant)
    return Authorized(grant.scope, vault.trouble)


# --- what the SDK logs -----------------------------------------------------------------------------


@contextmanager
def _without_sdk_logs() -> Iterator[None]:
    """It logs every error of a flow with a traceback and what it read; the person gets ours."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _is_heard(record: logging.LogRecord) -> bool:
    return not _quiet.get()


logging.getLogger("mcp.client.auth.oauth2").addFilter(_is_heard)
