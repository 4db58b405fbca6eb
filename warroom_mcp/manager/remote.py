"""A server elsewhere as a connection: Streamable HTTP, or SSE, through the SDK's clients.

Imports the SDK, so it is imported itself when the first remote server is started.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    JSONRPCError,
    jsonrpc_message_adapter,
)

from warroom_mcp.addresses import address_problem
from warroom_mcp.errors import (
    AuthorizationFailed,
    AuthorizationNeeded,
    ChildGone,
    ChildProtocolError,
    InvalidInput,
    StartFailed,
    WarRoomError,
)
from warroom_mcp.manager.oauth.background import RemoteAuth
from warroom_mcp.manager.oauth.renewal import again
from warroom_mcp.models import PackageKind
from warroom_mcp.wire.codec import value_of
from warroom_mcp.wire.peer import BrokenAnswer, ConnectionLost, OnNotification, OnRequest, Peer
from warroom_mcp.wire.protocol import LATEST_MODERN, is_modern

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams
    from mcp.shared._stream_protocols import ReadStream

CONNECT_DEADLINE = 10.0
"""Seconds to open a connection, send a request, or get a free one from the pool."""
REFUSALS = (401, 403)
PASSING = (408, 425, 429)
"""Statuses below 500 that the same request may not get at another time."""
QUEUED = 1024
"""Messages that wait to be sent; more than that, and the connection is given up."""

Message = dict[str, Any]


class RemoteLink:
    """One connection to a remote server, and what became of it."""

    pid = None

    def __init__(
        self,
        kind: PackageKind,
        url: str,
        on_request: OnRequest,
        on_notification: OnNotification,
        *,
        headers: Mapping[str, str],
        credentials: Collection[str],
        max_message_bytes: int,
        read_deadline: float,
        auth: RemoteAuth | None = None,
    ) -> None:
        check_url(url)
        self.closed = anyio.Event()
        self.ready = False
        self.peer = Peer(self._send, on_request, on_notification)
        self._kind = kind
        self._url = url
        self._headers = dict(headers)
        self._credentials = sorted(credentials)
        self._max_message_bytes = max_message_bytes
        self._read_deadline = read_deadline
        self._auth = auth
        if auth is not None:
            # The SSE client swallows what its writer raises.
            auth.on_needed = self._parked
        self._refused: int | None = None
        self._status = 0
        self._failure: WarRoomError | None = None
        self._version: str | None = None
        self._header_maps: dict[str, dict[tuple[str, ...], str]] = {}
        self._to_send, self._sending = anyio.create_memory_object_stream[bytes](QUEUED)

    def speaks(self, version: str, tools: Sequence[Mapping[str, Any]] = ()) -> dict[str, str]:
        """Headers follow from the version, and from `x-mcp-header` in the tools' schemas.

        Returns the tools to leave out, with why: a tool whose header names are invalid must not be
        offered (2026-07-28, transports).
        """
        self._version = version
        if not is_modern(version):
            return {}
        refused: dict[str, str] = {}
        for tool in tools:
            name, schema = str(tool["name"]), tool["inputSchema"]
            if (reason := find_invalid_x_mcp_header(schema)) is not None:
                refused[name] = reason
            else:
                self._header_maps[name] = x_mcp_header_map(schema)
        return refused

    def refusal(self) -> WarRoomError | None:
        """The error that everything on this connection fails with, if the server turned it away."""
        if self._auth is not None and self._auth.failure is not None:
            return again(self._auth.failure)
        if isinstance(self._failure, AuthorizationFailed):
            return again(self._failure)
        if self._refused is None:
            return self._failure if isinstance(self._failure, StartFailed) else None
        given = ", ".join(self._credentials)
        said = "does not accept" if given else "needs a credential, and none is configured"
        missing = given or "Authorization"
        return StartFailed(
            f"{self._url} answered {self._refused}: it {said}{f' the credential {given}' if given else ''}.",
            hint=f"Set a valid secret for {missing}, then add the server again.",
            details={"status": self._refused, "credential": missing},
        )

    def _parked(self, error: AuthorizationNeeded) -> None:
        self.closed.set()
        self.peer.close(ConnectionLost(error.message))

    def reason(self) -> str:
        """Why the connection is over, in words."""
        return self._failure.message if self._failure is not None else "the connection was closed"

    def last_words(self) -> str:
        """A remote server has none."""
        return ""

    async def autopsy(self) -> None:
        """There is nothing to wait for."""

    # --- both ways -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry messages both ways until the connection ends."""
        try:
            async with self.transport() as (incoming, outgoing), anyio.create_task_group() as tasks:
                tasks.start_soon(self._receive, incoming, tasks.cancel_scope)
                async for line in self._sending:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    metadata = ClientMessageMetadata(headers=self._headers_of(value_of(line)))
                    await outgoing.send(SessionMessage(message, metadata))
                tasks.cancel_scope.cancel()
        except Exception as error:  # the SDK's task groups wrap what happens inside of them
            self._failure = self._explain(error)
        finally:
            self.closed.set()
            self._sending.close()
            self.peer.close(ConnectionLost(self.reason()))

    def leave(self) -> None:
        """Say goodbye: what was sent is carried out first."""
        self._to_send.close()

    def _send(self, line: bytes) -> None:
        try:
            self._to_send.send_nowait(line)
        except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self.closed.set()

    async def _receive(
        self, incoming: ReadStream[SessionMessage | Exception], scope: anyio.CancelScope
    ) -> None:
        async for item in incoming:
            if isinstance(item, SessionMessage):
                self._take(item.message)
        scope.cancel()

    def _take(self, message: Any) -> None:
        if self.ready and isinstance(message, JSONRPCError) and _is_http_error(message):
            passing = self._status >= 500 or self._status in PASSING
            reason = f"answered with the HTTP status {self._status}"
            self.peer.answer_broken(message.id, BrokenAnswer(reason, passing=passing))
            return
        if isinstance(message, JSONRPCError) and (fault := _own_error(message)) is not None:
            if isinstance(fault, ChildGone):
                self._failure = fault
                self.closed.set()
                self.peer.close(ConnectionLost(fault.message))
            else:
                self.peer.answer_broken(message.id, BrokenAnswer(fault.message))
            return
        self.peer.receive(message.model_dump_json(by_alias=True, exclude_unset=True).encode())

    def _headers_of(self, message: Message) -> dict[str, str]:
        method = message.get("method")
        if method == "server/discover" and self._version is None:
            version: str | None = LATEST_MODERN
        else:
            version = self._version
        if version is None:
            return {}
        headers = {MCP_PROTOCOL_VERSION_HEADER: version}
        if not is_modern(version) or not isinstance(method, str):
            return headers
        headers[MCP_METHOD_HEADER] = method
        params = message.get("params") or {}
        name = params.get(NAME_BEARING_METHODS.get(method, ""))
        if isinstance(name, str):
            headers[MCP_NAME_HEADER] = encode_header_value(name)
            if method == "tools/call":
                headers |= mcp_param_headers(self._header_maps.get(name, {}), params.get("arguments") or {})
        return headers

    def _explain(self, error: BaseException) -> WarRoomError:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, WarRoomError):
            return error
        kind = ChildGone if self.ready else StartFailed
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        return kind(f"{self._url} cannot be reached: {said}.", retryable=isinstance(error, httpx2.HTTPError))

    @contextlib.asynccontextmanager
    async def transport(self) -> AsyncIterator[TransportStreams]:
        """The SDK's stream pair."""
        if self._kind is PackageKind.SSE:
            async with sse_client(
                self._url,
                headers=self._headers,
                timeout=CONNECT_DEADLINE,
                # The stream is silent for as long as nobody calls; deadlines are the calls' own.
                sse_read_timeout=86_400.0,
                httpx_client_factory=self._client,
                auth=self._auth,
            ) as streams:
                yield streams
        else:
            timeout = httpx2.Timeout(CONNECT_DEADLINE, read=self._read_deadline)
            async with (
                self._client(headers=self._headers, timeout=timeout, auth=self._auth) as client,
                streamable_http_client(
                    self._url, http_client=client, max_sse_event_size=self._max_message_bytes
                ) as streams,
            ):
                yield streams

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
        # With OAuth, a 401 is for the renewal to answer, and so is a 403 once the server is in use.
        refused = self._auth is None or (response.status_code == 403 and not self.ready)
        if response.status_code in REFUSALS and refused:
            self._refused = response.status_code
        if response.status_code >= 400:
            self._status = response.status_code
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


def _is_http_error(message: JSONRPCError) -> bool:
    """Whether it stands for a status without a message in the body, of which the SDK keeps nothing."""
    error = message.error
    return error.code == INTERNAL_ERROR and error.message == "Server returned an error response"


def _own_error(message: JSONRPCError) -> WarRoomError | None:
    """What an error means that the SDK's client made itself; None for one of the server's own.

    A session that the server gave up is opened anew at the next call.
    """
    code, text = message.error.code, message.error.message
    if code == INVALID_REQUEST and text == "Session terminated":
        return ChildGone("the server ended the session", retryable=True)
    if code == CONNECTION_CLOSED and text == "Connection closed":
        return ChildGone("the connection was closed", retryable=True)
    unreadable = ("Failed to parse", "Unexpected content type", "SSE stream failed")
    if code in (PARSE_ERROR, INVALID_REQUEST, CONNECTION_CLOSED) and text.startswith(unreadable):
        return ChildProtocolError(f"sent an answer that cannot be read: {text[:300]}")
    if code == CONNECTION_CLOSED and text.startswith("SSE stream"):
        return ChildGone(text[:300], retryable=True)
    return None


@contextlib.asynccontextmanager
async def open_remote(
    kind: PackageKind,
    url: str,
    on_request: OnRequest,
    on_notification: OnNotification,
    *,
    headers: Mapping[str, str],
    credentials: Collection[str] = (),
    max_message_bytes: int,
    read_deadline: float,
    auth: RemoteAuth | None = None,
) -> AsyncIterator[RemoteLink]:
    """A link to a remote server. `headers` go with every request; `credentials` names those that are secret.

    `read_deadline` is how many seconds an open answer may stay silent; `auth` authorises each request.

    Raises: InvalidInput for an address that secrets must not be sent to.
    """
    link = RemoteLink(
        kind,
        url,
        on_request,
        on_notification,
        headers=headers,
        credentials=credentials,
        max_message_bytes=max_message_bytes,
        read_deadline=read_deadline,
        auth=auth,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        try:
            yield link
        finally:
            link.leave()
            with anyio.move_on_after(CONNECT_DEADLINE / 5):
                await link.closed.wait()
            tasks.cancel_scope.cancel()
