"""Serving over HTTP: both eras at one address, nobody from elsewhere, and an end that comes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import uvicorn
from mcp.client.client import Client
from mcp_types import ElicitResult, Implementation

from tests.server.host import ERAS, HANDSHAKE, MODERN, war_room
from warroom_mcp.errors import InvalidInput
from warroom_mcp.events import Event, Progress
from warroom_mcp.server.app import build_server
from warroom_mcp.server.serve import serve_http
from warroom_mcp.server.tools import OWN_TOOLS
from warroom_mcp.warroom import AsyncWarRoom

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPTED = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "warroom_mcp", "serve", "--http", *arguments]


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of one running server, shared by the tests that change nothing."""
    port = free_port()
    home = tmp_path_factory.mktemp("served") / "home"
    env = {**os.environ, "WARROOM_HOME": str(home)}
    process = subprocess.Popen(command("--port", str(port)), env=env, stderr=subprocess.PIPE)
    try:
        reached(process, port)
        yield port
        assert not home.exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()


def reached(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when the port takes connections; nobody tells when that is."""
    while process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(20)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(process.stderr.read() if process.stderr else "it ended")


@pytest.mark.slow
@pytest.mark.parametrize("era", ERAS)
async def test_both_eras_are_served_at_one_address(era: str, served: int) -> None:
    with anyio.fail_after(20):
        async with Client(f"http://127.0.0.1:{served}/mcp", mode=era, cache=None) as client:
            listed = await client.list_tools()
            assert [tool.name for tool in listed.tools] == list(OWN_TOOLS)
            result = await client.call_tool("find_tools", {"query": "anything"})
            assert isinstance(result.structured_content, dict)
            assert result.structured_content["tools"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:{port}"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost.evil.example"},
    ],
)
async def test_a_foreign_host_or_origin_is_turned_away(served: int, headers: dict[str, str]) -> None:
    sent = {**ACCEPTED, **{name: value.format(port=served) for name, value in headers.items()}}
    async with httpx2.AsyncClient() as web:
        answer = await web.post(f"http://127.0.0.1:{served}/mcp", json=LIST, headers=sent)
        # The specification asks for 403; a wrong Host is a misdirected request.
        assert answer.status_code in (403, 421)
        assert "tools" not in answer.text


@pytest.mark.slow
async def test_a_browser_on_this_machine_may_come(served: int) -> None:
    sent = {**ACCEPTED, "origin": f"http://localhost:{served}"}
    initialize = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "browser", "version": "1"},
        },
    }
    async with httpx2.AsyncClient() as web:
        answer = await web.post(f"http://127.0.0.1:{served}/mcp", json=initialize, headers=sent)
        assert answer.status_code == 200
        assert "War Room" in answer.text


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "example.org"])
def test_an_address_of_a_network_is_refused_with_a_code(host: str, home: Path) -> None:
    env = {**os.environ, "WARROOM_HOME": str(home)}
    done = subprocess.run(
        command("--host", host, "--port", str(free_port())),
        env=env,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert b"[invalid_input]" in done.stderr
    assert b"loopback" in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost.example", "", "127.0.0.1.nip.io", "8.8.8.8"])
async def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(InvalidInput, match="not a loopback address"):
        await serve_http(host, 0)


@pytest.mark.slow
def test_a_port_that_is_taken_is_an_error_that_says_so(home: Path) -> None:
    env = {**os.environ, "WARROOM_HOME": str(home)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run(
            command("--port", str(taken.getsockname()[1])),
            env=env,
            capture_output=True,
            timeout=20,
            check=False,
        )
    assert done.returncode not in (0, -6, -11)
    assert b"in use" in done.stderr
    assert b"Traceback" not in done.stderr


# --- several hosts at one War Room ---------------------------------------------------------------


@asynccontextmanager
async def serving(room: AsyncWarRoom) -> AsyncIterator[str]:
    """The address of a server in this process, with the test's own catalog and children."""
    app = build_server(room).streamable_http_app(host="127.0.0.1")
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
    )
    with socket.socket() as listening, anyio.fail_after(20):
        listening.bind(("127.0.0.1", 0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await anyio.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            server.should_exit = True


@pytest.mark.slow
@pytest.mark.parametrize(("one", "other"), [(HANDSHAKE, MODERN), (MODERN, HANDSHAKE)])
async def test_what_one_host_adds_another_of_the_other_era_hears_of(one: str, other: str, home: Path) -> None:
    heard = anyio.Event()

    async def hear(message: Any) -> None:
        if type(message).__name__ == "ToolListChangedNotification":
            heard.set()

    def client(era: str, name: str) -> Client:
        info = Implementation(name=name, version="1")
        return Client(url, mode=era, cache=None, message_handler=hear, client_info=info)

    async with (
        serving(war_room(home, relist_wait=0.05)) as url,
        client(other, "listener") as listener,
        anyio.create_task_group() as tasks,
    ):
        if other == MODERN:
            await tasks.start(listening_to, listener)
        async with client(one, "adder") as adder:
            arguments = {"candidate_id": "npm:rich", "auto_approve": True}
            added = await adder.call_tool("add_server", arguments)
            assert not added.is_error
            await heard.wait()
            names = [tool.name for tool in (await listener.list_tools()).tools]
            assert "rich__echo" in names
            result = await listener.call_tool("rich__echo", {"a": 1})
            assert not result.is_error
        tasks.cancel_scope.cancel()


async def listening_to(client: Client, *, task_status: Any) -> None:
    async with client.listen(tools_list_changed=True) as events:
        task_status.started()
        async for _ in events:
            pass


@pytest.mark.slow
async def test_a_host_that_takes_no_notifications_holds_nobody_up(home: Path) -> None:
    async with serving(war_room(home, relist_wait=0.05)) as url, httpx2.AsyncClient() as web:
        start = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "deaf", "version": "1"},
        }
        hello = await web.post(url, json={**LIST, "method": "initialize", "params": start}, headers=ACCEPTED)
        session = {"mcp-session-id": hello.headers["mcp-session-id"], **ACCEPTED}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await web.post(url, json=ready, headers=session)).status_code == 202
        async with Client(url, mode=HANDSHAKE, cache=None) as client:
            for name in ("rich", "ok"):
                for _ in range(4):
                    arguments: dict[str, Any] = {"candidate_id": f"npm:{name}", "auto_approve": True}
                    assert not (await client.call_tool("add_server", arguments)).is_error
                    assert not (await client.call_tool("remove_server", {"name": name})).is_error


@pytest.mark.slow
@pytest.mark.parametrize("era", ERAS)
async def test_progress_of_the_addition_and_of_the_child_arrives(era: str, home: Path) -> None:
    heard: list[str | None] = []
    last = anyio.Event()
    room = war_room(home, relist_wait=0.05)

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)
        if message == "step 2":
            last.set()

    def tell(event: Event) -> None:
        if not isinstance(event, Progress):
            room.events.publish(Progress("install", "half way"))

    room.events.subscribe(tell)
    async with serving(room) as url, Client(url, mode=era, cache=None) as client:
        arguments: dict[str, Any] = {"candidate_id": "npm:rich", "auto_approve": True}
        await client.call_tool("add_server", arguments, progress_callback=note)
        assert "install: half way" in heard
        heard.clear()
        await client.call_tool("rich__steps", {}, progress_callback=note)
        # The SDK's client may hand out the result before the progress that came ahead of it.
        await last.wait()
        assert heard == ["step 1", "step 2"]


@pytest.mark.slow
@pytest.mark.parametrize("era", ERAS)
async def test_a_person_is_asked_over_http(era: str, home: Path) -> None:
    async def approve(context: Any, params: Any) -> ElicitResult:
        assert "rich@1.2.3" in params.message
        return ElicitResult(action="accept", content={"decision": "approve"})

    async with (
        serving(war_room(home, relist_wait=0.05)) as url,
        Client(url, mode=era, cache=None, elicitation_callback=approve) as client,
    ):
        added = await client.call_tool("add_server", {"candidate_id": "npm:rich"})
        assert isinstance(added.structured_content, dict)
        assert added.structured_content["approved_by"].startswith("elicitation")
