"""One running child: started, asked what it offers, called, and watched until its end, by one task.

Imports the SDK, so it is imported itself when the first child starts.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import anyio
import httpx2
import mcp_types as types
from anyio.abc import TaskStatus
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from warroom_mcp import sdk
from warroom_mcp.errors import (
    CallTimeout,
    ChildGone,
    ChildProtocolError,
    StartFailed,
    StartTimeout,
    WarRoomError,
)
from warroom_mcp.manager.listing import KINDS, Listing, list_offers
from warroom_mcp.manager.stdio import BrokenAnswer
from warroom_mcp.models import Definitions
from warroom_mcp.settings import Settings

LONGEST_CALL = 3600.0
"""Seconds after which a call ends whatever progress it reports; the specification asks for such a bound."""
SETTLE = 0.1
"""Seconds in which further changes count as the same one."""
RELIST_INTERVAL = 1.0
"""Seconds between two listings, however often a child announces changes."""
END_DEADLINE = 2.0
"""Seconds that a failed call waits to learn why the child is gone."""

_OTHER_ERA = frozenset(
    {types.METHOD_NOT_FOUND, types.INVALID_REQUEST, types.INVALID_PARAMS, types.UNSUPPORTED_PROTOCOL_VERSION}
)
"""How servers of the modern era refuse `initialize`."""

OnChanged = Callable[[Definitions, frozenset[str]], Awaitable[None]]


class Link(Protocol):
    """A connection to a child; `StdioLink` and `RemoteLink` are such."""

    closed: anyio.Event
    ready: bool
    rubbish: int

    @property
    def pid(self) -> int | None: ...
    def transport(self) -> AbstractAsyncContextManager[Any]: ...
    def refusal(self) -> WarRoomError | None: ...
    def reason(self) -> str: ...
    def last_words(self) -> str: ...
    async def autopsy(self) -> None: ...


OpenLink = Callable[[], AbstractAsyncContextManager[Link]]


class Child:
    """A child from start to end. `run` is its task; everything else may be called from anywhere.

    `definitions` and `protocol_version` hold what it said last; `failure` why it ended, None as long as it
    runs or when it was stopped on purpose; `over` is set when its task is done.
    """

    def __init__(
        self,
        name: str,
        open_link: OpenLink,
        settings: Settings,
        *,
        modern: bool = False,
        on_changed: OnChanged | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.definitions = Definitions()
        self.notes: tuple[str, ...] = ()
        self.protocol_version: str | None = None
        self.failure: WarRoomError | None = None
        self.over = anyio.Event()
        self._open_link = open_link
        self._settings = settings
        self._modern = modern
        self._on_changed = on_changed
        self._client_options = dict(client_options or {})
        self._link: Link | None = None
        self._session: ClientSession | None = None
        self._asked = False
        self._ending = anyio.Event()
        self._changed_kinds: set[str] = set()
        self._changed = anyio.Event()

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self._session is not None and not self._ending.is_set()

    @property
    def pid(self) -> int | None:
        """Its process id; None for a remote, or when it does not run."""
        return self._link.pid if self._link and not self.over.is_set() else None

    @property
    def rubbish(self) -> int:
        """How many lines that are no messages it has printed."""
        return self._link.rubbish if self._link else 0

    def stop(self) -> None:
        """Ask it to end; `over` tells when it has."""
        self._asked = True
        self._ending.set()

    # --- the task ----------------------------------------------------------------------------

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Its whole life: ready when `task_status` says so, over when this returns.

        Raises:
            StartFailed, StartTimeout, ChildProtocolError: before it was ready; later nothing is raised.
        """
        try:
            if self._modern or not await self._live("legacy", task_status):
                await self._live("auto", task_status)
        except Exception as error:  # a child's end must never be the gateway's
            failure = self._explain(_innermost(error))
            if not self._was_ready:
                raise failure from error
            self.failure = None if self._asked else failure
        finally:
            self._session = None
            self._ending.set()
            self.over.set()

    async def _live(self, mode: str, task_status: TaskStatus[None]) -> bool:
        """One connection from opening to closing; False if the child wants the other protocol era."""
        # One scope around everything, opened up when the child is ready: a scope around the entering
        # alone would be left while the task groups of the client still stand in it.
        with anyio.CancelScope(deadline=anyio.current_time() + self._settings.start_deadline) as scope:
            try:
                async with self._open_link() as link:
                    self._link = link
                    async with self._client(link, mode) as client:
                        scope.deadline = anyio.current_time() + self._settings.list_deadline
                        await self._introduce(client)
                        scope.deadline = math.inf
                        link.ready = True
                        self._session = client.session
                        task_status.started()
                        await self._until_over(client, link)
                        self._session = None
                        # A remote server is told goodbye, and may not answer.
                        scope.deadline = anyio.current_time() + self._settings.stop_deadline
            except Exception as error:
                if mode == "legacy" and _wants_other_era(_innermost(error)):
                    return False
                raise
        if scope.cancelled_caught and not self._was_ready:
            raise self._late()
        if not self._asked and self._link is not None:
            self.failure = self._link.refusal() or self._gone()
        return True

    def _client(self, link: Link, mode: str) -> Client:
        return Client(
            link.transport(),
            mode=mode,
            cache=None,
            client_info=types.Implementation(name="war-room", version="0.1"),
            message_handler=self._hear,
            **self._client_options,
        )

    async def _introduce(self, client: Client) -> None:
        self.protocol_version = client.protocol_version
        self._changed_kinds.clear()
        listing = await list_offers(client.session, client.server_capabilities, KINDS)
        self._accept(client.session, listing)

    def _accept(self, session: ClientSession, listing: Listing) -> None:
        left_out = sdk.learn_headers(session, listing.definitions.tools)
        notes = [f"the tool {name!r} was left out: {why}" for name, why in left_out.items()]
        self.definitions = listing.without_tools(left_out)
        self.notes = (*listing.notes, *notes)

    async def _until_over(self, client: Client, link: Link) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._notice_end, link)
            tasks.start_soon(self._follow_changes, client)
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                tasks.start_soon(self._subscribe, client)
            await self._ending.wait()
            tasks.cancel_scope.cancel()

    async def _notice_end(self, link: Link) -> None:
        await link.closed.wait()
        await link.autopsy()
        self._ending.set()

    @property
    def _was_ready(self) -> bool:
        return self._link is not None and self._link.ready

    # --- changes -----------------------------------------------------------------------------

    async def _hear(self, message: object) -> None:
        """The SDK's message handler: what concerns us are the announcements of changed lists."""
        match message:
            case types.ToolListChangedNotification():
                kinds = {"tools"}
            case types.PromptListChangedNotification():
                kinds = {"prompts"}
            case types.ResourceListChangedNotification():
                kinds = {"resources", "templates"}
            case _:
                return
        self._changed_kinds |= kinds
        self._changed.set()

    async def _follow_changes(self, client: Client) -> None:
        while True:
            await self._changed.wait()
            await anyio.sleep(SETTLE)
            self._changed = anyio.Event()
            kinds, self._changed_kinds = frozenset(self._changed_kinds), set()
            if kinds:
                await self._relist(client, kinds)
                await anyio.sleep(RELIST_INTERVAL)

    async def _relist(self, client: Client, kinds: frozenset[str]) -> None:
        before = self.definitions
        with anyio.move_on_after(self._settings.list_deadline) as scope, contextlib.suppress(MCPError):
            try:
                listing = await list_offers(client.session, client.server_capabilities, kinds, before)
            except ChildProtocolError as error:
                self.notes = (*self.notes[-4:], error.message)
                return
            self._accept(client.session, listing)
        changed = frozenset(
            kind for kind in KINDS if getattr(before, kind) != getattr(self.definitions, kind)
        )
        if changed and self._on_changed is not None and not scope.cancelled_caught:
            await self._on_changed(self.definitions, changed)

    async def _subscribe(self, client: Client) -> None:
        """A modern child announces changes only to those who listen; the events reach `_hear` as well."""
        offers = client.server_capabilities
        wanted: dict[str, Any] = {
            "tools_list_changed": bool(offers.tools and offers.tools.list_changed),
            "prompts_list_changed": bool(offers.prompts and offers.prompts.list_changed),
            "resources_list_changed": bool(offers.resources and offers.resources.list_changed),
        }
        if not any(wanted.values()):
            return
        with contextlib.suppress(MCPError, SubscriptionLost):  # it can be used without
            async with client.listen(**wanted) as events:
                async for _ in events:
                    pass

    # --- requests ----------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_progress: sdk.OnProgress | None = None,
    ) -> dict[str, Any]:
        """Send one request and return the raw result. The deadline starts anew at each sign of progress.

        Raises:
            CallTimeout: no answer in time.
            ChildGone: it ended before it answered; the message has its last words.
            ChildProtocolError: its answer was no valid MCP.
            mcp.shared.exceptions.MCPError: the child's own error, as it came.
        """
        session = self._session
        if session is None or not self.ready:
            raise self._gone()
        deadline = self._settings.call_deadline
        begun = anyio.current_time()
        with anyio.CancelScope(deadline=begun + deadline) as scope:

            async def progressed(progress: float, total: float | None, message: str | None) -> None:
                scope.deadline = min(anyio.current_time() + deadline, begun + max(LONGEST_CALL, deadline))
                if on_progress is not None:
                    await on_progress(progress, total, message)

            listener = progressed if on_progress is not None or method == "tools/call" else None
            try:
                return await sdk.raw_request(session, method, params, on_progress=listener)
            except MCPError as error:
                failure = await self._failed_request(error)
                if failure is None:
                    raise
                raise failure from error
        raise CallTimeout(f"{self.name} did not answer {method} within {deadline:g} seconds.")

    async def _failed_request(self, error: MCPError) -> WarRoomError | None:
        """What an error of the SDK means here; None if it is the child's own."""
        if isinstance(error.data, BrokenAnswer):
            return ChildProtocolError(f"{self.name} {error.data.reason}.")
        link = self._link
        if link is not None and (refusal := link.refusal()) is not None:
            self._ending.set()
            return refusal
        if link is None:
            return None
        if link.pid is None and _unreadable(error):
            return ChildProtocolError(
                f"{self.name} sent an answer that cannot be read: {error.message[:300]}."
            )
        if not _connection_lost(error, remote=link.pid is None):
            return None
        if link.pid is None:
            self._ending.set()  # a session that the server gave up is opened anew at the next call
        with anyio.move_on_after(END_DEADLINE):
            await self._ending.wait()
        return link.refusal() or self._gone()

    def _gone(self) -> WarRoomError:
        if self._asked:
            return ChildGone(f"{self.name} was stopped.")
        if self.failure is not None:
            return self.failure
        return ChildGone(f"{self.name} is gone: {self._link.reason() if self._link else 'it did not start'}.")

    # --- words for what went wrong -----------------------------------------------------------

    def _late(self) -> StartTimeout:
        words = self._link.last_words() if self._link else ""
        said = f" Its last words: {words}" if words else ""
        if self.protocol_version is None:
            return StartTimeout(
                f"{self.name} was not ready in {self._settings.start_deadline:g} seconds.{said}"
            )
        return StartTimeout(
            f"{self.name} did not list what it offers in {self._settings.list_deadline:g} seconds.{said}"
        )

    def _explain(self, error: BaseException) -> WarRoomError:
        link = self._link
        if isinstance(error, WarRoomError):
            return error
        if link is not None and (refusal := link.refusal()) is not None:
            return refusal
        if isinstance(error, MCPError):
            return self._explain_protocol_error(error, link)
        if isinstance(error, httpx2.HTTPError):
            kind = ChildGone if self._was_ready else StartFailed
            return kind(f"{self.name} cannot be reached: {_first_line(error)}.", retryable=True)
        if isinstance(error, ValidationError | RuntimeError):
            return ChildProtocolError(f"{self.name} does not speak MCP as agreed: {_first_line(error)}.")
        return StartFailed(f"{self.name} failed: {type(error).__name__}: {_first_line(error)}.")

    def _explain_protocol_error(self, error: MCPError, link: Link | None) -> WarRoomError:
        if isinstance(error.data, BrokenAnswer):
            return ChildProtocolError(f"{self.name} {error.data.reason}.")
        if link is not None and _connection_lost(error, remote=link.pid is None):
            return StartFailed(f"{self.name} stopped while it was starting: {link.reason()}.")
        return StartFailed(f"{self.name} refused to start: {_first_line(error)} (code {error.code}).")


def _connection_lost(error: MCPError, *, remote: bool) -> bool:
    """Whether the SDK made this error itself; a child may use the same code for its own purposes."""
    if error.code == types.CONNECTION_CLOSED and error.message == "Connection closed":
        return True
    if not remote:
        return False
    session_lost = error.code == types.INVALID_REQUEST and error.message == "Session terminated"
    return session_lost or (error.code == types.CONNECTION_CLOSED and error.message.startswith("SSE stream"))


def _unreadable(error: MCPError) -> bool:
    """Whether the SDK's HTTP client could not take an answer."""
    own = ("Failed to parse", "Unexpected content type", "SSE stream failed")
    codes = (types.PARSE_ERROR, types.INVALID_REQUEST, types.CONNECTION_CLOSED)
    return error.code in codes and error.message.startswith(own)


def _wants_other_era(error: BaseException) -> bool:
    return (
        isinstance(error, MCPError) and error.code in _OTHER_ERA and not isinstance(error.data, BrokenAnswer)
    )


def _innermost(error: BaseException) -> BaseException:
    """The first error inside of groups: the client's task groups wrap whatever passes through them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
