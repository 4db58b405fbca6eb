"""The MCP server that hosts talk to: one low-level `Server`, every handler registered from the start.

Capabilities derive from the registered handlers, so an empty War Room already advertises what its
children may bring. See docs/adr/0001 for why this is not `MCPServer`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from warroom_mcp import sdk
from warroom_mcp.errors import UnknownTool
from warroom_mcp.server import tools
from warroom_mcp.server.asking import Parking
from warroom_mcp.server.delivery import Delivery
from warroom_mcp.server.handlers import OwnTools
from warroom_mcp.server.proxy import Proxy
from warroom_mcp.toolbox import Exposed
from warroom_mcp.warroom import AsyncWarRoom

Context = ServerRequestContext[Any, Any]
Result = dict[str, Any]


@dataclass
class _Running:
    """What exists while the server runs: entered once a process."""

    own: OwnTools
    proxy: Proxy


class WarRoomServer(Server[Any]):
    """Advertises list changes to hosts of the handshake era, which the base class leaves out."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """As the base class, with every kind of list change advertised."""
        return super().create_initialization_options(
            notification_options
            or NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True),
            experimental_capabilities,
            extensions,
        )


def build_server(war_room: AsyncWarRoom) -> WarRoomServer:
    """A server around a War Room, ready to be run on any transport; its lifespan enters the War Room."""
    delivery = Delivery(war_room.events, wait=war_room.settings.relist_wait)
    app = _Handlers(war_room, delivery)
    server = WarRoomServer(
        "war-room",
        version=version("warroom-mcp"),
        title="War Room",
        instructions=tools.INSTRUCTIONS,
        lifespan=app.lifespan,
        get_tool_input_schema=app.input_schema,
        on_list_tools=app.list_tools,
        on_call_tool=app.call_tool,
        on_list_prompts=app.list_prompts,
        on_get_prompt=app.get_prompt,
        on_list_resources=app.list_resources,
        on_list_resource_templates=app.list_templates,
        on_read_resource=app.read_resource,
        on_completion=app.complete,
        on_subscriptions_listen=ListenHandler(delivery.bus),
    )
    server.middleware.append(app.watch)
    return server


class _Handlers:
    """The handlers of one server. Lists are built from the toolbox at each request."""

    def __init__(self, war_room: AsyncWarRoom, delivery: Delivery) -> None:
        self._war_room = war_room
        self._toolbox = war_room.toolbox
        self._delivery = delivery
        self._proxy = Proxy(war_room)

    @asynccontextmanager
    async def lifespan(self, _: Server[Any]) -> AsyncIterator[_Running]:
        """Entered once a stdio run and once an HTTP manager: children live in here."""
        async with self._war_room, anyio.create_task_group() as tasks:
            tasks.start_soon(self._delivery.run)
            parking = Parking(tasks, ttl=self._war_room.settings.ask_deadline)
            own = OwnTools(self._war_room, self._delivery, parking, self._proxy)
            yield _Running(own, self._proxy)
            tasks.cancel_scope.cancel()

    async def watch(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Notes when a host of the handshake era becomes ready for notifications."""
        result = await call_next(ctx)
        if ctx.method == "notifications/initialized" and not sdk.is_modern(ctx.protocol_version):
            self._delivery.connected(ctx)
        return result

    def input_schema(self, name: str) -> Any:
        """The raw input schema of an exposed tool, for the headers of the modern HTTP transport."""
        try:
            return self._toolbox.resolve(name).definition.get("inputSchema")
        except UnknownTool:
            own = (d for d in tools.own_definitions() if d["name"] == name)
            return next((d["inputSchema"] for d in own), None)

    async def list_tools(self, ctx: Context, params: Any) -> Any:
        """Our own tools first, then the children's in the order in which they were added."""
        await self._war_room.follow()
        exposed = _definitions(ctx, "tool", self._toolbox.tools())
        self._delivery.host(ctx).listed()
        return _listing("tools", [*tools.own_definitions(), *exposed])

    async def call_tool(self, ctx: Context, params: Any) -> Any:
        """One of ours, or a child's by its exposed name."""
        running: _Running = ctx.lifespan_context
        if params.name in tools.OWN_TOOLS:
            return await running.own.call(ctx, params.name, params.arguments or {})
        await self._war_room.follow()
        try:
            tool = self._toolbox.resolve(params.name)
        except UnknownTool as error:
            raise MCPError(INVALID_PARAMS, error.message, data=error.to_dict()) from None
        self._delivery.host(ctx).called_native = True
        return await self._proxy.call(ctx, tool, params.arguments or {})

    async def list_prompts(self, ctx: Context, params: Any) -> Any:
        """The children's prompts, prefixed."""
        await self._war_room.follow()
        return _listing("prompts", _definitions(ctx, "prompt", self._toolbox.prompts()))

    async def get_prompt(self, ctx: Context, params: Any) -> Any:
        """A child's prompt by its exposed name."""
        await self._war_room.follow()
        return await self._proxy.prompt(ctx, params.name, params.arguments)

    async def list_resources(self, ctx: Context, params: Any) -> Any:
        """The children's resources under their own URIs."""
        await self._war_room.follow()
        return _listing("resources", _definitions(ctx, "resource", self._toolbox.resources()))

    async def list_templates(self, ctx: Context, params: Any) -> Any:
        """The children's resource templates."""
        await self._war_room.follow()
        items = _definitions(ctx, "template", self._toolbox.templates())
        return _listing("resourceTemplates", items)

    async def read_resource(self, ctx: Context, params: Any) -> Any:
        """A child's resource by its URI."""
        await self._war_room.follow()
        return await self._proxy.read(ctx, str(params.uri))

    async def complete(self, ctx: Context, params: Any) -> Any:
        """A child's completions."""
        await self._war_room.follow()
        return await self._proxy.complete(ctx, ctx.params or {})


def _definitions(ctx: Context, kind: str, exposed: Sequence[Exposed]) -> list[Any]:
    """What the host's version accepts, one by one: a broken definition hides no other."""
    return [e.definition for e in exposed if sdk.is_valid_item(ctx.protocol_version, kind, e.definition)]


def _listing(key: str, items: Sequence[Any]) -> Result:
    """A list result that no one may cache: the next addition changes it."""
    return {key: list(items), "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}
