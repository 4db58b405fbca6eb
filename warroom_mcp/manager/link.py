"""What a connection to a child is, whether over pipes or over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import anyio

from warroom_mcp.errors import WarRoomError
from warroom_mcp.wire.peer import OnNotification, OnRequest, Peer


class Link(Protocol):
    """One connection to a child, and what became of it; `StdioLink` and `RemoteLink` are such.

    `closed` is set when it ended from the other side. `ready` is set from outside once the child is.
    """

    peer: Peer
    closed: anyio.Event
    ready: bool

    @property
    def pid(self) -> int | None:
        """Of a local child."""

    def speaks(self, version: str, tools: Sequence[Mapping[str, Any]] = ()) -> dict[str, str]:
        """The agreed protocol version, and the tools of the child; returns those to leave out, with why."""

    def refusal(self) -> WarRoomError | None:
        """The error that everything on this connection fails with, if there is one."""

    def reason(self) -> str:
        """Why the connection is over, in words."""

    def last_words(self) -> str:
        """What the child said last, fit to be shown."""

    async def autopsy(self) -> None:
        """After `closed`: wait a moment for the reason."""


OpenLink = Callable[[OnRequest, OnNotification], AbstractAsyncContextManager[Link]]
