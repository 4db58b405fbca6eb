"""Runs War Room for the host on stdin and stdout until it leaves or a signal asks it to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from warroom_mcp.loops import name_asyncio
from warroom_mcp.server.front import Front, is_empty
from warroom_mcp.server.stdio import HostPipes
from warroom_mcp.wire.codec import RpcError, value_of
from warroom_mcp.wire.peer import ConnectionLost
from warroom_mcp.wire.protocol import INTERNAL_ERROR

if TYPE_CHECKING:
    from warroom_mcp.server.gateway import Gateway

LAST_ANSWERS = 1.0
"""Seconds after the end of input in which requests that were read before it may still be answered."""
LAST_LOADING = 10.0
"""Seconds that the gateway may still take to load for them."""
_logger = logging.getLogger(__name__)
# Answered when the host leaves, and not before.
_STANDING = frozenset({"subscriptions/listen"})

MakeGateway = Callable[[], "Gateway"]


async def serve_stdio(home: str, make: MakeGateway) -> None:
    """Serve one host on stdin and stdout; returns at end of input, SIGTERM or SIGINT.

    `home` is the state directory; `make` is called, in a thread, when the gateway is first needed.
    """
    name_asyncio()
    over, wanted = asyncio.Event(), asyncio.Event()
    _on_signals(over.set)
    front: Front
    with HostPipes(lambda data: front.feed(data), over.set) as pipes:
        front = Front(
            pipes.send, wanted.set, is_empty=lambda: is_empty(home), brought=lambda: remembered(home)
        )
        gateway = asyncio.create_task(_when_wanted(wanted, front, make))
        await over.wait()
        await _last_answers(front)
        gateway.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gateway
        front.peer.close(ConnectionLost("the host has left"))


async def _when_wanted(wanted: asyncio.Event, front: Front, make: MakeGateway) -> None:
    await wanted.wait()
    try:
        gateway = await to_thread.run_sync(make)
        async with anyio.create_task_group() as tasks:
            await tasks.start(gateway.run)
            front.ready(gateway)
    except Exception as error:  # whatever keeps it from running, its host is to read it
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        _logger.error("the gateway does not run: %s", error)
        front.failed(_told(error))


def _told(error: Exception) -> RpcError:
    shape = getattr(error, "to_dict", None)
    return RpcError(INTERNAL_ERROR, f"War Room cannot start: {error}", shape() if shape else None)


async def _last_answers(front: Front) -> None:
    """The host sent no more: what it asked before is still answered, if that does not take long."""
    answered = asyncio.Event()
    front.peer.on_answered = answered.set
    with anyio.move_on_after(LAST_LOADING):
        await front.settled()
    with anyio.move_on_after(LAST_ANSWERS):
        while any(one.method not in _STANDING for one in front.peer.owes()):
            await answered.wait()
            answered.clear()


def _on_signals(stop: Callable[[], None]) -> None:
    # Not every platform has them; there the end of input is the only way out.
    with contextlib.suppress(NotImplementedError):
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)


def remembered(home: str) -> dict[str, Any]:
    """What children brought to the capabilities the last time: the first answer does not wait for them."""
    try:
        with open(f"{home}/brought.json", "rb") as file:
            value = value_of(file.read())
    except OSError:
        return {}
    return value if isinstance(value, dict) else {}
