"""One renewal of a grant (OAuth): its request, what the answer means, and the outcome for all who wait.

The SDK's provider knows neither the end of a stored token nor where to renew it (python-sdk #3250, #3240),
and takes a slow authorization server for a revocation; the grant holds what it takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import httpx2
from mcp.client.auth import TokenStorage
from mcp.client.auth.oauth2 import OAuthContext
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import ValidationError

from warroom_mcp.errors import AuthorizationFailed, WarRoomError
from warroom_mcp.manager.oauth.authority import LATER, ask, host_of, is_transient, new_client, plain_scopes
from warroom_mcp.manager.oauth.vault import Grant, renew_at

FINISH = 2.0
"""Seconds that a renewal has after its caller gave up: the old refresh token may be spent already."""


class Refused(Exception):
    """The authorization server says no; the words complete "it ..."."""


class Renewal:
    """One attempt. Several may wait for it; each gets the grant, or an error of its own."""

    def __init__(self) -> None:
        self._done = anyio.Event()
        self._grant: Grant | None = None
        self._error: WarRoomError | None = None

    async def run(self, attempt: Callable[[], Awaitable[Grant]]) -> None:
        """Make the attempt, to its end even if the caller is cancelled; then in FINISH seconds."""
        try:
            await _to_the_end(lambda: self._run(attempt))
        finally:
            self._done.set()

    async def _run(self, attempt: Callable[[], Awaitable[Grant]]) -> None:
        try:
            self._grant = await attempt()
        except WarRoomError as error:
            self._error = error

    async def outcome(self) -> Grant:
        """Raises: what the attempt raised."""
        await self._done.wait()
        if self._error is not None:
            raise again(self._error)
        if self._grant is None:
            raise AuthorizationFailed("The renewal was given up.", hint=LATER, retryable=True)
        return self._grant


async def renew(grant: Grant, name: str) -> Grant:
    """The grant that follows; `name` is the server's, for words. One request, no storing.

    Raises:
        Refused: it can never be renewed.
        AuthorizationFailed: it cannot be renewed now.
    """
    if grant.refresh_token is None:
        raise Refused("does not accept the authorization any more, and it cannot be renewed")
    async with new_client() as client:
        answer = await ask(client, _request(grant))
    host, status = host_of(grant.token_endpoint), answer.status_code
    if is_transient(answer):
        raise _later(f"{host} answered {status} to the renewal of {name}'s authorization.")
    if not answer.is_success:
        raise Refused(f"is no longer authorised: {host} refused the renewal ({status})")
    try:
        token = OAuthToken.model_validate_json(answer.content)
    except ValidationError:
        token = None
    if token is None:  # out here: the words of the other error quote the answer
        raise _later(f"{host} answered the renewal of {name}'s authorization with no token.")
    return _following(grant, token)


def _later(message: str) -> AuthorizationFailed:
    return AuthorizationFailed(message, hint=LATER, retryable=True)


def _following(old: Grant, token: OAuthToken) -> Grant:
    """What a token answer leaves out stays as it was (RFC 6749, 6)."""
    return Grant(
        url=old.url,
        access_token=token.access_token,
        refresh_token=token.refresh_token or old.refresh_token,
        renew_at=renew_at(token.expires_in),
        scope=plain_scopes(token.scope) or old.scope,
        wanted_scope=old.wanted_scope,
        client_id=old.client_id,
        client_secret=old.client_secret,
        client_method=old.client_method,
        token_endpoint=old.token_endpoint,
        resource=old.resource,
        issuer=old.issuer,
    )


def _request(grant: Grant) -> httpx2.Request:
    data = {
        "grant_type": "refresh_token",
        "refresh_token": grant.refresh_token or "",
        "client_id": grant.client_id,
    }
    if grant.resource is not None:
        data["resource"] = grant.resource
    # How a client proves itself is the SDK's affair; nothing else of its context is used.
    metadata = OAuthClientMetadata(redirect_uris=None)
    context = OAuthContext(grant.url, metadata, NoStorage(), None, None)
    context.client_info = OAuthClientInformationFull(
        client_id=grant.client_id,
        client_secret=grant.client_secret,
        token_endpoint_auth_method=grant.client_method,
    )
    data, headers = context.prepare_token_auth(data, {"Accept": "application/json"})
    return httpx2.Request("POST", grant.token_endpoint, data=data, headers=headers)


class NoStorage(TokenStorage):
    """What the SDK's parts are given where War Room keeps a grant as a whole, or not at all."""

    async def get_tokens(self) -> OAuthToken | None:
        """Nothing is known before."""
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Nothing is kept."""

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Nothing is known before."""
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Nothing is kept."""


def again(error: WarRoomError) -> WarRoomError:
    """A copy, without the traceback of the first time."""
    return type(error)(error.message, hint=error.hint, retryable=error.retryable, details=error.details)


async def _to_the_end(work: Callable[[], Awaitable[None]]) -> None:
    over = anyio.Event()
    shield = anyio.CancelScope(shield=True)

    async def run() -> None:
        try:
            with shield:
                await work()
        finally:
            over.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            await over.wait()
        except anyio.get_cancelled_exc_class():
            shield.deadline = anyio.current_time() + FINISH
            raise
