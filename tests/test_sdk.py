"""The seam to the SDK: these tests fail when a private name has moved or does something else."""

import inspect
import subprocess
import sys
from typing import Any

import anyio
import pytest
from mcp.client.client import Client
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.session import ServerSession
from mcp_types import ElicitResult, Implementation

from warroom_mcp import sdk

LEGACY, MODERN = "legacy", "2026-07-28"
LIST: dict[str, Any] = {"tools": [], "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}


def test_the_seam_does_not_load_the_sdk() -> None:
    code = "import sys, warroom_mcp.sdk, warroom_mcp.manager; sys.exit('mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_private_names_are_where_they_were() -> None:
    source = inspect.getsource(ServerSession.__init__)
    for name in ("_connection", "_request_outbound"):
        assert f"self.{name}" in source
    assert {"state", "exit_stack"} <= set(vars(Connection)) | set(Connection.__init__.__code__.co_names)


@pytest.mark.parametrize("mode", [LEGACY, MODERN])
async def test_what_a_middleware_learns_of_its_host_comes_from_the_right_places(mode: str) -> None:
    seen: list[tuple[str, str | None, Any]] = []

    async def note(ctx: Any, call_next: Any) -> Any:
        connection = sdk.host_connection(ctx.session)
        assert isinstance(connection, Connection)
        seen.append((ctx.method, sdk.client_name(ctx.session), connection))
        return LIST if ctx.method == "tools/list" else await call_next(ctx)

    served = Server[Any]("seam")
    served.middleware.append(note)
    info = Implementation(name="some-host", version="1")
    with anyio.fail_after(5):
        async with Client(served, mode=mode, cache=None, client_info=info) as client:
            for _ in range(2):
                assert (await client.list_tools()).tools == []
    lists = [(name, connection) for method, name, connection in seen if method == "tools/list"]
    assert [name for name, _ in lists] == ["some-host"] * 2
    # A session of the handshake era is one connection; a request that stands alone has its own.
    assert (lists[0][1] is lists[1][1]) or mode == MODERN


async def test_the_way_back_within_a_request_asks_and_tells_its_host() -> None:
    heard: list[Any] = []

    async def answer(context: Any, params: Any) -> Any:
        heard.append(params.message)
        return ElicitResult(action="decline")

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async def take(ctx: Any, call_next: Any) -> Any:
        if ctx.method != "tools/call":
            # The client lists before it believes a result.
            return {"tools": []} if ctx.method == "tools/list" else await call_next(ctx)
        channel = sdk.request_channel(ctx.session)
        token = ctx.params["_meta"]["progressToken"]
        told = {"progressToken": token, "progress": 1, "message": "half"}
        await channel.notify("notifications/progress", told)
        form = {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}
        asked = await channel.send_raw_request("elicitation/create", form)
        return {"content": [{"type": "text", "text": str(asked["action"])}]}

    served = Server[Any]("seam")
    served.middleware.append(take)
    with anyio.fail_after(5):
        async with Client(served, mode=LEGACY, cache=None, elicitation_callback=answer) as client:
            result = await client.call_tool("any", {}, progress_callback=note)
    assert result.content[0].model_dump()["text"] == "decline"
    assert sorted(heard) == ["Which?", "half"]


async def test_a_connection_tells_what_belongs_to_no_request_and_ends_what_it_was_given() -> None:
    heard, ended = anyio.Event(), anyio.Event()

    async def hear(message: Any) -> None:
        if message.method == "notifications/tools/list_changed":
            heard.set()

    async def take(ctx: Any, call_next: Any) -> Any:
        if ctx.method != "tools/list":
            return await call_next(ctx)
        connection = sdk.host_connection(ctx.session)
        connection.state["mine"] = 1
        connection.exit_stack.callback(ended.set)
        await connection.outbound.notify("notifications/tools/list_changed", None)
        return LIST

    served = Server[Any]("seam")
    served.middleware.append(take)
    with anyio.fail_after(5):
        async with Client(served, mode=LEGACY, cache=None, message_handler=hear) as client:
            await client.list_tools()
            await heard.wait()
            assert not ended.is_set()
        await ended.wait()
