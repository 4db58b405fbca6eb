"""The host's end of stdio: readiness instead of worker threads, so that it can be cancelled at once.

The SDK reads in a thread that sits in `read()` until the host writes or leaves, and each message costs
several hops between threads. Here the event loop waits for the descriptor itself.
"""

import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from warroom_mcp.framing import LineSplitter, LineTooLong

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
_CHUNK = 64 * 1024


@asynccontextmanager
async def host_stdio(max_message_bytes: int) -> AsyncIterator[Streams]:
    """The stream pair to the host on stdin and stdout.

    While entered, descriptor 0 is empty and descriptor 1 leads to stderr: what children or libraries
    print by mistake never reaches the host. Ends by itself when the host closes our stdin.
    """
    wire_in, wire_out = _divert(0, os.devnull), _divert(1, None)
    to_session, from_host = anyio.create_memory_object_stream[SessionMessage | Exception](16)
    to_host, from_session = anyio.create_memory_object_stream[SessionMessage](16)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, wire_in, to_session, max_message_bytes)
            tasks.start_soon(_write, wire_out, from_session)
            yield from_host, to_host
            tasks.cancel_scope.cancel()
    finally:
        for stream in (to_session, from_host, to_host, from_session):
            stream.close()
        _restore(0, wire_in)
        _restore(1, wire_out)


async def _read(
    wire: int, to_session: MemoryObjectSendStream[SessionMessage | Exception], limit: int
) -> None:
    lines = LineSplitter(limit)
    with to_session, suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for chunk in _chunks(wire):
            for line in lines.feed(chunk):
                if isinstance(line, LineTooLong):
                    await to_session.send(line)
                elif line.strip():
                    await to_session.send(_message(line))


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


async def _write(wire: int, from_session: MemoryObjectReceiveStream[SessionMessage]) -> None:
    if _private_pipe(wire):
        os.set_blocking(wire, False)
    # A host that has gone reads no more: its end of input ends the server.
    with from_session, suppress(BrokenPipeError, ConnectionError):
        async for item in from_session:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            await _send(wire, text.encode("utf-8", "replace") + b"\n")


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
