"""Remote servers: the SDK's own on loopback, and one that turns everybody away."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from warroom_mcp.errors import (
    ChildError,
    ChildGone,
    ChildProtocolError,
    InvalidInput,
    StartFailed,
    WarRoomError,
)
from warroom_mcp.manager.child import Child
from warroom_mcp.manager.remote import check_url, open_remote
from warroom_mcp.models import PackageKind, Speech
from warroom_mcp.settings import Settings

TOKEN = "Bearer s3cret"


def tools() -> MCPServer:
    server = MCPServer("far away")

    @server.tool()
    def double(number: int) -> int:
        """Twice the number."""
        return 2 * number

    @server.tool()
    def text(size: int) -> str:
        """A text of that many characters."""
        return "x" * size

    return server


class Guard:
    """Lets only requests with the token through; counts the others."""

    def __init__(self, app: Any, status: int) -> None:
        self._app = app
        self._status = status
        self.turned_away = 0
        self.open = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", []))
        if scope["type"] == "http" and (headers.get(b"authorization") != TOKEN.encode() or not self.open):
            self.turned_away += 1
            await JSONResponse({"error": "unauthorized"}, self._status)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """The address of an application on loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            while not server.started:  # noqa: ASYNC110 - the server has no event for it
                await anyio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True


def make(
    kind: PackageKind, url: str, token: str | None = TOKEN, *, modern: bool = False, **options: Any
) -> Child:
    settings = Settings(**{"start_deadline": 10, "call_deadline": 10, "stop_deadline": 1, **options})
    headers = {"Authorization": token} if token else {}
    return Child(
        "far",
        lambda on_request, on_notification: open_remote(
            kind,
            url,
            on_request,
            on_notification,
            headers=headers,
            credentials=list(headers),
            max_message_bytes=settings.max_message_bytes,
            read_deadline=10,
        ),
        settings,
        speech=Speech(modern),
    )


@asynccontextmanager
async def running(child: Child) -> AsyncIterator[Child]:
    failure: WarRoomError | None = None
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            try:
                await tasks.start(child.run)
            except WarRoomError as error:
                failure = error
            else:
                try:
                    yield child
                finally:
                    child.stop()
    if failure is not None:
        raise failure


def front(kind: PackageKind) -> tuple[Any, str]:
    server = tools()
    if kind is PackageKind.SSE:
        return server.sse_app(), "/sse"
    return server.streamable_http_app(), "/mcp"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PackageKind.HTTP, PackageKind.SSE])
async def test_a_remote_server_is_listed_and_called_with_its_credential(kind: PackageKind) -> None:
    app, path = front(kind)
    guard = Guard(app, 401)
    async with serving(guard) as base, running(make(kind, base + path)) as child:
        assert [tool["name"] for tool in child.definitions.tools] == ["double", "text"]
        answer = await child.request("tools/call", {"name": "double", "arguments": {"number": 21}})
        assert answer["content"][0]["text"] == "42"
        assert child.pid is None
    assert guard.turned_away == 0


@pytest.mark.slow
async def test_a_server_of_both_eras_is_spoken_to_in_that_of_its_host() -> None:
    app, path = front(PackageKind.HTTP)
    async with (
        serving(Guard(app, 401)) as base,
        running(make(PackageKind.HTTP, base + path, modern=True)) as child,
    ):
        assert child.modern
        answer = await child.request("tools/call", {"name": "double", "arguments": {"number": 21}})
        assert answer["content"][0]["text"] == "42"


@pytest.mark.slow
async def test_a_server_with_a_handshake_only_is_spoken_to_so_by_every_host() -> None:
    app, path = front(PackageKind.SSE)
    async with (
        serving(Guard(app, 401)) as base,
        running(make(PackageKind.SSE, base + path, modern=True)) as child,
    ):
        answer = await child.request("tools/call", {"name": "double", "arguments": {"number": 4}})
        assert answer["content"][0]["text"] == "8"


@pytest.mark.slow
async def test_an_answer_larger_than_the_sdks_own_limit_passes() -> None:
    app, path = front(PackageKind.HTTP)
    async with serving(Guard(app, 401)) as base, running(make(PackageKind.HTTP, base + path)) as child:
        answer = await child.request("tools/call", {"name": "text", "arguments": {"size": 2_000_000}})
    assert len(answer["content"][0]["text"]) == 2_000_000


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [True, False])
async def test_an_answer_over_the_cap_fails_its_call_only(as_json: bool) -> None:
    app = tools().streamable_http_app(json_response=as_json)
    async with (
        serving(Guard(app, 401)) as base,
        running(make(PackageKind.HTTP, base + "/mcp", max_message_bytes=10_000)) as child,
    ):
        with pytest.raises(ChildProtocolError, match="cannot be read"):
            await child.request("tools/call", {"name": "text", "arguments": {"size": 20_000}})
        answer = await child.request("tools/call", {"name": "text", "arguments": {"size": 1}})
        assert answer["content"][0]["text"] == "x"


@pytest.mark.slow
async def test_a_server_that_goes_away_is_gone_and_may_come_back() -> None:
    app, path = front(PackageKind.HTTP)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            async with serving(Guard(app, 401)) as base:
                child = make(PackageKind.HTTP, base + path)
                await tasks.start(child.run)
            with pytest.raises(ChildGone) as caught:
                await child.request("tools/call", {"name": "double", "arguments": {"number": 1}})
            await child.over.wait()
    assert caught.value.retryable


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PackageKind.HTTP, PackageKind.SSE])
@pytest.mark.parametrize("status", [401, 403])
async def test_being_turned_away_names_the_credential_and_is_not_repeated(
    kind: PackageKind, status: int
) -> None:
    app, path = front(kind)
    guard = Guard(app, status)
    async with serving(guard) as base:
        with pytest.raises(
            StartFailed, match=f"{status}.*does not accept the credential Authorization"
        ) as caught:
            async with running(make(kind, base + path, "Bearer wrong")):
                pytest.fail("it started")
        assert guard.turned_away == 1
        assert "wrong" not in caught.value.message
        assert caught.value.details["credential"] == "Authorization"
        with pytest.raises(StartFailed, match="needs a credential"):
            async with running(make(kind, base + path, None)):
                pytest.fail("it started")


@pytest.mark.slow
async def test_a_credential_that_runs_out_ends_the_connection_with_the_reason() -> None:
    app, path = front(PackageKind.HTTP)
    guard = Guard(app, 401)
    async with serving(guard) as base, running(make(PackageKind.HTTP, base + path)) as child:
        guard.open = False
        with pytest.raises(StartFailed, match="answered 401"):
            await child.request("tools/call", {"name": "double", "arguments": {"number": 1}})
        await child.over.wait()
    assert isinstance(child.failure, StartFailed)


@pytest.mark.slow
async def test_a_server_that_is_not_there_is_said_so_and_may_come_back() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/mcp"
        with pytest.raises(StartFailed, match="cannot be reached") as caught:
            async with running(make(PackageKind.HTTP, url)):
                pytest.fail("it started")
    assert caught.value.retryable


@pytest.mark.slow
async def test_an_address_that_is_no_mcp_server_is_refused() -> None:
    async def page(request: Request) -> Response:
        return Response("<html>", media_type="text/html")

    app = Starlette(routes=[Route("/mcp", page, methods=["GET", "POST"])])
    async with serving(app) as base:
        with pytest.raises(ChildError):
            async with running(make(PackageKind.HTTP, base + "/mcp")):
                pytest.fail("it started")


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/mcp",
        "http://127.0.0.1:1/x",
        "http://localhost/x",
        "http://[::1]:8000/",
        "http://127.9.9.9/",
    ],
)
def test_encrypted_and_local_addresses_are_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://a.example/", "http://127.0.0.1.a.example/", "ftp://a", "https://", "https://u:p@a.example/",
     "x", "", "http://localhost.a.example/", "file:///etc/passwd"],
)  # fmt: skip
def test_other_addresses_are_not(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_url(url)


@given(st.text())
def test_no_text_makes_the_check_fail_otherwise(url: str) -> None:
    try:
        check_url(url)
    except InvalidInput:
        return
    assert url.lower().startswith(("https://", "http://"))
