"""Authorises the requests of a connection to a remote server with what a person granted before (OAuth).

It renews a grant, once for all who need it, and never asks a person or registers anything: that is
`warroom_mcp.manager.oauth.authorizing`. Without a grant that works it says so and sends nothing more.

The SDK's own provider serves that flow only. Here it would hold a lock for as long as a call runs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from functools import partial

import anyio
import httpx2
from mcp.client.auth.utils import extract_field_from_www_auth

from warroom_mcp.errors import AuthorizationNeeded, WarRoomError
from warroom_mcp.manager.oauth.authority import plain_scopes, same_origin
from warroom_mcp.manager.oauth.renewal import Refused, Renewal, again, renew
from warroom_mcp.manager.oauth.vault import Grant, Vault, address_of

CREDENTIAL = "Authorization"
"""What `details["credential"]` says of a server that is parked; a call that fails alone has none."""
SCOPE_MISSING = -32010
"""JSON-RPC code of the answer to a call that the granted scope does not cover."""

_OF_ONE_ITEM = frozenset({"tools/call", "resources/read", "prompts/get", "completion/complete"})


def remote_auth(
    server_name: str,
    url: str,
    vault: Vault,
    *,
    on_needed: Callable[[AuthorizationNeeded], None] | None = None,
) -> RemoteAuth:
    """Authorises requests to a remote server from the vault; for one connection or many, in one event loop.

    A server that has no grant is asked without one: it may need none. `on_needed` hears of the error that
    parks it, for transports that swallow errors.
    """
    return RemoteAuth(server_name, url, vault, on_needed)


class RemoteAuth(httpx2.Auth):
    """Signs requests to one origin. `failure` is why nothing is sent any more, None while all is well.

    A request raises AuthorizationNeeded (parked: only a new grant in the vault helps) or AuthorizationFailed
    (the grant could not be renewed now; may be tried again).
    """

    def __init__(
        self,
        server_name: str,
        url: str,
        vault: Vault,
        on_needed: Callable[[AuthorizationNeeded], None] | None = None,
    ) -> None:
        self.on_needed = on_needed
        self.failure: AuthorizationNeeded | None = None
        self._name = server_name
        self._url = address_of(url)
        self._vault = vault
        self._grant: Grant | None = None
        self._loading = anyio.Lock()
        self._loaded = False
        self._renewal: Renewal | None = None

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Sign, send; on 401 renew and send once more. The token goes to the server's own origin only."""
        if not same_origin(self._url, str(request.url)):
            yield request
            return
        grant = await self._usable()
        response = yield _signed(request, grant)
        if response.status_code == 401:
            grant = await self._other_than(grant)
            _say_instead(response, b"")  # httpx reads all of it before it sends again
            response = yield _signed(request, grant)
            if response.status_code == 401:
                raise self._park(grant, "does not accept an authorization that is new")
        if _falls_short(response):
            other = await self._from_elsewhere(grant) if grant is not None else None
            if other is not None:  # a person granted more meanwhile
                grant = other
                _say_instead(response, b"")
                response = yield _signed(request, grant)
            if _falls_short(response):
                await self._fall_short(request, response, grant)

    # --- the grant -----------------------------------------------------------------------------

    async def _usable(self) -> Grant | None:
        """The grant to send with; None while it is not known whether the server wants one."""
        if (failure := self.failure) is not None:
            await self._look_again(failure)
        if not self._loaded:
            async with self._loading:
                if not self._loaded:
                    self._grant = await self._vault.get(self._url)
                    self._loaded = True
        grant = self._grant
        if grant is not None and grant.expired and grant.refresh_token:
            return await self._renewed(grant)
        return grant

    async def _look_again(self, failure: AuthorizationNeeded) -> None:
        """Go on if a person authorised the server meanwhile, else fail as before."""
        kept = await self._vault.get(self._url)
        if self.failure is not failure:  # another request looked as well
            return
        if kept is None or kept.id == failure.details.get("grant"):
            raise again(failure)
        self._grant, self.failure = kept, None

    async def _other_than(self, refused: Grant | None) -> Grant:
        """A grant in the place of one that was just answered with 401."""
        if self.failure is not None:
            raise again(self.failure)
        if refused is not None:
            return await self._renewed(refused)
        grant = self._grant or await self._vault.get(self._url)
        if grant is None:
            raise self._park(None, "needs to be authorised")
        self._grant = grant
        return grant

    async def _renewed(self, old: Grant) -> Grant:
        """The grant that follows an old one; whoever comes while it is being fetched shares the outcome."""
        if self._grant is not None and self._grant.id != old.id:
            return self._grant
        if (renewal := self._renewal) is None:
            self._renewal = renewal = Renewal()
            try:
                await renewal.run(partial(self._renew, old))
            finally:
                self._renewal = None
        return await renewal.outcome()

    async def _renew(self, old: Grant) -> Grant:
        """A new grant, in the vault. One that somebody else put there comes first: the old one is spent."""
        if (other := await self._from_elsewhere(old)) is not None:
            return other
        refusal: Refused
        try:
            grant = await renew(old, self._name)
        except Refused as error:
            refusal = error
        else:
            self._grant = grant
            await self._vault.put(grant)
            return grant
        if (other := await self._from_elsewhere(old)) is not None:
            return other
        raise self._park(old, str(refusal))

    async def _from_elsewhere(self, old: Grant) -> Grant | None:
        kept = await self._vault.get(self._url)
        if kept is None or kept.id == old.id:
            return None
        self._grant = kept
        return kept

    # --- refusals ------------------------------------------------------------------------------

    def _park(self, grant: Grant | None, what: str, **details: str | None) -> AuthorizationNeeded:
        error = self._needed(f"{self._name} {what}.", grant, credential=CREDENTIAL, **details)
        self.failure = error
        if self.on_needed is not None:
            self.on_needed(error)
        return error

    def _needed(self, message: str, grant: Grant | None, **details: str | None) -> AuthorizationNeeded:
        hint = f"Run `warroom authorize {self._name}` in a terminal: it opens the page for your consent."
        if (trouble := self._vault.trouble) is not None:
            hint += f" What you grant is kept in the keyring, which cannot be used now: {trouble}."
        return AuthorizationNeeded(
            message,
            hint=hint,
            details={**details, "url": self._url, "grant": grant.id if grant else None},
        )

    async def _fall_short(
        self, request: httpx2.Request, response: httpx2.Response, grant: Grant | None
    ) -> None:
        """A call beyond the granted scope fails alone; a connection that is refused for it is parked."""
        scope = plain_scopes(_challenge(response, "scope"))
        if grant is not None and scope is not None:
            grant = await self._note_wanted(grant, scope)
        what = f"needs more than was granted: the scope {scope}" if scope else "needs more than was granted"
        call = _call_of(request)
        if call is None:
            raise self._park(grant, what, scope=scope)
        error = self._needed(f"{self._name} {what} (for this call).", grant, scope=scope)
        _say_instead(response, _refusal_of(call, error))

    async def _note_wanted(self, grant: Grant, scope: str) -> Grant:
        """The next authorization asks for it."""
        wanted = " ".join(dict.fromkeys([*(grant.wanted_scope or "").split(), *scope.split()]))
        if wanted == grant.wanted_scope or plain_scopes(wanted) is None:
            return grant
        if await self._from_elsewhere(grant) is not None:  # that one must not be overwritten
            return grant
        noted = replace(grant, wanted_scope=wanted)
        if self._grant is None or self._grant.id == grant.id:
            self._grant = noted
            await self._vault.put(noted)
        return noted


def _signed(request: httpx2.Request, grant: Grant | None) -> httpx2.Request:
    if grant is not None:
        request.headers["Authorization"] = f"Bearer {grant.access_token}"
    return request


def _challenge(response: httpx2.Response, field: str) -> str | None:
    return extract_field_from_www_auth(response, field)


def _falls_short(response: httpx2.Response) -> bool:
    return response.status_code == 403 and _challenge(response, "error") == "insufficient_scope"


def _call_of(request: httpx2.Request) -> object:
    """The id of the call that a request carries, if it is one about a single item."""
    try:
        message = json.loads(request.content)
    except (httpx2.RequestNotRead, ValueError, RecursionError):
        return None
    if isinstance(message, dict) and message.get("method") in _OF_ONE_ITEM:
        return message.get("id")
    return None


def _refusal_of(call: object, error: WarRoomError) -> bytes:
    """The JSON-RPC error of a call: of a refusal over HTTP the SDK's client hands on nothing else."""
    told = {"code": SCOPE_MISSING, "message": f"{error.message} {error.hint}", "data": error.to_dict()}
    return json.dumps({"jsonrpc": "2.0", "id": call, "error": told}).encode()


def _say_instead(response: httpx2.Response, body: bytes) -> None:
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    response.stream = _Instead(stream, body)
    for name in ("content-encoding", "content-length", "transfer-encoding"):
        response.headers.pop(name, None)
    response.headers["content-type"] = "application/json"


class _Instead(httpx2.AsyncByteStream):
    """Other words in the place of a body that nobody reads."""

    def __init__(self, stream: httpx2.AsyncByteStream, body: bytes) -> None:
        self._stream = stream
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body

    async def aclose(self) -> None:
        await self._stream.aclose()
