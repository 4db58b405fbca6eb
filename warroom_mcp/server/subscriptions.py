"""Who wants to hear of changes: hosts with a handshake, open `subscriptions/listen` requests, and URIs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from warroom_mcp.errors import WarRoomError
from warroom_mcp.events import Event, ToolboxChanged
from warroom_mcp.models import Speech
from warroom_mcp.server.caller import Caller, Host
from warroom_mcp.warroom import AsyncWarRoom
from warroom_mcp.wire.codec import RpcError, encode, fields_of
from warroom_mcp.wire.protocol import INTERNAL_ERROR, INVALID_PARAMS, META_SUBSCRIPTION

MAX_LISTENERS = 256
MAX_WATCHED = 1024
"""Resources that all hosts together may watch."""

_FLAGS = {
    "toolsListChanged": "tools",
    "promptsListChanged": "prompts",
    "resourcesListChanged": "resources",
}
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    """One open listen request. Events carry its id, so that the host knows which one they are for."""

    caller: Caller
    kinds: frozenset[str]
    uris: frozenset[str]

    def hear(self, method: str, params: Mapping[str, Any]) -> None:
        meta = {META_SUBSCRIPTION: Raw(self.caller.id)}
        self.caller.notify(method, encode({**params, "_meta": meta}))


class Subscriptions:
    """All hosts of this process that want to hear of changes."""

    def __init__(self, war_room: AsyncWarRoom) -> None:
        self._war_room = war_room
        self._hosts: dict[Host, set[str]] = {}
        self._listeners: dict[Caller, _Listener] = {}
        war_room.events.subscribe(self._note)

    # --- hosts with a handshake ----------------------------------------------------------------

    def connected(self, host: Host) -> None:
        """A host is ready for notifications."""
        host.initialized = True
        self._hosts.setdefault(host, set())

    async def gone(self, host: Host) -> None:
        """A host has left."""
        for uri in self._hosts.pop(host, set()):
            await self._follow(uri, host)

    def hosts(self) -> tuple[Host, ...]:
        """The connected hosts that are told of changes without listening."""
        return tuple(self._hosts)

    async def subscribe(self, caller: Caller) -> dict[str, Any]:
        """A host wants to hear when a resource changes; one that is not there yet may come.

        Raises: RpcError, WarRoomError.
        """
        uri = _uri(caller)
        self._hosts.setdefault(caller.host, set()).add(uri)
        try:
            await self._watch(uri, caller)
        except BaseException:
            self._hosts[caller.host].discard(uri)
            raise
        return {}

    async def unsubscribe(self, caller: Caller) -> dict[str, Any]:
        """It no longer does; also of a resource that is not there any more."""
        uri = _uri(caller)
        self._hosts.get(caller.host, set()).discard(uri)
        await self._follow(uri, caller.host)
        return {}

    # --- listeners -----------------------------------------------------------------------------

    async def listen(self, caller: Caller) -> None:
        """Take a listen request in; it stays open until the host closes it or War Room ends.

        Raises: RpcError.
        """
        wanted = caller.value("notifications")
        if not isinstance(wanted, Mapping):
            raise RpcError(INVALID_PARAMS, "notifications has to say what to listen for")
        if len(self._listeners) >= MAX_LISTENERS:
            raise RpcError(INTERNAL_ERROR, "Too many listeners")
        given = wanted.get("resourceSubscriptions")
        uris = [uri for uri in given if isinstance(uri, str)] if isinstance(given, list) else []
        kinds = frozenset(kind for flag, kind in _FLAGS.items() if wanted.get(flag) is True)
        caller.host.listens = "tools" in kinds or bool(caller.host.listens)
        listener = _Listener(caller, kinds, frozenset(uris))
        honoured: dict[str, Any] = {flag: True for flag, kind in _FLAGS.items() if kind in kinds}
        if uris:
            honoured["resourceSubscriptions"] = uris
        listener.hear("notifications/subscriptions/acknowledged", {"notifications": honoured})
        self._listeners[caller] = listener
        caller.on_cancel = lambda: self._leave(caller)
        for uri in listener.uris:
            try:
                await self._watch(uri, caller)
            except (RpcError, WarRoomError) as error:
                _logger.warning("%s cannot be watched: %s", uri[:200], error)

    def _leave(self, caller: Caller) -> None:
        listener = self._listeners.pop(caller, None)
        if listener is not None and listener.uris:
            self._war_room.later(self._unwatch, listener)

    async def _unwatch(self, listener: _Listener) -> None:
        for uri in listener.uris:
            await self._follow(uri, listener.caller.host)

    def close(self) -> None:
        """End every listener in good order."""
        for caller in list(self._listeners):
            caller.answer(encode({"resultType": "complete", "_meta": {META_SUBSCRIPTION: Raw(caller.id)}}))
        self._listeners.clear()

    # --- events --------------------------------------------------------------------------------

    def publish(self, kind: str) -> None:
        """Tell everyone who wants to know that a list changed; `kind` is tools, prompts or resources."""
        method = f"notifications/{kind}/list_changed"
        for listener in list(self._listeners.values()):
            if kind in listener.kinds:
                listener.hear(method, {})
        self.tell(method, b"")

    def tell(self, method: str, params: bytes) -> None:
        """Tell every host with a handshake something that belongs to no request."""
        for host in list(self._hosts):
            if host.tell is not None:
                host.tell(method, params)

    def updated(self, params: Raw) -> None:
        """A child says that a resource changed."""
        try:
            fields = fields_of(params)
        except (ValueError, RecursionError):
            return
        raw = fields.get("uri", Raw())
        for listener in list(self._listeners.values()):
            if any(encode(uri) == bytes(raw) for uri in listener.uris):
                listener.hear("notifications/resources/updated", {"uri": raw})
        for host, uris in list(self._hosts.items()):
            if host.tell is not None and any(encode(uri) == bytes(raw) for uri in uris):
                host.tell("notifications/resources/updated", bytes(params))

    # --- children ------------------------------------------------------------------------------

    async def _watch(self, uri: str, caller: Caller) -> None:
        await self._set(uri, caller.speech)

    async def _follow(self, uri: str, host: Host) -> None:
        try:
            await self._set(uri, host.speech(host.capabilities))
        except (RpcError, WarRoomError) as error:
            _logger.debug("%s is still watched: %s", uri[:200], error)

    async def _set(self, uri: str, speech: Any) -> None:
        """Have the server of a resource watch exactly what somebody wants of it."""
        wanted = self._wanted()
        if len(wanted) > MAX_WATCHED:
            raise RpcError(INTERNAL_ERROR, "Too many resources are watched")
        server = self._war_room.toolbox.resource_server(uri)
        if server is not None:
            await self._war_room.watch(server, self._of(server, wanted), speech)

    def _wanted(self) -> set[str]:
        wanted = {uri for uris in self._hosts.values() for uri in uris}
        return wanted | {uri for listener in self._listeners.values() for uri in listener.uris}

    def _of(self, server: str, uris: Iterable[str]) -> frozenset[str]:
        toolbox = self._war_room.toolbox
        return frozenset(uri for uri in uris if toolbox.resource_server(uri) == server)

    def _note(self, event: Event) -> None:
        """A server may bring a resource that somebody has been waiting for."""
        if not isinstance(event, ToolboxChanged) or "resources" not in event.kinds:
            return
        if own := self._of(event.server, self._wanted()):
            self._war_room.later(self._catch_up, event.server, own)

    async def _catch_up(self, server: str, uris: frozenset[str]) -> None:
        try:
            await self._war_room.watch(server, uris, Speech())
        except (RpcError, WarRoomError) as error:
            _logger.warning("the resources of %s cannot be watched: %s", server, error)


def _uri(caller: Caller) -> str:
    uri = caller.value("uri")
    if not isinstance(uri, str) or not uri:
        raise RpcError(INVALID_PARAMS, "uri has to be a string")
    return uri
