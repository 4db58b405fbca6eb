"""One host on stdio: its first words are answered here, the rest by the gateway once that is loaded.

A host that starts War Room waits for the first answer, and may throw the process away after it. So
nothing of the gateway is loaded before a request needs it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from warroom_mcp.server import greeting
from warroom_mcp.server.caller import Caller, Host
from warroom_mcp.wire.batch import Outlet, together
from warroom_mcp.wire.codec import Fields, RpcError, encode, error_line, value_of
from warroom_mcp.wire.framing import LineSplitter, LineTooLong
from warroom_mcp.wire.lines import find_id
from warroom_mcp.wire.peer import BrokenAnswer, Incoming, Peer, Unanswered, params_of
from warroom_mcp.wire.protocol import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LATEST_HANDSHAKE,
    LATEST_MODERN,
    META_VERSION,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
)

if TYPE_CHECKING:
    from warroom_mcp.server.gateway import Gateway

_VERSION = META_VERSION.encode()
MAX_HOST_MESSAGE = 32 * 1024 * 1024
"""Bytes of the largest message that is taken from a host."""


class StdioCaller(Caller):
    """A request of the host at the other end of the pipe."""

    def __init__(self, host: Host, incoming: Incoming, fields: Fields, peer: Peer) -> None:
        super().__init__(host, incoming.id, incoming.method, fields)
        self._incoming = incoming
        self._peer = peer
        incoming.on_cancel = self.given_up

    def _reply(self, result: bytes) -> None:
        self._incoming.answer(result)

    def _reject(self, error: RpcError) -> None:
        self._incoming.fail(error)

    def notify(self, method: str, params: bytes) -> None:
        self._peer.notify(method, params)

    async def ask(self, method: str, params: bytes | Raw) -> Raw:
        return await ask(self._peer, method, params)


async def ask(peer: Peer, method: str, params: bytes | Raw) -> Raw:
    """Ask the host at the other end of the pipe.

    Raises: RpcError: it refused, or has gone.
    """
    try:
        return await peer.ask(method, params)
    except Unanswered as error:
        raise RpcError(INTERNAL_ERROR, "The host has gone") from error


class Front:
    """The connection to one host. `send` writes a line; `load` is called when the gateway is needed.

    `is_empty` says, cheaply, whether no server is added; `brought` what children are remembered to bring.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        load: Callable[[], None],
        *,
        is_empty: Callable[[], bool],
        brought: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.host: Host | None = None
        self._send = Outlet(send).send
        self.peer = Peer(self._send, self._asked, self._told)
        self.peer.on_rubbish = self._rubbish
        self._load = load
        self._is_empty = is_empty
        self._brought = brought
        self._lines = LineSplitter(MAX_HOST_MESSAGE)
        self._gateway: Gateway | None = None
        self._waiting: list[Caller] = []
        self._failure: RpcError | None = None
        self._initialized = False
        self._loaded = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """Take what the host wrote."""
        with together():
            for line in self._lines.feed(data):
                if isinstance(line, LineTooLong):
                    self._too_long(line)
                elif text := line.strip():
                    self.peer.receive(text)

    def ready(self, gateway: Gateway) -> None:
        """The gateway is there: it gets what waited for it."""
        self._gateway = gateway
        self._loaded.set()
        if self._initialized and self.host is not None:
            gateway.hear(self.host, "notifications/initialized", Raw())
        waiting, self._waiting = self._waiting, []
        for caller in waiting:
            if not caller.answered:
                gateway.take(caller)

    async def settled(self) -> None:
        """Return when nobody waits for the gateway to be loaded any more."""
        while self._waiting:
            await self._loaded.wait()

    def failed(self, error: RpcError) -> None:
        """The gateway cannot be had: whoever waits for it is told why."""
        self._failure = error
        self._loaded.set()
        waiting, self._waiting = self._waiting, []
        for caller in waiting:
            caller.fail(error)

    # --- from the host -------------------------------------------------------------------------

    def _asked(self, incoming: Incoming) -> None:
        try:
            fields = params_of(incoming)
            host = self._era_of(incoming.method, fields)
            caller = StdioCaller(host, incoming, fields, self.peer)
            if host.modern:
                greeting.check_envelope(caller.meta)
            answer = self._first_words(caller)
        except RpcError as error:
            incoming.fail(error)
            return
        if answer is not None:
            caller.answer(answer)
        else:
            self._pass_on(caller)

    def _era_of(self, method: str, fields: Fields) -> Host:
        """The host; its handshake, or its first request that stands alone, decides the era for good."""
        meta = fields.get("_meta")
        if meta is None and self.host is not None and method != "initialize":
            return self.host
        stands_alone = meta is not None and _VERSION in bytes(meta) and method != "initialize"
        if self.host is None or (stands_alone and not (self.host.modern or self.host.greeted)):
            version = LATEST_MODERN if stands_alone else LATEST_HANDSHAKE
            if stands_alone:
                self.host = Host(version)
            else:
                self.host = Host(version, tell=self._tell, ask=self._ask)
        elif self.host.modern and method == "initialize":
            raise greeting.unsupported(value_of(fields.get("protocolVersion")))
        elif self.host.modern != stands_alone and stands_alone:
            raise greeting.refused_second_era("the handshake revisions of MCP")
        return self.host

    def _tell(self, method: str, params: bytes) -> None:
        self.peer.notify(method, params)

    async def _ask(self, method: str, params: bytes | Raw) -> Raw:
        return await ask(self.peer, method, params)

    def _first_words(self, caller: Caller) -> bytes | None:
        """The answer to what needs nothing of the gateway; None for everything else."""
        host, method = caller.host, caller.method
        if method == "tools/call" and self._gateway is not None and (host.modern or host.greeted):
            return None
        if method == "ping" and not host.modern:
            return b"{}"
        if method == "initialize":
            return encode(greeting.initialize(host, caller.fields, self._brought()))
        if method == "server/discover" and host.modern and self._gateway is None:
            return encode(greeting.discover(caller.capabilities, self._brought()))
        if host.modern and method in greeting.HANDSHAKE_METHODS:
            raise RpcError(METHOD_NOT_FOUND, "Method not found", method)
        if not host.modern and not host.greeted:
            raise RpcError(INVALID_PARAMS, "The connection has to begin with initialize")
        if self._gateway is None and self._is_empty():
            if method == "logging/setLevel":
                return encode(greeting.set_level(host, caller.fields))
            if method == "tools/list":
                host.listed()
            return greeting.own_list(method, modern=host.modern)
        return None

    def _pass_on(self, caller: Caller) -> None:
        if self._gateway is not None:
            self._gateway.take(caller)
        elif self._failure is not None:
            caller.fail(self._failure)
        else:
            self._waiting.append(caller)
            self._load()

    def _told(self, method: str, params: Raw) -> None:
        if method == "notifications/initialized":
            self._initialized = True
            if not self._is_empty():
                self._load()
        if self._gateway is not None and self.host is not None:
            self._gateway.hear(self.host, method, params)

    def _too_long(self, line: LineTooLong) -> None:
        head = line.head.decode("utf-8", "replace")
        request_id = find_id(head) or b""
        if request_id and '"method"' not in head:
            reason = f"sent an answer larger than {line.limit} bytes"
            self.peer.answer_broken(value_of(request_id), BrokenAnswer(reason))
            return
        error = RpcError(INVALID_REQUEST, f"The message is larger than {line.limit} bytes")
        self._send(error_line(request_id, error))

    def _rubbish(self, text: str) -> None:
        self._send(error_line(b"null", RpcError(PARSE_ERROR, "Parse error")))


def is_empty(home: str) -> bool:
    """Whether the config file of a state directory names no server; one that cannot be read may."""
    try:
        with open(os.path.join(home, "mcp-config.json"), "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    config = value_of(text)
    return isinstance(config, dict) and config.get("mcpServers") == {}
