"""Large results: kept on a shelf of this session, and handed out as a beginning, an end, and a link."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from anyio import to_thread
from msgspec import Raw

from warroom_mcp.errors import ChildProtocolError, InvalidArguments, StateError, WarRoomError
from warroom_mcp.hosts import Abilities, abilities_of
from warroom_mcp.hosts.route import message_limit, page_limit, result_limit
from warroom_mcp.server import large
from warroom_mcp.server.caller import Host
from warroom_mcp.settings import Settings
from warroom_mcp.store.shelf import PAGE_BYTES, Shelf
from warroom_mcp.wire.codec import RpcError, encode, value_of
from warroom_mcp.wire.protocol import INVALID_PARAMS

READ_RESULT = large.READ_TOOL
"""What `use_tool` takes to read on in a large result: no listed tool, which would cost every host."""
MEDIA_BYTES = 4 * 1024 * 1024
"""Images and audio up to here pass: hosts do not count them as text."""
_logger = logging.getLogger(__name__)


class Shortener:
    """Shortens what is over the limit. The shelf is made with the first large result."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shelf: Shelf | None = None

    def limit(self, host: Host) -> int:
        """Bytes of a result that a host takes."""
        return result_limit(_abilities(host), self._settings.max_result_bytes)

    async def shorten(self, host: Host, method: str, result: Raw, *, has_output_schema: bool) -> bytes | None:
        """A shorter result, or None if this one is to pass as it is.

        Raises: ChildProtocolError: it can neither be shortened nor taken by the host.
        """
        try:
            short = await to_thread.run_sync(self._shortened, host, method, result, has_output_schema)
        except StateError as error:  # a full disk is no reason to lose a result
            _logger.warning("a large result could not be kept: %s", error)
            short = None
        if short is None and len(memoryview(result)) > message_limit(_abilities(host)):
            raise ChildProtocolError(
                "The result is larger than this host takes, and its tool promises it in one piece.",
                hint="Ask for less of it, if the tool has a parameter for that.",
            )
        return short

    def _shortened(self, host: Host, method: str, result: Raw, has_output_schema: bool) -> bytes | None:
        value = value_of(result)
        if not isinstance(value, dict):
            return None
        abilities = _abilities(host)
        short = large.shorten(
            method,
            value,
            self.limit(host),
            partial(self._opened().put, page_bytes=page_limit(abilities, PAGE_BYTES)),
            has_output_schema=has_output_schema,
            media_limit=min(MEDIA_BYTES, message_limit(abilities) // 2),
        )
        return encode(short) if short is not None else None

    def _opened(self) -> Shelf:
        if self._shelf is None:
            self._shelf = Shelf(self._settings.home / "results")
        return self._shelf

    async def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One page as a tool result.

        Raises: InvalidArguments, ResultGone.
        """
        kept, number = arguments.get("id"), arguments.get("page", 1)
        if not isinstance(kept, str) or not isinstance(number, int) or isinstance(number, bool):
            raise InvalidArguments(f"{READ_RESULT} needs the id of a result, and the number of a page.")
        page = await to_thread.run_sync(self._opened().page, kept, number)
        return large.page_result(page, kept)

    async def contents(self, kept: tuple[str, int], uri: str, *, modern: bool) -> dict[str, Any]:
        """One page as a resource.

        Raises: RpcError: there is no such result any more.
        """
        try:
            page = await to_thread.run_sync(self._opened().page, *kept)
        except WarRoomError as error:
            raise RpcError(INVALID_PARAMS if modern else -32002, error.message, {"uri": uri}) from error
        said = large.page_contents(page, uri)
        return {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **said} if modern else said

    async def aclose(self) -> None:
        """Throw everything away."""
        shelf, self._shelf = self._shelf, None
        if shelf is not None:
            await to_thread.run_sync(shelf.close)


def _abilities(host: Host) -> Abilities:
    return abilities_of(host.name, host.release)
