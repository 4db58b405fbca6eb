"""One running child: started, asked what it offers, called, and watched until its end, by one task."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import anyio
from anyio.abc import TaskStatus
from msgspec import Raw

from warroom_mcp.errors import (
    CallTimeout,
    ChildGone,
    ChildProtocolError,
    InvalidArguments,
    StartFailed,
    StartTimeout,
    WarRoomError,
)
from warroom_mcp.manager.handshake import Met, OtherEra, envelope, meet
from warroom_mcp.manager.link import Link, OpenLink
from warroom_mcp.manager.listing import KINDS, Listing, list_offers
from warroom_mcp.models import Definitions, Speech
from warroom_mcp.settings import Settings
from warroom_mcp.wire.codec import Fields, RpcError, encode, fields_of, value_of
from warroom_mcp.wire.peer import BrokenAnswer, ConnectionLost, Incoming, Peer, Sink, Unanswered
from warroom_mcp.wire.protocol import OF_ONE_HOP, PROGRESS_TOKEN

LONGEST_CALL = 3600.0
"""Seconds after which a call ends whatever progress it reports; the specification asks for such a bound."""
SETTLE = 0.1
"""Seconds in which further changes count as the same one."""
RELIST_INTERVAL = 1.0
"""Seconds between two listings, however often a child announces changes."""
END_DEADLINE = 2.0
"""Seconds that a failed call waits to learn why the child is gone."""
PING_DEADLINE = 5.0
"""Seconds in which a child that let a call time out shows that it is alive."""

_PROGRESS = PROGRESS_TOKEN.encode()
_CHANGES = {
    "notifications/tools/list_changed": frozenset({"tools"}),
    "notifications/prompts/list_changed": frozenset({"prompts"}),
    "notifications/resources/list_changed": frozenset({"resources", "templates"}),
}
OnChanged = Callable[[Definitions, frozenset[str]], Awaitable[None]]


class Owner:
    """Who hears what a child asks and tells by itself; the one that hears nothing refuses."""

    def began(self, child: Child) -> None:
        """The child is ready."""

    def asked(self, child: Child, incoming: Incoming) -> None:
        """The child asks something of its client."""
        incoming.fail(RpcError(-32601, f"Nobody here answers {incoming.method[:80]}"))

    def told(self, child: Child, method: str, params: Raw) -> None:
        """The child tells something that is not about its lists."""


class Child:
    """A child from start to end. `run` is its task; everything else may be called from anywhere.

    `definitions` and `met` hold what it said last; `failure` why it ended, None as long as it runs or when
    it was stopped on purpose; `over` is set when its task is done. `speech` is how it is spoken to at
    first; `only` says that it is known to speak nothing else.
    """

    def __init__(
        self,
        name: str,
        open_link: OpenLink,
        settings: Settings,
        *,
        speech: Speech | None = None,
        only: bool = False,
        owner: Owner | None = None,
        on_changed: OnChanged | None = None,
    ) -> None:
        self.name = name
        self.definitions = Definitions()
        self.notes: tuple[str, ...] = ()
        self.met: Met | None = None
        self.failure: WarRoomError | None = None
        self.over = anyio.Event()
        self.farewell = "It has ended."
        self.in_use = 0
        self.log_level: str | None = None
        self.used = time.monotonic()
        self._open_link = open_link
        self._settings = settings
        self.speech = speech or Speech()
        self._only = only
        self._owner = owner or Owner()
        self._on_changed = on_changed
        self._link: Link | None = None
        self._peer: Peer | None = None
        self._asked = False
        self._ending = anyio.Event()
        self._changed_kinds: set[str] = set()
        self._changed = anyio.Event()
        self._watched: frozenset[str] = frozenset()
        self._listening: anyio.CancelScope | None = None

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self._peer is not None and not self._ending.is_set()

    @property
    def modern(self) -> bool:
        """Whether it speaks the era without a handshake."""
        return self.met is not None and self.met.modern

    @property
    def pid(self) -> int | None:
        """Its process id; None for a remote, or when it does not run."""
        return self._link.pid if self._link and not self.over.is_set() else None

    @property
    def rubbish(self) -> int:
        """How many lines that are no messages it has printed."""
        return self._link.peer.rubbish if self._link else 0

    def stop(self, farewell: str = "It was stopped.") -> None:
        """Ask it to end, and say why; `over` tells when it has."""
        self._asked, self.farewell = True, farewell
        self._ending.set()

    # --- the task ----------------------------------------------------------------------------

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Its whole life: ready when `task_status` says so, over when this returns.

        Raises:
            StartFailed, StartTimeout, ChildProtocolError: before it was ready; later nothing is raised.
        """
        try:
            await self._live(self.speech, task_status)
        except OtherEra as refused:
            await self._in_the_other_era(task_status, refused)
        except Exception as error:  # a child's end must never be the gateway's
            self._note(error)
        finally:
            self._over()

    async def _in_the_other_era(self, task_status: TaskStatus[None], refused: OtherEra) -> None:
        other = Speech(not self.speech.modern, self.speech.capabilities)
        self._only = True
        try:
            await self._live(other, task_status)
        except OtherEra as error:
            raise self._explain(error) from error
        except Exception as error:
            told = refused.__cause__
            if isinstance(told, RpcError) and isinstance(_innermost(error), RpcError):
                error = told  # it knows this era even less: what it said in its own is the reason
            self._note(error)

    def _note(self, error: Exception) -> None:
        failure = self._explain(_innermost(error))
        if not self._was_ready:
            raise failure from error
        self.failure = None if self._asked else failure

    def _over(self) -> None:
        self._peer = None
        self._ending.set()
        self.over.set()

    async def _live(self, speech: Speech, task_status: TaskStatus[None]) -> None:
        """One connection from opening to closing."""
        # One scope around everything, opened up when the child is ready: a scope around the entering
        # alone would be left while the task groups of the connection still stand in it.
        with anyio.CancelScope(deadline=anyio.current_time() + self._settings.start_deadline) as scope:
            try:
                async with self._open_link(self._was_asked, self._heard) as link:
                    self._link = link
                    self.met = await self._meet(link, speech)
                    link.speaks(self.met.version)
                    scope.deadline = anyio.current_time() + self._settings.list_deadline
                    await self._introduce(link)
                    scope.deadline = math.inf
                    link.ready = True
                    self._peer = link.peer
                    self.used = time.monotonic()
                    self._owner.began(self)
                    task_status.started()
                    await self._until_over(link)
                    self._peer = None
                    # A remote server is told goodbye, and may not answer.
                    scope.deadline = anyio.current_time() + self._settings.stop_deadline
            except BaseExceptionGroup as group:
                if isinstance(error := _innermost(group), OtherEra):
                    raise error from error.__cause__
                raise
        if scope.cancelled_caught and not self._was_ready:
            raise self._late()
        if not self._asked and self._link is not None:
            self.failure = self._link.refusal() or self._gone()

    async def _meet(self, link: Link, speech: Speech) -> Met:
        try:
            return await meet(link.peer, speech, only=self._only)
        except ConnectionLost as error:
            if speech.modern and not self._only and link.pid is not None:
                # Some programs exit at a first request that they do not know: the usual one comes first then.
                raise OtherEra from error
            raise

    async def _introduce(self, link: Link) -> None:
        assert self.met is not None
        self._changed_kinds.clear()
        blank = Definitions(
            instructions=self.met.instructions,
            protocol_version=self.met.version,
            capabilities=self.met.capabilities,
        )
        listing = await list_offers(self._ask_for_list, self.met.capabilities, KINDS, blank)
        self._accept(link, listing)

    async def _ask_for_list(self, method: str, params: Mapping[str, Any]) -> Raw:
        assert self._link is not None
        return await self._link.peer.request(method, self._stamped(params))

    def _stamped(self, params: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Parameters of a request of our own, with what the child's era demands."""
        if not self.modern:
            return dict(params) if params else None
        own = dict(params or {})
        return {**own, "_meta": {**own.get("_meta", {}), **envelope(self.speech.capabilities)}}

    def _accept(self, link: Link, listing: Listing) -> None:
        assert self.met is not None
        left_out = link.speaks(self.met.version, listing.definitions.tools)
        notes = [f"the tool {name!r} was left out: {why}" for name, why in left_out.items()]
        self.definitions = listing.without_tools(left_out)
        self.notes = (*listing.notes, *notes)

    async def _until_over(self, link: Link) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._notice_end, link)
            tasks.start_soon(self._follow_changes, link)
            if self.modern:
                tasks.start_soon(self._listen, link)
            await self._ending.wait()
            tasks.cancel_scope.cancel()

    async def _notice_end(self, link: Link) -> None:
        await link.closed.wait()
        await link.autopsy()
        self._ending.set()

    @property
    def _was_ready(self) -> bool:
        return self._link is not None and self._link.ready

    # --- what it says by itself ----------------------------------------------------------------

    def _was_asked(self, incoming: Incoming) -> None:
        if incoming.method == "ping":
            incoming.answer(b"{}")
        elif self.modern:
            incoming.fail(RpcError(-32601, "Servers of this revision ask within their results"))
        else:
            self._owner.asked(self, incoming)

    def _heard(self, method: str, params: Raw) -> None:
        if kinds := _CHANGES.get(method):
            self._changed_kinds |= kinds
            self._changed.set()
        elif self._was_ready:
            self._owner.told(self, method, params)

    async def _follow_changes(self, link: Link) -> None:
        while True:
            await self._changed.wait()
            await anyio.sleep(SETTLE)
            self._changed = anyio.Event()
            kinds, self._changed_kinds = frozenset(self._changed_kinds), set()
            if kinds:
                await self._relist(link, kinds)
                await anyio.sleep(RELIST_INTERVAL)

    async def _relist(self, link: Link, kinds: Collection[str]) -> None:
        assert self.met is not None
        before = self.definitions
        with anyio.move_on_after(self._settings.list_deadline) as scope, contextlib.suppress(Unanswered):
            try:
                listing = await list_offers(self._ask_for_list, self.met.capabilities, kinds, before)
            except ChildProtocolError as error:
                self.notes = (*self.notes[-4:], error.message)
                return
            self._accept(link, listing)
        changed = frozenset(
            kind for kind in KINDS if getattr(before, kind) != getattr(self.definitions, kind)
        )
        if changed and self._on_changed is not None and not scope.cancelled_caught:
            await self._on_changed(self.definitions, changed)

    async def _listen(self, link: Link) -> None:
        """A modern child announces changes only to those who listen; what they hear reaches `_heard`."""
        while True:
            filters = self._filters(self._watched)
            with anyio.CancelScope() as self._listening:
                if filters:
                    params = self._stamped({"notifications": filters})
                    with contextlib.suppress(RpcError, Unanswered):  # it can be used without
                        await link.peer.request("subscriptions/listen", params)
                        # It ended the stream in good order, and may be listened to again.
                        await anyio.sleep(RELIST_INTERVAL)
                        continue
                await anyio.sleep_forever()

    def _filters(self, watched: Collection[str]) -> dict[str, Any]:
        offers = self.met.capabilities if self.met else {}
        filters: dict[str, Any] = {}
        for kind in ("tools", "prompts", "resources"):
            offer = offers.get(kind)
            if isinstance(offer, Mapping) and offer.get("listChanged"):
                filters[f"{kind}ListChanged"] = True
        return {**filters, "resourceSubscriptions": sorted(watched)} if watched else filters

    async def watch(self, uris: frozenset[str]) -> None:
        """Have it tell when one of these resources changes, and no longer of those that it told of before.

        Raises: RpcError, WarRoomError.
        """
        before = self._watched
        if self.modern:
            self._watched = uris
            if self._listening is not None and before != uris:
                self._listening.cancel()
            return
        for uri in sorted(uris - before):
            await self.request("resources/subscribe", {"uri": uri})
            self._watched |= {uri}
        self._watched = uris
        for uri in sorted(before - uris):
            with contextlib.suppress(RpcError, WarRoomError):
                await self.request("resources/unsubscribe", {"uri": uri})

    # --- requests ----------------------------------------------------------------------------

    def params(
        self,
        fields: Fields,
        *,
        capabilities: Mapping[str, Any],
        progress: bool,
        meta: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Encoded parameters of a host's request for this child's next message.

        What in `_meta` belongs to the host's own connection is left out, and what this connection's era
        demands is put in. `meta` is added to it.
        """
        given = fields.get("_meta")
        if given is None and not (self.modern or meta):
            # Most calls: nothing to take apart.
            body = encode(fields)
            if not progress or self._peer is None or not fields:
                return body
            return b'%b,"_meta":{"%b":%d}}' % (body[:-1], _PROGRESS, self._peer.next_id())
        kept: dict[str, Any] = {}
        if given is not None:
            try:
                kept = {k: v for k, v in fields_of(given).items() if k not in OF_ONE_HOP}
            except ValueError:
                kept = {}
        for key, value in (meta or {}).items():
            kept.setdefault(key, value)
        if self.modern:
            kept.update(envelope(capabilities))
        if progress and self._peer is not None:
            kept[PROGRESS_TOKEN] = self._peer.next_id()
        own: dict[str, Any] = {k: v for k, v in fields.items() if k != "_meta"}
        return encode({**own, "_meta": kept} if kept else own)

    def post(self, method: str, params: bytes, sink: Sink) -> int:
        """Send a request whose outcome goes to `sink`, which has to call `answered`; its id is returned."""
        assert self._peer is not None
        self.in_use += 1
        return self._peer.post(method, params, sink)

    def answered(self) -> None:
        """A request that was posted is over."""
        self.in_use -= 1
        self.used = time.monotonic()

    def withdraw(self, request_id: int, reason: str = "") -> None:
        """Tell it that an answer is no longer wanted."""
        if self._peer is not None:
            self._peer.withdraw(request_id, reason)

    def notify(self, method: str, params: bytes | Raw = b"") -> None:
        """Tell it something; a child that does not run is told nothing."""
        if self._peer is not None:
            self._peer.notify(method, params)

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, deadline: float | None = None
    ) -> dict[str, Any]:
        """Send one request and return the result. The deadline starts anew at each sign of progress.

        Raises:
            CallTimeout: no answer in time.
            ChildGone: it ended before it answered; the message has its last words.
            ChildProtocolError: its answer was no valid MCP.
            InvalidArguments: the parameters are no JSON.
            RpcError: the child's own error, as it came.
        """
        peer = self._peer
        if peer is None or not self.ready:
            raise self._gone()
        seconds = deadline or self._settings.call_deadline
        begun = anyio.current_time()
        stamped = self._stamped(params) or {}
        if method == "tools/call":
            stamped["_meta"] = {**stamped.get("_meta", {}), PROGRESS_TOKEN: peer.next_id()}
        self.in_use += 1
        try:
            with anyio.CancelScope(deadline=begun + seconds) as scope:

                def progressed(_: Fields) -> None:
                    scope.deadline = min(anyio.current_time() + seconds, begun + max(LONGEST_CALL, seconds))

                value = value_of(await peer.request(method, stamped or None, on_progress=progressed))
                if not isinstance(value, dict):
                    raise ChildProtocolError(
                        f"{self.name} answered {method} with something that is no object."
                    )
                return value
            raise CallTimeout(f"{self.name} did not answer {method} within {seconds:g} seconds.")
        except (TypeError, ValueError) as error:
            raise InvalidArguments(f"{self.name} could not be asked: {_first_line(error)}.") from error
        except Unanswered as error:
            raise await self.post_mortem(error) from error
        finally:
            self.answered()

    async def post_mortem(self, error: Unanswered) -> WarRoomError:
        """Why a request will not be answered, in the words of the error tree."""
        if isinstance(error, BrokenAnswer):
            return self._refusal() or self._broken(error)
        with anyio.move_on_after(END_DEADLINE):
            await self._ending.wait()
        return self._refusal() or self._gone()

    async def check(self) -> None:
        """After a call that timed out: a child that does not even answer a ping is wedged, and is ended."""
        method = "server/discover" if self.modern else "ping"
        try:
            await self.request(method, deadline=PING_DEADLINE)
        except CallTimeout:
            self.failure = ChildGone(f"{self.name} was ended: it answered neither a call nor a ping.")
            self._ending.set()
        except (RpcError, WarRoomError):
            pass

    def _refusal(self) -> WarRoomError | None:
        refusal = self._link.refusal() if self._link is not None else None
        if refusal is not None:
            self._ending.set()
        return refusal

    def _gone(self) -> WarRoomError:
        if self._asked:
            return ChildGone(f"{self.name} was stopped.")
        if self.failure is not None:
            return self.failure
        return ChildGone(f"{self.name} is gone: {self._link.reason() if self._link else 'it did not start'}.")

    # --- words for what went wrong -----------------------------------------------------------

    def _broken(self, error: BrokenAnswer) -> ChildProtocolError:
        message = f"{self.name} {error.reason}."
        if error.passing:
            return ChildProtocolError(message, hint="It may not last: try again in a while.", retryable=True)
        return ChildProtocolError(message)

    def _late(self) -> StartTimeout:
        words = self._link.last_words() if self._link else ""
        said = f" Its last words: {words}" if words else ""
        if self.met is None:
            return StartTimeout(
                f"{self.name} was not ready in {self._settings.start_deadline:g} seconds.{said}"
            )
        return StartTimeout(
            f"{self.name} did not list what it offers in {self._settings.list_deadline:g} seconds.{said}"
        )

    def _explain(self, error: BaseException) -> WarRoomError:
        link = self._link
        if link is not None and (refusal := link.refusal()) is not None:
            return refusal
        if isinstance(error, WarRoomError):
            return error
        if isinstance(error, BrokenAnswer):
            return self._broken(error)
        if isinstance(error, Unanswered):
            reason = link.reason() if link is not None else _first_line(error)
            return StartFailed(f"{self.name} stopped while it was starting: {reason}.")
        if isinstance(error, RpcError):
            return StartFailed(f"{self.name} refused to start: {_first_line(error)} (code {error.code}).")
        if isinstance(error, OtherEra):
            return ChildProtocolError(f"{self.name} refuses both ways to begin a conversation.")
        return StartFailed(f"{self.name} failed: {type(error).__name__}: {_first_line(error)}.")


def _innermost(error: BaseException) -> BaseException:
    """The first error inside of groups: task groups wrap whatever passes through them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
