"""Passes requests on to children and their results back, as they came."""

from collections.abc import Mapping
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from warroom_mcp import sdk
from warroom_mcp.errors import ChildProtocolError, WarRoomError
from warroom_mcp.server import answers
from warroom_mcp.toolbox import Exposed
from warroom_mcp.warroom import AsyncWarRoom

Context = ServerRequestContext[Any, Any]
Result = dict[str, Any]

PROGRESS_DEADLINE = 1.0
"""Seconds that a result waits for the progress before it to reach the host."""


class Proxy:
    """Forwards by the toolbox: what is not exposed there is not reachable here."""

    def __init__(self, war_room: AsyncWarRoom) -> None:
        self._war_room = war_room

    async def call(self, ctx: Context, tool: Exposed, arguments: Mapping[str, Any]) -> Result:
        """A child's tool result; errors of ours become tool errors, the child's own pass unchanged."""
        params: Result = {"name": tool.original, "arguments": dict(arguments)}
        try:
            return await self._forward(ctx, tool.server, "tools/call", params)
        except WarRoomError as error:
            return answers.failure(error)

    async def prompt(self, ctx: Context, name: str, arguments: Mapping[str, str] | None) -> Result:
        """A child's prompt."""
        prompt = self._war_room.toolbox.prompt(name)
        if prompt is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name[:100]}")
        params: Result = {"name": prompt.original, **({"arguments": dict(arguments)} if arguments else {})}
        return await self._forwarded(ctx, prompt.server, "prompts/get", params)

    async def read(self, ctx: Context, uri: str) -> Result:
        """A child's resource."""
        server = self._war_room.toolbox.resource_server(uri)
        if server is None:
            raise MCPError(INVALID_PARAMS, f"Unknown resource: {uri[:200]}")
        return await self._forwarded(ctx, server, "resources/read", {"uri": uri})

    async def complete(self, ctx: Context, params: Mapping[str, Any]) -> Result:
        """A child's completions for an argument of its prompt or template."""
        reference = dict(params["ref"])
        toolbox = self._war_room.toolbox
        if reference.get("type") == "ref/prompt":
            prompt = toolbox.prompt(str(reference.get("name")))
            server = prompt.server if prompt else None
            reference["name"] = prompt.original if prompt else ""
        else:
            server = next((t.server for t in toolbox.templates() if t.name == reference.get("uri")), None)
        if server is None:
            raise MCPError(INVALID_PARAMS, "Nothing of that reference is exposed here")
        plain = {k: v for k, v in params.items() if k not in ("ref", "_meta")}
        return await self._forwarded(ctx, server, "completion/complete", {**plain, "ref": reference})

    async def _forwarded(self, ctx: Context, server: str, method: str, params: Result) -> Result:
        """As `_forward`, for methods whose results have no room for an error of ours."""
        try:
            return await self._forward(ctx, server, method, params)
        except WarRoomError as error:
            raise sdk.protocol_error(error.message, error.to_dict()) from error

    async def _forward(self, ctx: Context, server: str, method: str, params: Result) -> Result:
        # A modern child may answer with a question; the host's retry is for the child alone.
        for key in ("_meta", "inputResponses", "requestState"):
            if given := (ctx.params or {}).get(key):
                params[key] = given

        steps = _Steps(ctx)
        raw = await self._war_room.request(server, method, params, on_progress=steps.pass_on)
        await steps.arrived()
        result = sdk.result_for(ctx.protocol_version, method, raw)
        if result is None:
            raise ChildProtocolError(f"{server} answered {method} with something that is no such result.")
        return result


class _Steps:
    """A call's progress on its way to the host: it comes in tasks of its own; after the result it is lost."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._under_way = 0
        self._arrived = anyio.Event()

    async def pass_on(self, progress: float, total: float | None, message: str | None) -> None:
        """Report one step."""
        self._under_way += 1
        try:
            await self._ctx.session.report_progress(progress, total, message)
        finally:
            self._under_way -= 1
            self._arrived.set()

    async def arrived(self) -> None:
        """Return when every step was written, or when the host takes too long to read them."""
        with anyio.move_on_after(PROGRESS_DEADLINE):
            while self._under_way:
                self._arrived = anyio.Event()
                await self._arrived.wait()
