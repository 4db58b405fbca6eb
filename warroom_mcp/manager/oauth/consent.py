"""The flow of a person's consent (OAuth), from the first request to the grant.

It is the SDK's: discovery, registration, PKCE, state, issuer (RFC 9207). War Room sends its requests itself,
one by one, because every address in it comes from the server: it asks only those that the server may name,
bounds each answer, tells a server that is down from one that refuses, and keeps what the answers hold out of
errors. At the end it looks whether the server accepts what was granted.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from urllib.parse import parse_qs

import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.oauth2 import OAuthContext
from mcp.client.auth.utils import (
    extract_field_from_www_auth,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    union_scopes,
)
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
)
from pydantic import AnyUrl, BaseModel, ValidationError

from warroom_mcp.addresses import address_problem
from warroom_mcp.errors import AuthorizationFailed
from warroom_mcp.manager.oauth.authority import (
    LATER,
    ask,
    error_code,
    host_of,
    is_transient,
    may_ask,
    new_client,
    plain_scopes,
    same_origin,
)
from warroom_mcp.manager.oauth.callback import Callback
from warroom_mcp.manager.oauth.renewal import NoStorage
from warroom_mcp.manager.oauth.vault import Grant, renew_at
from warroom_mcp.wire.protocol import LATEST_HANDSHAKE

Present = Callable[[str], Awaitable[None]]
"""Shows the person a page, or its address; does not wait for what the person does there."""

MAX_PAGE_URL = 16 * 1024
CLIENT_NAME = "War Room"
"""What the authorization page calls us."""
REDIRECTS = 3
"""How often the server may send the first request on within its own origin, as it may with every other."""

_METADATA = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
_PLAIN_URL = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@=&%+,]+")


class Consent:
    """One flow; `before` is the grant that the server has by now."""

    def __init__(
        self,
        server_name: str,
        url: str,
        present: Present,
        callback: Callback,
        before: Grant | None,
        client_metadata_url: str | None,
    ) -> None:
        self._name = server_name
        self._url = url
        self._present = present
        self._callback = callback
        self._before = before
        self._asked = False
        self._resource_silent = False
        self._token: OAuthToken | None = None
        self._token_endpoint = ""
        self._provider = OAuthClientProvider(
            url,
            OAuthClientMetadata(
                client_name=CLIENT_NAME,
                redirect_uris=[AnyUrl(callback.url)],
                # An application on the person's own machine can keep no secret.
                token_endpoint_auth_method="none",
            ),
            NoStorage(),
            self._show,
            self._receive,
            client_metadata_url,
        )

    @property
    def _context(self) -> OAuthContext:
        return self._provider.context

    async def obtain(self) -> Grant:
        """What the person grants.

        Raises: AuthorizationFailed; and what showing the page raises.
        """
        # A GET changes nothing and opens no session; what it is answered with does not matter, a 401 aside.
        headers = {"Accept": "text/event-stream", "MCP-Protocol-Version": LATEST_HANDSHAKE}
        probe = httpx2.Request("GET", self._url, headers=headers)
        fault: str | None = None
        async with new_client() as client, aclosing(self._provider.async_auth_flow(probe)) as steps:
            try:
                request = await anext(steps)
                while True:
                    answer = await self._step(client, request, probe)
                    request = await steps.asend(answer)  # codespell:ignore asend
            except StopAsyncIteration:
                pass
            except OAuthFlowError as error:
                fault = "".join(c if c.isprintable() else "?" for c in str(error)[:300])
            except (ValidationError, httpx2.InvalidURL) as error:
                fault = f"it answered with something else than the protocol says ({type(error).__name__})"
        if fault is not None:  # out here: what the SDK raised quotes what it read
            raise self._failed(fault, later=self._resource_silent)
        return self._grant()

    # --- requests ------------------------------------------------------------------------------

    async def _step(
        self, client: httpx2.AsyncClient, request: httpx2.Request, probe: httpx2.Request
    ) -> httpx2.Response:
        if request is probe:
            return await self._probe(client, probe)
        target = str(request.url)
        if not may_ask(self._url, target):
            raise self._failed(f"it leads to {host_of(target)}, which a server at its address must not name")
        if request.method == "POST":
            return await self._post(client, request)
        answer = await ask(client, request)
        if any(place in request.url.path for place in _METADATA):
            self._look_at_metadata(answer)
        elif answer.is_success or is_transient(answer):
            self._resource_silent = not answer.is_success
        return answer

    async def _probe(self, client: httpx2.AsyncClient, probe: httpx2.Request) -> httpx2.Response:
        """First without a token, for the challenge; at the end with it, to see that it is accepted."""
        request = probe
        try:
            for _ in range(REDIRECTS + 1):
                answer = await client.send(request, stream=True)
                await answer.aclose()  # it may be a stream without an end
                following = answer.next_request
                if following is None or not same_origin(self._url, str(following.url)):
                    break
                request = following
        except httpx2.HTTPError as error:
            said = f"cannot be reached ({type(error).__name__})"
        else:
            return self._judge(answer, probe)
        raise self._failed(f"it {said}", later=True)

    def _judge(self, answer: httpx2.Response, probe: httpx2.Request) -> httpx2.Response:
        status = answer.status_code
        if status >= 500 or status == 429:
            raise self._failed(f"it answered {status}", later=True)
        if self._token is not None:
            if status == 401 or extract_field_from_www_auth(answer, "error") == "insufficient_scope":
                raise self._failed(f"it does not accept what its authorization server granted ({status})")
            return httpx2.Response(200, request=probe)
        self._asked = status == 401
        return httpx2.Response(401, headers=self._challenge(answer), request=probe)

    def _challenge(self, answer: httpx2.Response) -> dict[str, str]:
        """The server's challenge, or one in its place: some ask only when a tool is called."""
        parts = []
        if self._asked and (where := extract_resource_metadata_from_www_auth(answer)):
            parts.append(f'resource_metadata="{where}"')
        scope = extract_scope_from_www_auth(answer) if self._asked else None
        if (before := self._before) is not None and before.wanted_scope:
            scope = union_scopes(union_scopes(before.scope, scope), before.wanted_scope)
        if scope := plain_scopes(scope):
            parts.append(f'scope="{scope}"')
        return {"WWW-Authenticate": f"Bearer {', '.join(parts)}"} if parts else {}

    def _look_at_metadata(self, answer: httpx2.Response) -> None:
        if is_transient(answer):  # the SDK would go on with addresses at the MCP server
            raise self._failed(f"{answer.request.url.host} answered {answer.status_code}", later=True)
        try:
            methods = OAuthMetadata.model_validate_json(answer.content).token_endpoint_auth_methods_supported
        except ValidationError:
            return
        if methods and "none" not in methods:
            basic = "client_secret_basic" in methods
            method = self._context.client_metadata
            method.token_endpoint_auth_method = "client_secret_basic" if basic else "client_secret_post"

    async def _post(self, client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
        """Registration, or the exchange of the code: both answers hold secrets, and are read here first."""
        registers = request.headers.get("content-type") == "application/json"
        if registers:
            self._check_registrable()
        answer = await ask(client, request)
        what = "register War Room" if registers else "give a token"
        if is_transient(answer):
            raise self._failed(f"{request.url.host} cannot {what} now ({answer.status_code})", later=True)
        if answer.status_code not in (200, 201):
            code = error_code(answer) or answer.status_code
            raise self._failed(f"{request.url.host} does not {what} ({code})", no_client=registers)
        expected: type[BaseModel] = OAuthClientInformationFull if registers else OAuthToken
        if (found := _read(answer, expected)) is None:
            raise self._failed(f"{request.url.host} answered with something else when asked to {what}")
        if isinstance(found, OAuthToken):
            self._token, self._token_endpoint = found, str(request.url)
        return answer

    def _check_registrable(self) -> None:
        context = self._context
        metadata, resource = context.oauth_metadata, context.protected_resource_metadata
        if metadata is None and resource is None and not self._asked:
            raise AuthorizationFailed(
                f"{self._name} does not ask for authorization.",
                hint="There is nothing to do: it can be called.",
            )
        if metadata is None and resource is not None:
            raise self._failed("its authorization server publishes no metadata")
        if metadata is not None and metadata.registration_endpoint is None:
            raise self._failed("its authorization server does not register applications", no_client=True)

    # --- the person ----------------------------------------------------------------------------

    async def _show(self, page: str) -> None:
        metadata = self._context.oauth_metadata
        if metadata is not None and "S256" not in (metadata.code_challenge_methods_supported or ()):
            # The specification says so: without PKCE a stolen code would be worth a token.
            raise self._failed("its authorization server does not protect codes (PKCE, S256)")
        endpoint, _, query = page.rpartition("?")  # the SDK appends the query, encoded, and "?" always
        address, _, given = endpoint.partition("?")
        if address_problem(address) is not None or not may_ask(self._url, address):
            raise self._failed(f"its page at {host_of(address)} is none that may be shown")
        shown = f"{address}?{given}&{query}" if given else f"{address}?{query}"
        if len(shown) > MAX_PAGE_URL or not _PLAIN_URL.fullmatch(shown):
            raise self._failed("the address of its page is too long, or has characters that it must not have")
        self._callback.expect(parse_qs(query)["state"][0])
        await self._present(shown)

    async def _receive(self) -> AuthorizationCodeResult:
        try:
            answer = await self._callback.answer()
        except AuthorizationFailed as error:
            raise self._failed(error.message) from None
        return AuthorizationCodeResult(code=answer.code, state=answer.state, iss=answer.issuer)

    # --- the outcome ---------------------------------------------------------------------------

    def _grant(self) -> Grant:
        context = self._context
        token, client = context.current_tokens, context.client_info
        if token is None or client is None or self._token is None:
            raise self._failed("the flow ended without a token")
        metadata = context.oauth_metadata
        with_resource = context.should_include_resource_param(context.protocol_version)
        return Grant(
            url=self._url,
            access_token=token.access_token,
            refresh_token=token.refresh_token,
            renew_at=renew_at(token.expires_in),
            scope=plain_scopes(token.scope),
            client_id=client.client_id,
            client_secret=client.client_secret,
            client_method=client.token_endpoint_auth_method,
            token_endpoint=self._token_endpoint,
            resource=context.get_resource_url() if with_resource else None,
            issuer=str(metadata.issuer) if metadata is not None else None,
            wanted_scope=self._before.wanted_scope if self._before is not None else None,
        )

    def _failed(self, why: str, *, later: bool = False, no_client: bool = False) -> AuthorizationFailed:
        hint = f"Run `warroom authorize {self._name}` again."
        if later:
            hint = LATER
        elif no_client:
            hint = "Make a token at the service, and add the server with it as a secret Authorization header."
        return AuthorizationFailed(
            f"{self._name} was not authorised: {why}.", hint=hint, retryable=later, details={"url": self._url}
        )


def _read(answer: httpx2.Response, expected: type[BaseModel]) -> BaseModel | None:
    try:
        return expected.model_validate_json(answer.content)
    except ValidationError:  # its words quote the answer
        return None
