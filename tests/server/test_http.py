"""Serving over HTTP: both eras at one address, nobody from elsewhere, and an end that comes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import uvicorn
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult, Implementation

from tests.server.host import ERAS, HANDSHAKE, MODERN, war_room
from tests.server.played import Played, Stand
from tests.server.wire import ABLE, PREFIX, added
from warroom_mcp.errors import InvalidInput
from warroom_mcp.events import Event, Progress
from warroom_mcp.models import Speech
from warroom_mcp.server import http, token
from warroom_mcp.server.caller import Host
from warroom_mcp.server.gateway import Gateway
from warroom_mcp.server.subscriptions import Subscriptions
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


def initialize(name: str, **capabilities: Any) -> dict[str, Any]:
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "clientInfo": {"name": name, "version": "1"},
    }
    return {**LIST, "method": "initialize", "params": params}


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of one running server, shared by the tests that change nothing."""
    port = free_port()
    home = tmp_path_factory.mktemp("served") / "home"
    env = {**os.environ, "WARROOM_HOME": str(home)}
    process = subprocess.Popen(command("--port", str(port), "--no-token"), env=env, stderr=subprocess.PIPE)
    try:
        reached(process, port)
        yield port
        assert not (home / "mcp-config.json").exists()
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
    hello = initialize("browser")
    async with httpx2.AsyncClient() as web:
        answer = await web.post(f"http://127.0.0.1:{served}/mcp", json=hello, headers=sent)
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
async def test_only_loopback_is_served(host: str, home: Path) -> None:
    with pytest.raises(InvalidInput, match="not a loopback address"):
        await http.serve(Gateway(war_room(home)), host=host, port=0, token=None)


# --- the token -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_makes_a_token_for_its_owner_alone(home: Path) -> None:
    port = free_port()
    env = {**os.environ, "WARROOM_HOME": str(home)}
    process = subprocess.Popen(command("--port", str(port)), env=env, stderr=subprocess.PIPE)
    try:
        reached(process, port)
        kept = home / "http-token"
        secret = kept.read_text().strip()
        assert len(secret) >= 32
        assert kept.stat().st_mode & 0o077 == 0
        url = f"http://127.0.0.1:{port}/mcp"
        assert httpx2.post(url, json=initialize("x"), headers=ACCEPTED).status_code == 401
        known = {**ACCEPTED, "authorization": f"Bearer {secret}"}
        assert httpx2.post(url, json=initialize("x"), headers=known).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert process.stderr is not None
        said = process.stderr.read().decode()
        assert f"serving MCP at http://127.0.0.1:{port}/mcp" in said
        assert secret not in said
        assert token.http_token(home) == secret
    finally:
        process.kill()
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic secret", "Bearer secret "]
)
@pytest.mark.parametrize("path", ["/mcp", "/", "/elsewhere"])
async def test_without_the_token_nothing_is_said(home: Path, given: str | None, path: str) -> None:
    app = http.http_app(Gateway(war_room(home)), host="127.0.0.1", token="secret")
    headers = {**ACCEPTED, **({"authorization": given} if given is not None else {})}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as web:
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            answer = await web.request(method, f"http://127.0.0.1:8765{path}", headers=headers, json=LIST)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "secret" not in answer.text


async def test_with_the_token_both_eras_come_in(era: str, home: Path) -> None:
    async with (
        serving(war_room(home), token="secret") as url,
        httpx2.AsyncClient(headers={"authorization": "Bearer secret"}) as web,
        Client(streamable_http_client(url, http_client=web), mode=era, cache=None) as client,
    ):
        assert [tool.name for tool in (await client.list_tools()).tools] == list(OWN_TOOLS)


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
async def serving(
    room: AsyncWarRoom, era: str = HANDSHAKE, token: str | None = None, **children: Played
) -> AsyncIterator[str]:
    """The address of a server in this process, with the test's own catalog and children.

    Played children are met as for hosts of the era that can be asked everything.
    """
    if children:
        room._manager._waker._opener = Stand(children)  # type: ignore[assignment]
    app = http.http_app(Gateway(room), host="127.0.0.1", token=token)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
    )
    with socket.socket() as listening, anyio.fail_after(20):
        listening.bind(("127.0.0.1", 0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await anyio.sleep(0.01)
            for name in children:
                await room._manager.add(added(name), Speech(era == MODERN, ABLE))
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
        hello = await web.post(url, json=initialize("deaf"), headers=ACCEPTED)
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


# --- children and hosts, side by side ------------------------------------------------------------

FORM: dict[str, Any] = {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}
CHILD_ERAS = pytest.mark.parametrize("modern", [False, True], ids=["old-child", "modern-child"])


def named(url: str, era: str, name: str, **more: Any) -> Client:
    info = Implementation(name=name, version="1")
    return Client(url, mode=era, cache=None, client_info=info, **more)


async def ask(child: Played, word: str) -> None:
    """The child asks within its next call, in its own era, and says what it was told."""
    request = await child.takes()
    params = {**FORM, "message": word}
    question = {"method": "elicitation/create", "params": params}
    if child.modern:
        request.answer(resultType="input_required", inputRequests={"q": question}, requestState="s")
        request = await child.takes()
        told = request.params["inputResponses"]["q"]
    else:
        request.ask("elicitation/create", 1, **params)
        told = (await child.answered(1))["result"]
    request.answer(resultType="complete", content=[{"type": "text", "text": str(told["content"])}])


@CHILD_ERAS
@pytest.mark.parametrize("era", ERAS)
async def test_a_childs_question_reaches_the_person_over_http(era: str, home: Path, modern: bool) -> None:
    async def answer(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"heard": params.message})

    child = Played(modern=modern)
    async with (
        serving(war_room(home), era, child=child) as url,
        named(url, era, "asked", elicitation_callback=answer) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ask, child, "Which one?")
        result = await client.call_tool("child__act", {})
        assert result.content[0].model_dump()["text"] == "{'heard': 'Which one?'}"


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_that_is_given_up_over_http_is_withdrawn_from_the_child(era: str, home: Path) -> None:
    child = Played()
    async with serving(war_room(home), era, child=child) as url, named(url, era, "hasty") as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "child__act", {})
            request = await child.takes()
            tasks.cancel_scope.cancel()
        assert (await child.hears("notifications/cancelled"))["requestId"] == request.id


async def test_hosts_of_both_eras_are_served_at_once_and_hear_their_own_answers(home: Path) -> None:
    child = Played(modern=None)
    async with (
        serving(war_room(home), child=child) as url,
        named(url, HANDSHAKE, "a") as a,
        named(url, HANDSHAKE, "b") as b,
        named(url, MODERN, "c") as c,
        named(url, MODERN, "d") as d,
    ):
        heard: dict[str, str] = {}

        async def call(client: Client, name: str, n: int) -> None:
            result = await client.call_tool("child__act", {"of": f"{name}{n}"})
            heard[f"{name}{n}"] = result.content[0].model_dump()["text"]

        async with anyio.create_task_group() as tasks:
            for n in range(5):
                for name, client in {"a": a, "b": b, "c": c, "d": d}.items():
                    tasks.start_soon(call, client, name, n)
            requests = [await child.takes() for _ in range(20)]
            for request in reversed(requests):
                request.says(request.params["arguments"]["of"])
        assert len(heard) == 20
        assert all(word == of for of, word in heard.items())
        # A connection for each era, and none for each host.
        assert {request.over.modern for request in requests} == {True, False}


def modern_post(method: str, name: str, /, **params: Any) -> dict[str, Any]:
    meta = {
        f"{PREFIX}protocolVersion": MODERN,
        f"{PREFIX}clientInfo": {"name": name, "version": "1"},
        f"{PREFIX}clientCapabilities": ABLE,
    }
    body = {**LIST, "method": method, "params": {**params, "_meta": meta}}
    sent = {**ACCEPTED, "mcp-protocol-version": MODERN, "mcp-method": method}
    if method == "tools/call":
        sent["mcp-name"] = params["name"]
    return {"json": body, "headers": sent}


def answer_of(response: httpx2.Response) -> dict[str, Any]:
    """The answer in a response, which may be a stream of events."""
    if response.headers["content-type"].startswith("application/json"):
        found: dict[str, Any] = response.json()
        return found
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    (answer,) = [one for one in map(json.loads, filter(str.strip, lines)) if "id" in one]
    assert isinstance(answer, dict)
    return answer


async def test_a_parked_call_is_for_the_host_that_made_it(home: Path) -> None:
    child = Played()
    answers: dict[str, Any] = {}
    async with (
        serving(war_room(home), MODERN, child=child) as url,
        httpx2.AsyncClient(timeout=20) as web,
    ):

        async def call(key: str, host: str, **more: Any) -> None:
            sent = modern_post("tools/call", host, name="child__act", arguments={}, **more)
            answers[key] = answer_of(await web.post(url, **sent))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "first", "one")
            request = await child.takes()
            request.ask("elicitation/create", 1, **FORM)
        question = answers["first"]["result"]
        assert question["resultType"] == "input_required"
        (key,) = question["inputRequests"]
        back = {
            "requestState": question["requestState"],
            "inputResponses": {key: {"action": "decline"}},
        }
        await call("stolen", "two", **back)
        assert answers["stolen"]["error"]["code"] == -32602
        assert child.answers == {}

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(call, "after", "one", **back))
            assert (await child.answered(1))["result"] == {"action": "decline"}
            request.says("done")
        assert answers["after"]["result"]["content"][0]["text"] == "done"


async def test_a_body_over_the_limit_is_refused(home: Path) -> None:
    async with serving(war_room(home)) as url, httpx2.AsyncClient(timeout=20) as web:
        huge = {**initialize("x"), "more": "x" * (5 * 1024 * 1024)}
        assert (await web.post(url, json=huge, headers=ACCEPTED)).status_code == 413
        assert (await web.post(url, json=initialize("x"), headers=ACCEPTED)).status_code == 200


async def test_a_host_that_ends_its_session_is_gone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came, left = anyio.Event(), anyio.Event()
    connected, gone = Subscriptions.connected, Subscriptions.gone

    def coming(self: Subscriptions, host: Host) -> None:
        connected(self, host)
        came.set()

    async def leaving(self: Subscriptions, host: Host) -> None:
        await gone(self, host)
        assert self.hosts() == ()
        left.set()

    monkeypatch.setattr(Subscriptions, "connected", coming)
    monkeypatch.setattr(Subscriptions, "gone", leaving)
    async with serving(war_room(home)) as url, httpx2.AsyncClient(timeout=20) as web:
        hello = await web.post(url, json=initialize("short"), headers=ACCEPTED)
        session = {"mcp-session-id": hello.headers["mcp-session-id"], **ACCEPTED}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await web.post(url, json=ready, headers=session)
        await came.wait()
        assert (await web.delete(url, headers=session)).status_code == 200
        await left.wait()
        assert (await web.post(url, json=LIST, headers=session)).status_code == 404


@pytest.mark.parametrize("method", ["ping", "logging/setLevel", "resources/subscribe"])
async def test_a_modern_host_over_http_finds_nothing_of_the_handshake_era(home: Path, method: str) -> None:
    async with serving(war_room(home)) as url, httpx2.AsyncClient(timeout=20) as web:
        answer = answer_of(await web.post(url, **modern_post(method, "x", level="info", uri="a://b")))
        assert answer["error"]["code"] == -32601
