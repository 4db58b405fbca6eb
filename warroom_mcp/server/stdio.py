"""The host's end of stdio: readiness instead of worker threads, so that it can be cancelled at once.

The SDK reads in a thread that sits in `read()` until the host writes or leaves, and each message costs
several hops between threads. Here the event loop waits for the descriptor itself.
"""

import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from warroom_mcp.framing import LineSplitter, LineTooLong

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
_CHUNK = 64 * 1024
LAST_ANSWERS = 1.0
"""Seconds after the end of input in which requests that were read before it may still be answered."""
# Answered when the host leaves, and not before.
_STANDING = frozenset({"subscriptions/listen"})


@asynccontextmanager
async def host_stdio(max_message_bytes: int) -> AsyncIterator[Streams]:
    """The stream pair to the host on stdin and stdout.

    While entered, descriptor 0 is empty and descriptor 1 leads to stderr: what children or libraries
    print by mistake never reaches the host. Ends by itself when the host closes our stdin.
    """
    wire_in, wire_out = _divert(0, os.devnull), _divert(1, None)
    to_session, from_host = anyio.create_memory_object_stream[SessionMessage | Exception](16)
    to_host, from_session = anyio.create_memory_object_stream[SessionMessage](16)
    owed = Owed()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, wire_in, to_session, max_message_bytes, owed)
            tasks.start_soon(_write, wire_out, from_session, owed)
            yield from_host, to_host
            tasks.cancel_scope.cancel()
    finally:
        for stream in (to_session, from_host, to_host, from_session):
            stream.close()
        _restore(0, wire_in)
        _restore(1, wire_out)


class Owed:
    """The requests that were read and not answered yet."""

    def __init__(self) -> None:
        self._ids: set[str | int] = set()
        self._settled = anyio.Event()

    def read(self, message: JSONRPCMessage) -> None:
        """A message came from the host."""
        match message:
            case JSONRPCRequest() if message.method not in _STANDING:
                self._ids.add(message.id)
            case JSONRPCNotification(method="notifications/cancelled"):
                self._settle((message.params or {}).get("requestId"))

    def written(self, message: JSONRPCMessage) -> None:
        """A message has gone to the host."""
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._settle(message.id)

    async def nothing(self) -> None:
        """Return when every request is answered."""
        while self._ids:
            await self._settled.wait()

    def _settle(self, request_id: Any) -> None:
        if isinstance(request_id, str | int):
            self._ids.discard(request_id)
        self._settled.set()
        self._settled = anyio.Event()


async def _read(
    wire: int, to_session: MemoryObjectSendStream[SessionMessage | Exception], limit: int, owed: Owed
) -> None:
    lines = LineSplitter(limit)
    with to_session, suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for chunk in _chunks(wire):
            for line in lines.feed(chunk):
                if isinstance(line, LineTooLong):
                    await to_session.send(line)
                elif line.strip():
                    message = _message(line)
                    if isinstance(message, SessionMessage):
                        owed.read(message.message)
                    await to_session.send(message)
        # The session drops what it works on when its input ends: a script that pipes requests in and
        # closes the pipe would be left without its last answers.
        with anyio.move_on_after(LAST_ANSWERS):
            await owed.nothing()


async def _chunks(wire: int) -> AsyncIterator[bytes]:
    waits = True
    while True:
        if waits:
            try:
                await anyio.wait_readable(wire)
            except PermissionError:
                # Files and the null device have no readiness, and never block for long.
                waits = False
        chunk = os.read(wire, _CHUNK)
        if not chunk:
            return
        yield chunk


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _write(wire: int, from_session: MemoryObjectReceiveStream[SessionMessage], owed: Owed) -> None:
    if _private_pipe(wire):
        os.set_blocking(wire, False)
    # A host that has gone reads no more: its end of input ends the server.
    with from_session, suppress(BrokenPipeError, ConnectionError):
        async for item in from_session:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            await _send(wire, text.encode("utf-8", "replace") + b"\n")
            owed.written(item.message)


async def _send(wire: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(wire, view) :]
        except BlockingIOError:
            await anyio.wait_writable(wire)


def _private_pipe(wire: int) -> bool:
    """Whether blocking mode is ours to change; a terminal or file shares it with other processes."""
    mode = os.fstat(wire).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _divert(fd: int, to: str | None) -> int:
    """Move a standard descriptor out of everyone's reach; in its place comes `to`, or stderr."""
    (sys.stdin if fd == 0 else sys.stdout).flush()
    wire = os.dup(fd)
    os.set_inheritable(wire, False)
    target = os.open(to, os.O_RDONLY) if to else os.dup(2)
    os.dup2(target, fd)
    os.close(target)
    return wire


def _restore(fd: int, wire: int) -> None:
    os.dup2(wire, fd)
    os.close(wire)
