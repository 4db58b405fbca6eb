"""A server elsewhere as an MCP connection: Streamable HTTP, or SSE, through the SDK's clients."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from warroom_mcp.addresses import address_problem
from warroom_mcp.errors import InvalidInput, StartFailed, WarRoomError
from warroom_mcp.models import PackageKind

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

CONNECT_DEADLINE = 10.0
"""Seconds to open a connection, send a request, or get a free one from the pool."""
REFUSALS = (401, 403)


class RemoteLink:
    """One connection to a remote server, and what became of it."""

    pid = None
    rubbish = 0

    def __init__(
        self,
        kind: PackageKind,
        url: str,
        *,
        headers: Mapping[str, str],
        credentials: Collection[str],
        max_message_bytes: int,
        read_deadline: float,
    ) -> None:
        check_url(url)
        self.closed = anyio.Event()
        self.ready = False
        self._kind = kind
        self._url = url
        self._headers = dict(headers)
        self._credentials = sorted(credentials)
        self._max_message_bytes = max_message_bytes
        self._read_deadline = read_deadline
        self._refused: int | None = None

    def refusal(self) -> WarRoomError | None:
        """The error that everything on this connection fails with, if the server turned it away."""
        if self._refused is None:
            return None
        given = ", ".join(self._credentials)
        said = "does not accept" if given else "needs a credential, and none is configured"
        missing = given or "Authorization"
        return StartFailed(
            f"{self._url} answered {self._refused}: it {said}{f' the credential {given}' if given else ''}.",
            hint=f"Set a valid secret for {missing}, then add the server again.",
            details={"status": self._refused, "credential": missing},
        )

    def reason(self) -> str:
        """Why the connection is over, in words."""
        return "the connection was closed"

    def last_words(self) -> str:
        """A remote server has none."""
        return ""

    async def autopsy(self) -> None:
        """There is nothing to wait for."""

    @contextlib.asynccontextmanager
    async def transport(self) -> AsyncIterator[TransportStreams]:
        """The stream pair that a session runs on."""
        try:
            if self._kind is PackageKind.SSE:
                async with sse_client(
                    self._url,
                    headers=self._headers,
                    timeout=CONNECT_DEADLINE,
                    # The stream is silent for as long as nobody calls; deadlines are the calls' own.
                    sse_read_timeout=86_400.0,
                    httpx_client_factory=self._client,
                ) as streams:
                    yield streams
            else:
                timeout = httpx2.Timeout(CONNECT_DEADLINE, read=self._read_deadline)
                async with (
                    self._client(headers=self._headers, timeout=timeout) as client,
                    streamable_http_client(
                        self._url, http_client=client, max_sse_event_size=self._max_message_bytes
                    ) as streams,
                ):
                    yield streams
        finally:
            self.closed.set()

    def _client(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        hooks: dict[str, list[Any]] = {"response": [self._look_at]}
        return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, event_hooks=hooks)

    async def _look_at(self, response: httpx2.Response) -> None:
        """The SDK tells of a refused request only that it failed; the status is seen here."""
        if response.status_code in REFUSALS:
            self._refused = response.status_code
        if response.headers.get("content-type", "").startswith("application/json"):
            # The SDK limits the events of a stream, and nothing else.
            stream = response.stream
            assert isinstance(stream, httpx2.AsyncByteStream)
            response.stream = _Limited(stream, self._max_message_bytes)


class _Limited(httpx2.AsyncByteStream):
    """A body that fails over a limit, with the error that the SDK turns into one of that request."""

    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > self._limit:
                raise httpx2.StreamError(f"the message is larger than {self._limit} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def check_url(url: str) -> None:
    """Only encrypted addresses, or plain ones of this machine, and none with a password inside.

    Raises: InvalidInput.
    """
    if problem := address_problem(url):
        raise InvalidInput(
            f"{url[:200]!r} is not an address that can be used: {problem}.",
            hint="Secrets are sent along: use https, and a header instead of a password in the address.",
        )


@contextlib.asynccontextmanager
async def open_remote(
    kind: PackageKind,
    url: str,
    *,
    headers: Mapping[str, str],
    credentials: Collection[str] = (),
    max_message_bytes: int,
    read_deadline: float,
) -> AsyncIterator[RemoteLink]:
    """A link to a remote server. `headers` go with every request; `credentials` names those that are secret.

    `read_deadline` is how many seconds an open answer may stay silent.

    Raises: InvalidInput for an address that secrets must not be sent to.
    """
    yield RemoteLink(
        kind,
        url,
        headers=headers,
        credentials=credentials,
        max_message_bytes=max_message_bytes,
        read_deadline=read_deadline,
    )
