"""An MCP server with everything that the conformance suite asks a server for, in both eras of the protocol.

`python -m tests.conformance.fixture` serves on stdio; `--http PORT` serves on loopback and says where
in one line `{"url": ...}` on stdout: with port 0 it is a free port. As a file it runs from any directory.
"""

import argparse
import json
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types.jsonrpc import INVALID_PARAMS

if not __package__:
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conformance import fixture_library as library
from tests.conformance.fixture_call import Call, Context, InputRequired, Refused, State, is_modern, session_of
from tests.conformance.fixture_questions import ALL_TOOLS
from tests.conformance.fixture_tools import ADDED, content

COMPLETE: dict[str, Any] = {"resultType": "complete"}
# Lists change under the suite's hands, so a host may keep them for no time at all.
CACHEABLE: dict[str, Any] = {**COMPLETE, "ttlMs": 0, "cacheScope": "private"}


class Fixture:
    """The answers to every request, over what is remembered between them."""

    def __init__(self) -> None:
        self.state = State()

    async def list_tools(self, ctx: Context, params: types.PaginatedRequestParams) -> dict[str, Any]:
        """The suite's tools, and one more when a change was asked for."""
        listed = [each.listed for each in ALL_TOOLS.values()]
        return {**CACHEABLE, "tools": listed + [ADDED] * self.state.more_tools}

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> dict[str, Any]:
        """Run a tool; what it refuses is a result that the model reads."""
        found = ALL_TOOLS.get(params.name)
        if found is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        try:
            return await found.run(Call(ctx, params, self.state))
        except InputRequired as pause:
            return pause.result
        except Refused as refusal:
            return content(str(refusal), isError=True)

    async def list_resources(self, ctx: Context, params: types.PaginatedRequestParams) -> dict[str, Any]:
        """Resources with an address of their own."""
        return {**CACHEABLE, "resources": library.RESOURCES}

    async def list_templates(self, ctx: Context, params: types.PaginatedRequestParams) -> dict[str, Any]:
        """Resources with a gap in their address."""
        return {**CACHEABLE, "resourceTemplates": library.TEMPLATES}

    async def read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> dict[str, Any]:
        """What is behind an address."""
        return {**CACHEABLE, "contents": [library.read(str(params.uri), is_modern(ctx))]}

    async def subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> dict[str, Any]:
        """Remember that somebody watches a resource."""
        self.state.watched.add(str(params.uri))
        return {}

    async def unsubscribe(self, ctx: Context, params: types.UnsubscribeRequestParams) -> dict[str, Any]:
        """Forget it again."""
        self.state.watched.discard(str(params.uri))
        return {}

    async def list_prompts(self, ctx: Context, params: types.PaginatedRequestParams) -> dict[str, Any]:
        """The suite's prompts, and one more when a change was asked for."""
        return {**CACHEABLE, "prompts": library.PROMPTS + [library.ADDED] * self.state.more_prompts}

    async def get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> dict[str, Any]:
        """The messages of a prompt."""
        try:
            return await library.prompt(Call(ctx, params, self.state))
        except InputRequired as pause:
            return pause.result

    async def complete(self, ctx: Context, params: types.CompleteRequestParams) -> dict[str, Any]:
        """How an argument may go on."""
        words = library.completions(params.argument.name, params.argument.value)
        return {**COMPLETE, "completion": {"values": words, "total": len(words), "hasMore": False}}

    async def set_level(self, ctx: Context, params: types.SetLevelRequestParams) -> dict[str, Any]:
        """Log less, or more, on this connection."""
        self.state.levels[session_of(ctx)] = params.level
        return {}

    def schema(self, name: str) -> dict[str, Any] | None:
        """The input schema of a tool, for the check of its headers."""
        found = ALL_TOOLS.get(name)
        return None if found is None else found.listed["inputSchema"]

    def server(self) -> "Announcing":
        """A server with all of it registered."""
        made = Announcing(
            "conformance-fixture",
            version="1.0.0",
            get_tool_input_schema=self.schema,
            on_subscriptions_listen=ListenHandler(self.state.bus),
        )
        made.add_request_handler("tools/list", types.PaginatedRequestParams, self.list_tools)
        made.add_request_handler("tools/call", types.CallToolRequestParams, self.call_tool)
        made.add_request_handler("resources/list", types.PaginatedRequestParams, self.list_resources)
        made.add_request_handler(
            "resources/templates/list", types.PaginatedRequestParams, self.list_templates
        )
        made.add_request_handler("resources/read", types.ReadResourceRequestParams, self.read_resource)
        made.add_request_handler("resources/subscribe", types.SubscribeRequestParams, self.subscribe)
        made.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, self.unsubscribe)
        made.add_request_handler("prompts/list", types.PaginatedRequestParams, self.list_prompts)
        made.add_request_handler("prompts/get", types.GetPromptRequestParams, self.get_prompt)
        made.add_request_handler("completion/complete", types.CompleteRequestParams, self.complete)
        made.add_request_handler("logging/setLevel", types.SetLevelRequestParams, self.set_level)
        return made


class Announcing(Server[dict[str, Any]]):
    """A server that tells hosts of the handshake eras that its lists change."""

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """The SDK's own options, with changes announced when nothing else is said."""
        options = notification_options or NotificationOptions(
            prompts_changed=True, resources_changed=True, tools_changed=True
        )
        return super().create_initialization_options(options, *args, **kwargs)


class Events(EventStore):
    """Keeps every event, so that a stream can be taken up where it was closed."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        """Keep one event; its id is its place."""
        self._kept.append((stream_id, message))
        return str(len(self._kept) - 1)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send what came on the same stream after an event; the stream's id."""
        if not last_event_id.isdigit() or int(last_event_id) >= len(self._kept):
            return None
        last = int(last_event_id)
        stream = self._kept[last][0]
        for place, (its_stream, message) in enumerate(self._kept[last + 1 :], last + 1):
            if its_stream == stream and message is not None:
                await send_callback(EventMessage(message, str(place)))
        return stream


async def serve_stdio() -> None:
    """Serve one host on stdin and stdout."""
    server = Fixture().server()
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def serve_http(port: int) -> None:
    """Serve on loopback until the process is ended."""
    app = Fixture().server().streamable_http_app(event_store=Events(), retry_interval=100)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run([listening])


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser(prog="fixture", description=__doc__)
    parser.add_argument("--http", type=int, metavar="PORT", help="serve Streamable HTTP instead of stdio")
    port: int | None = parser.parse_args().http
    # What 2026-07-28 deprecates is exactly what the older scenarios ask for.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    if port is None:
        anyio.run(serve_stdio)
    else:
        serve_http(port)


if __name__ == "__main__":
    main()
