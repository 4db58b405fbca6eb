"""One end of a JSON-RPC connection: matches answers with requests, whichever side asked.

Callbacks instead of tasks: a message costs no switch of tasks here, which is what makes a proxied call
cheap. `request` is for those who would rather wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from warroom_mcp.wire.codec import (
    Envelope,
    Fields,
    RpcError,
    encode,
    error_line,
    fields_of,
    message_line,
    result_line,
)
from warroom_mcp.wire.lines import Broken, Rubbish, parse
from warroom_mcp.wire.protocol import INVALID_REQUEST, PARSE_ERROR, PROGRESS_TOKEN


class Unanswered(Exception):
    """No answer will come."""


class ConnectionLost(Unanswered):
    """The connection ended before the answer."""


class BrokenAnswer(Unanswered):
    """An answer came that is no valid message; `reason` completes "it ...", `passing`: it may not last."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing


class Sink(Protocol):
    """Who waits for an answer. Exactly one of `replied`, `refused` and `lost` is called, once."""

    def replied(self, result: Raw) -> None: ...
    def refused(self, error: RpcError) -> None: ...
    def lost(self, error: Unanswered) -> None: ...
    def progressed(self, fields: Fields) -> None: ...


class Incoming:
    """A request of the other side; it is answered once, and what comes after that is dropped.

    `id` is the encoded id. `on_cancel` is called when the other side no longer wants the answer.
    """

    __slots__ = ("_peer", "answered", "id", "method", "on_cancel", "params")

    def __init__(self, peer: Peer, request_id: bytes, method: str, params: Raw) -> None:
        self._peer = peer
        self.id = request_id
        self.method = method
        self.params = params
        self.answered = False
        self.on_cancel: Callable[[], None] | None = None

    def answer(self, result: bytes | Raw) -> None:
        """Answer with an encoded result."""
        self._settle(result_line(self.id, result))

    def fail(self, error: RpcError) -> None:
        """Answer with an error."""
        self._settle(error_line(self.id, error))

    def _settle(self, line: bytes) -> None:
        if not self.answered:
            self.answered, self.on_cancel = True, None
            self._peer._forget(self)
            self._peer.send(line)
            if self._peer.on_answered is not None:
                self._peer.on_answered()


_NOTHING = (b"", b"null")
OnRequest = Callable[[Incoming], None]
OnNotification = Callable[[str, Raw], None]


class Peer:
    """This end of one connection. `send` writes one line, newline included, and never waits."""

    def __init__(
        self, send: Callable[[bytes], None], on_request: OnRequest, on_notification: OnNotification
    ) -> None:
        self.send = send
        self.rubbish = 0
        self.on_rubbish: Callable[[str], None] | None = None
        self.on_answered: Callable[[], None] | None = None
        self._on_request = on_request
        self._on_notification = on_notification
        self._waiting: dict[int, Sink] = {}
        self._asked: dict[bytes, Incoming] = {}
        self._next_id = 0
        self._closed: Unanswered | None = None

    # --- to the other side ---------------------------------------------------------------------

    def next_id(self) -> int:
        """The id that the next request will have: it also serves as its progress token."""
        return self._next_id + 1

    def post(self, method: str, params: bytes | Raw, sink: Sink) -> int:
        """Send a request whose outcome goes to `sink`; the id is for `withdraw`."""
        if self._closed is not None:
            sink.lost(self._closed)
            return 0
        self._next_id += 1
        self._waiting[self._next_id] = sink
        self.send(message_line(method, params, self._next_id))
        return self._next_id

    def notify(self, method: str, params: bytes | Raw = b"") -> None:
        """Send a notification; nobody answers it."""
        if self._closed is None:
            self.send(message_line(method, params))

    def withdraw(self, request_id: int, reason: str = "") -> None:
        """Tell the other side that an answer is no longer wanted; the sink hears nothing more."""
        if self._waiting.pop(request_id, None) is not None:
            params = {"requestId": request_id, **({"reason": reason} if reason else {})}
            self.notify("notifications/cancelled", encode(params))

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_progress: Callable[[Fields], None] | None = None,
        cancellable: bool = True,
    ) -> Raw:
        """Send a request and wait for its encoded result. Cancelling the caller tells the other side.

        Raises:
            RpcError: the other side's own error.
            Unanswered: the connection ended, or the answer was broken.
        """
        encoded = encode(params) if params is not None else b""
        return await self.ask(method, encoded, on_progress=on_progress, cancellable=cancellable)

    async def ask(
        self,
        method: str,
        params: bytes | Raw,
        *,
        on_progress: Callable[[Fields], None] | None = None,
        cancellable: bool = True,
    ) -> Raw:
        """As `request`, with encoded parameters."""
        waiter = _Waiter(on_progress)
        request_id = self.post(method, params, waiter)
        try:
            return await waiter.outcome
        except asyncio.CancelledError:
            if cancellable:
                self.withdraw(request_id)
            else:
                self._waiting.pop(request_id, None)
            raise

    # --- from the other side -------------------------------------------------------------------

    def receive(self, line: bytes) -> None:
        """Take one line, without its newline."""
        message = parse(line)
        if isinstance(message, Envelope):
            self._take(message)
        elif isinstance(message, Broken):
            self._fail(message)
        else:
            self._note_rubbish(message)

    def _take(self, message: Envelope) -> None:
        if not message.method:
            self._settle(message)
        elif bytes(message.id) not in _NOTHING:
            incoming = Incoming(self, bytes(message.id), message.method, message.params)
            self._asked[incoming.id] = incoming
            self._on_request(incoming)
        elif message.method == "notifications/progress":
            self._progress(message.params)
        elif message.method == "notifications/cancelled":
            self._cancel(message.params)
        else:
            self._on_notification(message.method, message.params)

    def _settle(self, message: Envelope) -> None:
        sink = self._waiting.pop(_own_id(message.id), None)
        if sink is None:  # it was withdrawn, answered before, or never asked
            return
        # Some peers write `"error": null` beside a result, and `"id": null` into a notification.
        if bytes(message.error) not in _NOTHING or not bytes(message.result):
            sink.refused(RpcError.read(message.error))
        else:
            sink.replied(message.result)

    def _progress(self, params: Raw) -> None:
        fields = _fields(params)
        sink = self._waiting.get(_own_id(fields.get(PROGRESS_TOKEN)))
        if sink is not None:
            sink.progressed(fields)

    def _cancel(self, params: Raw) -> None:
        incoming = self._asked.pop(bytes(_fields(params).get("requestId", b"")), None)
        if incoming is not None and not incoming.answered:
            incoming.answered = True
            if incoming.on_cancel is not None:
                incoming.on_cancel()

    def _fail(self, broken: Broken) -> None:
        """End the request in the peer's place, or all of them where it cannot be told which it was."""
        if broken.asks:
            if broken.id is None:
                self._note_rubbish(Rubbish(broken.reason))
            else:
                self.send(error_line(broken.id, RpcError(PARSE_ERROR, f"The peer {broken.reason}")))
            return
        failed: list[Sink] = []
        if broken.id is None:
            failed, self._waiting = list(self._waiting.values()), {}
        elif sink := self._waiting.pop(_own_id(broken.id), None):
            failed = [sink]
        for sink in failed:
            sink.lost(BrokenAnswer(broken.reason))

    def answer_broken(self, request_id: int | str | None, error: BrokenAnswer) -> None:
        """In the place of an answer that a transport below could not read."""
        sink = self._waiting.pop(_own_id(str(request_id).encode()), None)
        if sink is not None:
            sink.lost(error)

    def _note_rubbish(self, rubbish: Rubbish) -> None:
        self.rubbish += 1
        if self.on_rubbish is not None:
            self.on_rubbish(rubbish.text)

    def _forget(self, incoming: Incoming) -> None:
        if self._asked.get(incoming.id) is incoming:
            del self._asked[incoming.id]

    def owes(self) -> list[Incoming]:
        """The requests of the other side that are not answered yet."""
        return list(self._asked.values())

    def close(self, error: Unanswered | None = None) -> None:
        """The connection is over: everyone who waits is told, on either side."""
        if self._closed is not None:
            return
        self._closed = error or ConnectionLost("the connection was closed")
        waiting, self._waiting = self._waiting, {}
        asked, self._asked = self._asked, {}
        for incoming in asked.values():
            if not incoming.answered:
                incoming.answered = True
                if incoming.on_cancel is not None:
                    incoming.on_cancel()
        for sink in waiting.values():
            sink.lost(self._closed)


class _Waiter:
    """A sink that somebody awaits."""

    def __init__(self, on_progress: Callable[[Fields], None] | None) -> None:
        self.outcome: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._on_progress = on_progress

    def replied(self, result: Raw) -> None:
        if not self.outcome.done():
            self.outcome.set_result(result)

    def refused(self, error: RpcError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def lost(self, error: Unanswered) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def progressed(self, fields: Fields) -> None:
        if self._on_progress is not None:
            self._on_progress(fields)


def _own_id(raw: Raw | bytes | None) -> int:
    """An id that we gave; some peers answer request 7 as "7". 0 is none."""
    text = bytes(raw or b"").strip(b'"')
    return int(text) if text.isdigit() and len(text) < 19 else 0


def _fields(params: Raw) -> Fields:
    try:
        return fields_of(params)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def params_of(incoming: Incoming) -> Fields:
    """The parameters of a request.

    Raises: RpcError: they are no object.
    """
    try:
        return fields_of(incoming.params)
    except (ValueError, RecursionError):
        raise RpcError(INVALID_REQUEST, "The parameters are no object") from None
