"""A request on its way through: from a host to a child, what the child asks meanwhile, and the result back.

Callbacks from end to end: a call of a child that is awake costs no task. Everything that has to wait
(waking, asking the host in mid-call, another round, a second try) gets one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup
from msgspec import Raw

from warroom_mcp.errors import CallTimeout, ChildGone, ChildProtocolError, WarRoomError
from warroom_mcp.loops import name_asyncio
from warroom_mcp.manager.child import LONGEST_CALL, Child
from warroom_mcp.manager.entry import uncertain
from warroom_mcp.server import asked
from warroom_mcp.server.call import Call
from warroom_mcp.server.caller import Caller, Host
from warroom_mcp.server.parking import Parking
from warroom_mcp.server.questions import OF_ONE_ROUND, Questions, over
from warroom_mcp.server.shortening import Shortener
from warroom_mcp.warroom import AsyncWarRoom
from warroom_mcp.wire import results
from warroom_mcp.wire.codec import Fields, RpcError, value_of
from warroom_mcp.wire.peer import Incoming, Unanswered
from warroom_mcp.wire.protocol import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    META_LOG_LEVEL,
)

SMALL = 16 * 1024
"""Bytes of a result that every host takes."""
MAX_TASKS = 10_000
"""Tasks whose servers are remembered; the oldest make room."""
SWEEP = 0.25
"""Seconds between two looks at who is late."""

_logger = logging.getLogger(__name__)


class Relay:
    """All calls in flight, by child. What is exposed was decided before: see `Toolbox.resolve`."""

    def __init__(
        self,
        war_room: AsyncWarRoom,
        tasks: TaskGroup,
        parking: Parking,
        shortener: Shortener,
        only_host: Callable[[], Host | None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.clock = loop.time
        self._loop = loop
        self._war_room = war_room
        self._tasks = tasks
        self._parking = parking
        self._shortener = shortener
        self._only_host = only_host
        self._seconds = war_room.settings.call_deadline
        self._questions = Questions(tasks, parking, war_room.settings.ask_deadline, self.extend)
        self._flying: dict[Child, dict[Call, None]] = {}
        self._tasks_of: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    # --- there ---------------------------------------------------------------------------------

    def forward(
        self, caller: Caller, server: str, method: str, fields: Fields, tool: str | None = None
    ) -> None:
        """Pass a request on; its caller is answered in time. `fields` are in the child's own names."""
        if self._parking.is_retry(caller):
            self._parking.resume(caller)
            return
        call = Call(self, caller, server, method, fields, tool)
        child = self._war_room.line(server, caller.speech)
        if child is not None:
            self._send(call, child)
        else:
            self.work(call, self._wake_and_send)

    def _send(self, call: Call, child: Child) -> None:
        caller = call.caller
        if not child.modern and not call.fields.keys().isdisjoint(OF_ONE_ROUND):
            # Not one of ours, or no longer: a child with a handshake gave out none.
            call.settle(RpcError(INVALID_PARAMS, "Invalid or expired requestState"))
            return
        level = caller.log_level
        meta = None
        if level is not None and child.modern:
            meta = {META_LOG_LEVEL: level}
        elif level is not None and caller.modern:
            asked.want_level(child, level)
        params = child.params(
            call.fields,
            capabilities=caller.capabilities,
            progress=caller.progress_token is not None or call.tool is not None,
            meta=meta,
        )
        call.child = child
        call.deadline = self.clock() + self._seconds
        self._flying.setdefault(child, {})[call] = None
        if self._timer is None:
            self._timer = self._loop.call_later(SWEEP, self._sweep)
        call.id = child.post(call.method, params, call)

    async def _wake_and_send(self, call: Call) -> None:
        child = await self._war_room.wake(call.server, call.caller.speech)
        if not call.caller.answered:
            self._send(call, child)

    def work(self, call: Call, step: Callable[..., Awaitable[None]], *given: Any) -> None:
        """Do something for a call that has to wait; the call's end ends it."""
        self._tasks.start_soon(self._work, call, step, *given)

    async def _work(self, call: Call, step: Callable[..., Awaitable[None]], *given: Any) -> None:
        with anyio.CancelScope() as call.working:
            try:
                await step(call, *given)
            except WarRoomError as error:
                call.fail(error)
            except RpcError as error:
                call.settle(error)
            except Exception:
                _logger.exception("a call of %s failed", call.server)
                call.settle(RpcError(INTERNAL_ERROR, "Internal error"))
        call.working = None

    # --- and back ------------------------------------------------------------------------------

    def landed(self, call: Call) -> None:
        """A call is no longer in flight."""
        child = call.child
        if child is None:
            return
        flying = self._flying.get(child)
        if flying is not None and call in flying:
            del flying[call]
            child.answered()
            if not flying:
                del self._flying[child]
        for question in call.questions.values():
            question.fail(over())
        call.questions.clear()
        for asking in call.asking:
            asking.cancel()

    def arrived(self, call: Call, result: Raw) -> None:
        """Hand a child's result to the host."""
        seen = results.look(call.method, result)
        caller = call.caller
        if seen.fault is not None:
            said = f"{call.server} answered {call.method} with no such result: {seen.fault}."
            call.fail(ChildProtocolError(said))
            return
        if seen.kind == results.INPUT_REQUIRED and not caller.modern:
            self.work(call, self._drive, result)
            return
        if seen.kind == "task":
            self._note_task(call, result)
        self.counted(call, failed=seen.error)
        size = len(memoryview(result))
        if size > SMALL and size > self._shortener.limit(caller.host) and seen.kind == results.COMPLETE:
            self.work(call, self._pass_short, result, seen)
        else:
            call.settle(results.translate(call.method, result, seen, modern=caller.modern))

    async def _pass_short(self, call: Call, result: Raw, seen: results.Look) -> None:
        schema = self._war_room.has_output_schema(call.server, call.tool)
        short = await self._shortener.shorten(call.caller.host, call.method, result, has_output_schema=schema)
        whole = Raw(short) if short is not None else result
        call.settle(results.translate(call.method, whole, seen, modern=call.caller.modern))

    def counted(self, call: Call, *, failed: bool) -> None:
        """Count a finished call."""
        if call.tool is not None:
            self._war_room.count(call.server, call.tool, seconds=self.clock() - call.begun, error=failed)

    async def recover(self, call: Call, error: Unanswered) -> None:
        """A child did not live to answer: once more if that can do no harm, else say so."""
        assert call.child is not None
        failure = await call.child.post_mortem(error)
        params = {"name": call.tool}
        if not isinstance(failure, ChildGone) or call.caller.answered:
            raise failure
        if call.tried or not self._war_room.may_repeat(call.server, call.method, params):
            raise uncertain(failure) if call.tool is not None else failure
        call.tried = True
        await self._wake_and_send(call)

    # --- deadlines -----------------------------------------------------------------------------

    def extend(self, call: Call) -> None:
        """A call showed life."""
        longest = call.begun + max(LONGEST_CALL, self._seconds)
        call.deadline = min(self.clock() + self._seconds, longest)

    def _sweep(self) -> None:
        name_asyncio()
        now = self.clock()
        late = [call for flying in self._flying.values() for call in flying if call.deadline < now]
        for call in late:
            child = call.child
            assert child is not None
            child.withdraw(call.id, "it took too long")
            self.landed(call)
            self._parking.drop(call)
            call.fail(
                CallTimeout(f"{call.server} did not answer {call.method} within {self._seconds:g} seconds.")
            )
            self._war_room.suspect(child)
        self._timer = self._loop.call_later(SWEEP, self._sweep) if self._flying else None

    def give_up(self, call: Call) -> None:
        """The host gave a call up."""
        if call.working is not None:
            call.working.cancel()
        if call.child is not None and call in self._flying.get(call.child, {}):
            call.child.withdraw(call.id, "the host gave it up")
            self.landed(call)
        self._parking.drop(call)

    def close(self) -> None:
        """The relay is over, and every call in flight with it."""
        if self._timer is not None:
            self._timer.cancel()
        for call in [call for flying in self._flying.values() for call in flying]:
            self.give_up(call)
            call.settle(RpcError(INTERNAL_ERROR, "War Room has ended"))

    # --- what a child asks and tells in mid-call -----------------------------------------------

    def newest(self, child: Child) -> Call | None:
        """The call that a child's own request belongs to, as far as can be told: the latest of one host.

        A child with a handshake does not say which call made it ask. If calls of several hosts are in
        flight, nobody is asked: one person must not see another's question.
        """
        flying = self._flying.get(child)
        if not flying:
            return None
        hosts = {call.caller.host for call in flying}
        return next(reversed(flying)) if len(hosts) == 1 else None

    def asked(self, child: Child, incoming: Incoming) -> None:
        """A child with a handshake asks its client something."""
        only = self._only_host() if child not in self._flying else None
        self._questions.asked(self.newest(child), only, incoming)

    def ask_again(self, call: Call) -> None:
        """The host came back without all of the answers."""
        self._questions.ask_by_parking(call)

    async def _drive(self, call: Call, result: Raw) -> None:
        """Ask a host with a handshake what a modern child wants to know, and call the child again."""
        call.fields = await self._questions.answer_of(call, result)
        await self._wake_and_send(call)

    def log(self, child: Child, params: Raw) -> bool:
        """Pass a log message on with the call it belongs to; False if there is none."""
        call = self.newest(child)
        if call is None or call.caller.answered:
            return False
        wanted = call.caller.log_level
        if wanted is None and call.caller.modern:
            return True
        level = value_of(asked.members(params).get("level"))
        if wanted is None or asked.reaches(level, wanted):
            call.caller.notify("notifications/message", bytes(params))
        return True

    # --- tasks ---------------------------------------------------------------------------------

    def _note_task(self, call: Call, result: Raw) -> None:
        value = value_of(result)
        task = value.get("task") if isinstance(value.get("task"), Mapping) else value
        if isinstance(task_id := task.get("taskId"), str):
            self._tasks_of[task_id] = call.server
            if len(self._tasks_of) > MAX_TASKS:
                del self._tasks_of[next(iter(self._tasks_of))]

    def task_server(self, task_id: object) -> str | None:
        """The server that a task belongs to."""
        return self._tasks_of.get(task_id) if isinstance(task_id, str) else None
