"""The seam to the SDK: these tests fail when a private name has moved or does something else."""

import inspect
from typing import Any

import anyio
import pytest
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.session import ServerSession
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp_types import Implementation

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


# --- the host's side -----------------------------------------------------------------------------


async def test_what_a_handler_learns_of_its_host_comes_from_the_right_places() -> None:
    seen: dict[str, Any] = {}

    async def list_tools(context: Any, params: Any) -> Any:
        seen.update(
            version=context.protocol_version,
            name=sdk.client_name(context.session),
            form=sdk.has_form_elicitation(context.session),
            connection=sdk.host_connection(context.session),
        )
        return {"tools": [], "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}

    async def answer(context: Any, params: Any) -> Any:
        raise NotImplementedError

    for mode, modern in (("legacy", False), ("2026-07-28", True)):
        for callback in (None, answer):
            info = Implementation(name="some-host", version="1")
            served = Server[Any]("seam", on_list_tools=list_tools)
            client = Client(served, mode=mode, cache=None, client_info=info, elicitation_callback=callback)
            with anyio.fail_after(5):
                async with client:
                    await sdk.raw_request(client.session, "tools/list")
            assert sdk.is_modern(seen["version"]) is modern
            assert seen["name"] == "some-host"
            assert seen["form"] is (callback is not None)
            assert isinstance(seen["connection"], Connection)


@pytest.mark.parametrize("kind", ["tools", "prompts", "resources"])
async def test_a_change_reaches_a_host_of_the_handshake_era_by_its_connection(kind: str) -> None:
    heard: list[str] = []
    arrived = anyio.Event()

    async def hear(message: Any) -> None:
        heard.append(message.method)
        arrived.set()

    async def list_tools(context: Any, params: Any) -> Any:
        await sdk.send_list_changed(sdk.host_connection(context.session), kind)
        return {"tools": []}

    with anyio.fail_after(5):
        served = Server[Any]("seam", on_list_tools=list_tools)
        async with Client(served, mode="legacy", cache=None, message_handler=hear) as client:
            await sdk.raw_request(client.session, "tools/list")
            await arrived.wait()
    assert heard == [f"notifications/{kind}/list_changed"]


def test_the_private_names_of_the_server_side_are_where_they_were() -> None:
    assert "self._connection" in inspect.getsource(ServerSession.__init__)
    assert {"state", "exit_stack"} <= set(vars(Connection)) | set(Connection.__init__.__code__.co_names)
    for modern in (False, True):
        for name in (*sdk._ITEMS.values(), *sdk._RESULTS.values()):
            assert sdk._model(modern, name).__name__ == name


LEGACY, MODERN = "2025-11-25", "2026-07-28"
TEXT = [{"type": "text", "text": "x"}]


@pytest.mark.parametrize(
    ("version", "method", "raw", "result"),
    [
        (MODERN, "tools/call", {"content": TEXT}, {"content": TEXT, "resultType": "complete"}),
        (LEGACY, "tools/call", {"content": TEXT, "resultType": "complete"}, {"content": TEXT}),
        (LEGACY, "tools/call", {"content": TEXT, "structuredContent": [1]}, {"content": TEXT}),
        (
            LEGACY,
            "tools/call",
            {"structuredContent": {"a": 1}, "x-unknown": 2},
            {"content": [], "structuredContent": {"a": 1}, "x-unknown": 2},
        ),
        (LEGACY, "tools/call", {"resultType": "input_required", "requestState": "s"}, None),
        (MODERN, "tools/call", {"content": [{"type": "smell"}]}, None),
        (LEGACY, "tools/call", {"content": "text"}, None),
        (LEGACY, "resources/read", {"contents": []}, {"contents": []}),
        (LEGACY, "resources/read", {}, None),
        (MODERN, "prompts/get", {"messages": "none"}, None),
        (LEGACY, "completion/complete", {"completion": {"values": 3}}, None),
    ],
)
def test_a_result_takes_the_shape_of_the_hosts_era(
    version: str, method: str, raw: dict[str, Any], result: dict[str, Any] | None
) -> None:
    before = {**raw}
    assert sdk.result_for(version, method, raw) == result
    assert raw == before


def test_a_resource_of_an_older_child_is_whole_for_a_modern_host() -> None:
    contents = [{"uri": "a://b", "text": "x"}]
    result = sdk.result_for(MODERN, "resources/read", {"contents": contents})
    assert result == {"contents": contents, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


@pytest.mark.parametrize(("version", "valid"), [(LEGACY, False), (MODERN, True)], ids=["handshake", "modern"])
def test_an_item_is_judged_by_the_hosts_version(version: str, valid: bool) -> None:
    item = {"name": "n", "inputSchema": {"type": "object"}, "outputSchema": {"type": "array"}}
    assert sdk.is_valid_item(version, "tool", item) is valid
    assert sdk.is_valid_item(version, "tool", {"name": "n"}) is False
