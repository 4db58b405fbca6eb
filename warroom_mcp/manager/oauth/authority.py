"""One bounded request to an authorization server, which addresses may be asked, and what an answer means.

Which servers those are, a remote MCP server says; so it must not be able to lead War Room, or the person's
browser, to where it could not go itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import anyio
import httpx2

from warroom_mcp.addresses import is_loopback, is_public, split_url
from warroom_mcp.errors import AuthorizationFailed

REQUEST_DEADLINE = 10.0
"""Seconds for one request and its answer."""
MAX_ANSWER = 256 * 1024
"""Bytes; metadata, registrations and tokens are far smaller."""
LATER = "The authorization server is down or slow, nothing was revoked: try again later."

_TRANSIENT = frozenset({408, 425, 429})
_TRANSIENT_CODES = frozenset({"server_error", "slow_down", "temporarily_unavailable"})
_CODE = re.compile(r"[a-z_]{1,40}")
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_MAX_SCOPES = 1000


def new_client() -> httpx2.AsyncClient:
    """A client of its own: no header, cookie or hook of a connection to an MCP server comes near it."""
    return httpx2.AsyncClient(timeout=REQUEST_DEADLINE, follow_redirects=False)


async def ask(client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    """The whole answer to one request; no redirect is followed.

    Raises: AuthorizationFailed, which may be tried again: there is no answer, or a far too long one.
    """
    host = request.url.host
    try:
        with anyio.fail_after(REQUEST_DEADLINE):
            response = await client.send(request, stream=True)
            try:
                return await _whole(response)
            finally:
                await response.aclose()
    except httpx2.HTTPError as error:
        fault = f"cannot be reached ({type(error).__name__})"
    except TimeoutError:
        fault = "does not answer"
    raise _failed(host, fault)  # out here, so that no error with the request in it hangs on this one


async def _whole(response: httpx2.Response) -> httpx2.Response:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_ANSWER:
            raise _failed(response.request.url.host, "sent far more than an answer has")
    kept = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
    ]
    whole = httpx2.Response(response.status_code, headers=kept, content=bytes(body), request=response.request)
    whole.next_request = response.next_request
    return whole


def _failed(host: str, what: str) -> AuthorizationFailed:
    return AuthorizationFailed(
        f"The authorization server {host} {what}.", hint=LATER, retryable=True, details={"host": host}
    )


def may_ask(server: str, target: str) -> bool:
    """Whether the MCP server at `server` may name `target` for authorization: https, loopback for loopback,
    and nothing inner if it is an outer one itself.
    """
    here, there = split_url(server), split_url(target)
    if here is None or there is None or here.hostname is None or there.hostname is None:
        return False
    if same_origin(server, target):
        return True
    if is_loopback(there.hostname):
        return is_loopback(here.hostname)
    return there.scheme == "https" and (is_public(there.hostname) or not is_public(here.hostname))


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses have scheme, host and port in common."""
    try:
        return httpx2.URL(one).origin == httpx2.URL(other).origin
    except (httpx2.InvalidURL, ValueError):
        return False


def is_transient(response: httpx2.Response) -> bool:
    """Whether a refusal says only that now is a bad time: that is no revocation."""
    status = response.status_code
    return status >= 500 or status in _TRANSIENT or error_code(response) in _TRANSIENT_CODES


def error_code(response: httpx2.Response) -> str | None:
    """The OAuth error code of an answer, if it has one. What else it says is never shown."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return plain_code(body.get("error")) if isinstance(body, Mapping) else None


def plain_code(code: object) -> str | None:
    """An OAuth error code as it may be shown."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def plain_scopes(scopes: str | None) -> str | None:
    """Scopes as a server named them, if they are such (RFC 6749, 3.3) and not endless."""
    if scopes is None or len(scopes) > _MAX_SCOPES or not _SCOPES.fullmatch(scopes):
        return None
    return scopes


def host_of(url: str) -> str:
    """The host of an address, for words."""
    return urlsplit(url).hostname or url[:100]
