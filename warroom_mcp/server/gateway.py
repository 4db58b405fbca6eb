"""What happens to a host's request once it is here, whatever transport brought it.

Own tools go to the use cases of War Room, everything else to the child that the toolbox names.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from msgspec import Raw

from warroom_mcp.errors import InvalidInput, WarRoomError
from warroom_mcp.manager.child import Child, Owner
from warroom_mcp.server import answers, greeting, large
from warroom_mcp.server.asked import want_level
from warroom_mcp.server.caller import Caller, Host
from warroom_mcp.server.delivery import Delivery
from warroom_mcp.server.handlers import OwnTools, parsed_arguments
from warroom_mcp.server.lists import LISTS, Lists
from warroom_mcp.server.parking import Parking
from warroom_mcp.server.relay import Relay
from warroom_mcp.server.shortening import READ_RESULT, Shortener
from warroom_mcp.server.subscriptions import Subscriptions
from warroom_mcp.server.tools import OWN_TOOLS, UseTool
from warroom_mcp.toolbox import Exposed
from warroom_mcp.warroom import AsyncWarRoom
from warroom_mcp.wire.codec import Fields, RpcError, encode, fields_of
from warroom_mcp.wire.peer import Incoming
from warroom_mcp.wire.protocol import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND

_logger = logging.getLogger(__name__)
Handler = Callable[[Caller], Awaitable[None]]


class Gateway(Owner):
    """One War Room in front of any number of hosts. `run` is its task; requests come in by `take`."""

    def __init__(self, war_room: AsyncWarRoom) -> None:
        self.war_room = war_room
        self.subscriptions = Subscriptions(war_room)
        self.delivery = Delivery(
            war_room.events, war_room.toolbox, self.subscriptions, wait=war_room.settings.relist_wait
        )
        self._toolbox = war_room.toolbox
        self._lists = Lists(war_room.toolbox, war_room.events, large.RESULT_TEMPLATE)
        self._parking = Parking(war_room.settings.ask_deadline)
        self._shortener = Shortener(war_room.settings)
        self._ending = False
        self._tasks: TaskGroup
        self._relay: Relay
        self._own: OwnTools
        self._methods: dict[str, Handler] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": self._ping,
            "logging/setLevel": self._set_level,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._unsubscribe,
            "subscriptions/listen": self.subscriptions.listen,
            "tools/call": self._call_own,
            "prompts/get": self._prompt,
            "resources/read": self._read,
            "completion/complete": self._complete,
            **{method: partial(self._list, method) for method in LISTS},
        }

    async def run(self, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
        """Be there until it is cancelled: children live in here."""
        async with self.war_room, anyio.create_task_group() as self._tasks:
            self._relay = Relay(
                self.war_room, self._tasks, self._parking, self._shortener, self.delivery.only
            )
            self._own = OwnTools(self.war_room, self.delivery, self._parking, self._tasks)
            self.war_room.owner = self
            self._tasks.start_soon(self.delivery.run)
            try:
                # The first request may be a call: what it calls has to be known by then.
                await self.war_room.follow()
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._ending = True
                self.subscriptions.close()
                self._relay.close()
                self._tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._shortener.aclose()

    # --- hosts ---------------------------------------------------------------------------------

    def hear(self, host: Host, method: str, params: Raw) -> None:
        """A host told something that belongs to no request."""
        if method == "notifications/initialized":
            self.delivery.met(host)
            self.subscriptions.connected(host)
        elif method == "notifications/roots/list_changed":
            for child in self.war_room.running():
                if not child.modern:
                    child.notify(method, params)

    async def gone(self, host: Host) -> None:
        """A host has left."""
        self.delivery.gone(host)
        await self.subscriptions.gone(host)

    def take(self, caller: Caller) -> None:
        """Take a request in; it is answered in time."""
        if self._ending:
            caller.fail(RpcError(INTERNAL_ERROR, "War Room has ended"))
            return
        self.delivery.met(caller.host)
        try:
            if caller.method == "tools/call" and self._call_native(caller):
                return
        except RpcError as error:
            caller.fail(error)
            return
        except WarRoomError as error:
            caller.fail(RpcError(INVALID_PARAMS, error.message, error.to_dict()))
            return
        except Exception:
            _logger.exception("a call could not be passed on")
            caller.fail(RpcError(INTERNAL_ERROR, "Internal error"))
            return
        handler = self._methods.get(caller.method) or self._elsewhere(caller)
        self._tasks.start_soon(self._serve, caller, handler)

    async def _serve(self, caller: Caller, handler: Handler) -> None:
        with anyio.CancelScope() as scope:
            if caller.on_cancel is None:
                caller.on_cancel = scope.cancel
            if caller.answered:  # it was given up before it began
                return
            try:
                await handler(caller)
            except RpcError as error:
                caller.fail(error)
            except WarRoomError as error:
                caller.fail(RpcError(INTERNAL_ERROR, error.message, error.to_dict()))
            except Exception:
                _logger.exception("%s failed", caller.method[:80])
                caller.fail(RpcError(INTERNAL_ERROR, "Internal error"))

    # --- calls ---------------------------------------------------------------------------------

    def _call_native(self, caller: Caller) -> bool:
        """Pass a call of a child's tool on; False if it is one of ours.

        Raises: UnknownTool, RpcError.
        """
        name = caller.value("name")
        if not isinstance(name, str):
            raise RpcError(INVALID_PARAMS, "name has to be a string")
        if name in OWN_TOOLS:
            return False
        self.war_room.follow_now()
        tool = self._toolbox.resolve(name)
        caller.host.called_native = True
        self._forward_call(caller, tool, caller.fields)
        return True

    def _forward_call(self, caller: Caller, tool: Exposed, fields: Fields) -> None:
        caller.host.used[tool.name] = time.monotonic()
        named = fields if tool.original == tool.name else {**fields, "name": Raw(encode(tool.original))}
        self._relay.forward(caller, tool.server, "tools/call", named, tool.original)

    async def _call_own(self, caller: Caller) -> None:
        name = caller.value("name")
        arguments = caller.value("arguments")
        if arguments is not None and not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, "arguments has to be an object")
        if name == "use_tool":
            await self._use_tool(caller, arguments or {})
        else:
            await self._own.call(caller, name, arguments or {})

    async def _use_tool(self, caller: Caller, arguments: dict[str, Any]) -> None:
        try:
            given = parsed_arguments("use_tool", arguments)
            assert isinstance(given, UseTool)
            if given.tool == READ_RESULT:
                caller.answer(encode(await self._shortener.read(given.arguments)))
                return
            await self.war_room.follow()
            tool = self._toolbox.resolve(given.tool)
        except WarRoomError as error:
            caller.answer(encode(answers.failure(error)))
            return
        raw = fields_of(caller.fields["arguments"]).get("arguments", Raw(b"{}"))
        own = {key: value for key, value in caller.fields.items() if key not in ("name", "arguments")}
        self._forward_call(caller, tool, {"name": Raw(encode(tool.original)), "arguments": raw, **own})

    async def _prompt(self, caller: Caller) -> None:
        await self.war_room.follow()
        name = caller.value("name")
        prompt = self._toolbox.prompt(name) if isinstance(name, str) else None
        if prompt is None:
            raise RpcError(INVALID_PARAMS, f"Unknown prompt: {str(name)[:100]}")
        fields = {**caller.fields, "name": Raw(encode(prompt.original))}
        self._relay.forward(caller, prompt.server, "prompts/get", fields)

    async def _read(self, caller: Caller) -> None:
        await self.war_room.follow()
        uri = caller.value("uri")
        if not isinstance(uri, str):
            raise RpcError(INVALID_PARAMS, "uri has to be a string")
        if (kept := large.parse_result_uri(uri)) is not None:
            caller.answer(encode(await self._shortener.contents(kept, uri, modern=caller.modern)))
            return
        server = self._toolbox.resource_server(uri)
        if server is None:
            code = INVALID_PARAMS if caller.modern else -32002
            raise RpcError(code, f"Unknown resource: {uri[:200]}", {"uri": uri[:1000]})
        self._relay.forward(caller, server, "resources/read", caller.fields)

    async def _complete(self, caller: Caller) -> None:
        await self.war_room.follow()
        reference = caller.value("ref")
        if not isinstance(reference, dict):
            raise RpcError(INVALID_PARAMS, "ref has to be an object")
        server: str | None = None
        if reference.get("type") == "ref/prompt":
            prompt = self._toolbox.prompt(str(reference.get("name")))
            if prompt is not None:
                server, reference["name"] = prompt.server, prompt.original
        else:
            uri = reference.get("uri")
            server = next((t.server for t in self._toolbox.templates() if t.name == uri), None)
        if server is None:
            raise RpcError(INVALID_PARAMS, "Nothing of that reference is exposed here")
        fields = {**caller.fields, "ref": Raw(encode(reference))}
        self._relay.forward(caller, server, "completion/complete", fields)

    def _elsewhere(self, caller: Caller) -> Handler:
        """A method that is not ours: those of tasks go to the server that made the task."""
        return self._task if caller.method.startswith("tasks/") else self._unknown

    async def _task(self, caller: Caller) -> None:
        task = caller.value("taskId")
        server = self._relay.task_server(task)
        if caller.method == "tasks/list":
            raise RpcError(METHOD_NOT_FOUND, "Method not found", caller.method)
        if server is None:
            raise RpcError(INVALID_PARAMS, f"Unknown task: {str(task)[:100]}")
        self._relay.forward(caller, server, caller.method, caller.fields)

    async def _unknown(self, caller: Caller) -> None:
        raise RpcError(METHOD_NOT_FOUND, "Method not found", caller.method[:100])

    # --- everything else -----------------------------------------------------------------------

    async def _initialize(self, caller: Caller) -> None:
        await self.war_room.follow()
        caller.answer(encode(greeting.initialize(caller.host, caller.fields, self.brought())))

    async def _discover(self, caller: Caller) -> None:
        await self.war_room.follow()
        caller.answer(encode(greeting.discover(caller.capabilities, self.brought())))

    def brought(self) -> dict[str, Any]:
        """Capabilities that only children bring."""
        return self.war_room.brought()

    async def _ping(self, caller: Caller) -> None:
        caller.answer(b"{}")

    async def _list(self, method: str, caller: Caller) -> None:
        await self.war_room.follow()
        if method == "tools/list":
            caller.host.listed()
        hidden = self.delivery.hidden(caller.host) if method == "tools/list" else frozenset()
        caller.answer(self._lists.get(method, modern=caller.modern, hidden=hidden))

    async def _set_level(self, caller: Caller) -> None:
        if caller.modern:
            raise RpcError(METHOD_NOT_FOUND, "Method not found", caller.method)
        caller.answer(encode(greeting.set_level(caller.host, caller.fields)))
        for child in self.war_room.running():
            want_level(child, str(caller.host.log_level))

    async def _subscribe(self, caller: Caller) -> None:
        if caller.modern:
            raise RpcError(METHOD_NOT_FOUND, "Method not found", caller.method)
        await self.war_room.follow()
        caller.answer(encode(await self.subscriptions.subscribe(caller)))

    async def _unsubscribe(self, caller: Caller) -> None:
        if caller.modern:
            raise RpcError(METHOD_NOT_FOUND, "Method not found", caller.method)
        caller.answer(encode(await self.subscriptions.unsubscribe(caller)))

    # --- children ------------------------------------------------------------------------------

    def began(self, child: Child) -> None:
        """A child is ready: it logs from the level on that hosts want."""
        levels = [host.log_level for host in self.subscriptions.hosts() if host.log_level is not None]
        if levels:
            want_level(child, levels[0])

    def asked(self, child: Child, incoming: Incoming) -> None:
        """A child asks its client something."""
        self._relay.asked(child, incoming)

    def told(self, child: Child, method: str, params: Raw) -> None:
        """A child tells something."""
        if method == "notifications/resources/updated":
            self.subscriptions.updated(params)
        elif method == "notifications/message":
            if not self._relay.log(child, params) and len(self.subscriptions.hosts()) == 1:
                self.subscriptions.tell(method, bytes(params))
        elif (call := self._relay.newest(child)) is not None and not call.caller.answered:
            call.caller.notify(method, bytes(params))
        elif len(self.subscriptions.hosts()) == 1:
            self.subscriptions.tell(method, bytes(params))


def input_schema(war_room: AsyncWarRoom, name: str) -> Any:
    """The raw input schema of an exposed tool, for the headers of the modern HTTP transport."""
    if name in OWN_TOOLS:
        return None
    try:
        return war_room.toolbox.resolve(name).definition.get("inputSchema")
    except InvalidInput:
        return None
