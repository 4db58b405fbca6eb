"""The seam to the SDK: these tests fail when a private name has moved or does something else."""

import inspect
from typing import Any

import anyio
import pytest
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.server.lowlevel import Server
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher

from warroom_mcp import sdk

SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}}
BAD = {"type": "object", "properties": {"city": {"type": "array", "x-mcp-header": "City"}}}


def server(seen: list[Any]) -> Server[Any]:
    async def list_tools(context: Any, params: Any) -> Any:
        tools = [{"name": "echo", "inputSchema": SCHEMA}]
        return {"tools": tools, "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}

    async def call_tool(context: Any, params: Any) -> Any:
        seen.append(params)
        await context.session.report_progress(1, 2, "half")
        if params.name == "hang":
            await anyio.sleep_forever()
        return {"content": [], "_meta": {"x": {"y": 1}}, "resultType": "complete"}

    return Server("seam", on_list_tools=list_tools, on_call_tool=call_tool)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_raw_request_brings_the_result_and_the_progress(mode: str) -> None:
    steps: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    seen: list[Any] = []
    params = {"name": "echo", "arguments": {}, "_meta": {"mine": 1, "progressToken": "the host's"}}
    with anyio.fail_after(5):
        async with Client(server(seen), mode=mode, cache=None) as client:
            result = await sdk.raw_request(client.session, "tools/call", params, on_progress=note)
            listed = await sdk.raw_request(client.session, "tools/list")
    assert result["_meta"]["x"] == {"y": 1}
    assert listed["tools"][0]["inputSchema"] == SCHEMA
    assert steps == [(1, 2, "half")]
    assert seen[0].meta["mine"] == 1
    assert params["_meta"] == {"mine": 1, "progressToken": "the host's"}


async def test_a_raw_request_ends_at_its_timeout_and_at_errors() -> None:
    with anyio.fail_after(5):
        async with Client(server([]), mode="legacy", cache=None) as client:
            with pytest.raises(MCPError, match="timed out"):
                await sdk.raw_request(client.session, "tools/call", {"name": "hang"}, timeout=0.05)
            with pytest.raises(MCPError) as caught:
                await sdk.raw_request(client.session, "no/such")
    assert caught.value.code == -32601


async def test_headers_are_learned_from_schemas_in_the_modern_era_only() -> None:
    tools = [{"name": "good", "inputSchema": SCHEMA}, {"name": "bad", "inputSchema": BAD}]
    async with Client(server([]), mode="legacy", cache=None) as client:
        assert sdk.learn_headers(client.session, tools) == {}
        assert client.session._x_mcp_header_maps == {}
    async with Client(server([]), mode="auto", cache=None) as client:
        assert list(sdk.learn_headers(client.session, tools)) == ["bad"]
        assert client.session._x_mcp_header_maps == {"good": {("city",): "City"}}
        options: CallOptions = {}
        call = {"method": "tools/call", "params": {"name": "good", "arguments": {"city": "Rom"}}}
        client.session._stamp(call, options)
        assert options["headers"]["Mcp-Param-City"] == "Rom"


def test_the_private_names_are_where_they_were() -> None:
    source = inspect.getsource(ClientSession.__init__)
    for name in ("_stamp", "_dispatcher", "_x_mcp_header_maps"):
        assert f"self.{name}" in source
    sends = inspect.signature(JSONRPCDispatcher.send_raw_request).parameters
    assert list(sends)[:4] == ["self", "method", "params", "opts"]
    assert {"timeout", "on_progress"} <= set(CallOptions.__annotations__)


def test_the_seam_does_not_load_the_sdk() -> None:
    import subprocess
    import sys

    code = "import sys, warroom_mcp.sdk, warroom_mcp.manager; sys.exit('mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
