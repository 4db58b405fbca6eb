"""What a child asks of the host in the middle of a call, in the way that the two eras have it.

A child with a handshake asks by a request of its own; one of 2026-07-28 by its result. A host with a
handshake is asked within its call; one of 2026-07-28 by answering the call with the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup
from msgspec import Raw

from warroom_mcp.server import asked
from warroom_mcp.server.call import Call
from warroom_mcp.server.caller import Ask, Host
from warroom_mcp.server.parking import Parking
from warroom_mcp.wire.codec import Fields, RpcError, encode, fields_of, value_of
from warroom_mcp.wire.peer import Incoming
from warroom_mcp.wire.protocol import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND

MAX_ROUNDS = 10
"""Questions of a modern child that are asked of a host with a handshake before the call is given up."""
PAUSE = 0.2
"""Seconds before a child that wants another round, and asks nothing, is called again."""
OF_ONE_ROUND = frozenset({"inputResponses", "requestState"})
"""Parameters that belong to one question, and to no other request."""


class Questions:
    """Asks on behalf of children. `extend` gives a call time again after a person took theirs."""

    def __init__(
        self, tasks: TaskGroup, parking: Parking, deadline: float, extend: Callable[[Call], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks = tasks
        self._parking = parking
        self._deadline = deadline
        self._extend = extend

    # --- children with a handshake -------------------------------------------------------------

    def asked(self, call: Call | None, only: Host | None, incoming: Incoming) -> None:
        """A child asks its client something in the middle of `call`, or of no call that is known.

        Outside of a call it is asked of the `only` host, if there is but one: file servers, for one, ask for
        the roots as soon as they are ready.
        """
        if call is None:
            self._asked_of_all(only, incoming)
        elif not asked.may_ask(incoming.method, incoming.params, call.caller.capabilities):
            incoming.fail(RpcError(METHOD_NOT_FOUND, f"The host does not offer {incoming.method[:80]}"))
        elif call.caller.modern:
            call.asked += 1
            call.questions[f"r{call.asked}"] = incoming
            # What is asked in the same breath goes into the same answer.
            self._loop.call_soon(self.ask_by_parking, call)
        else:
            self._tasks.start_soon(self._ask_host, call, incoming)

    def _asked_of_all(self, only: Host | None, incoming: Incoming) -> None:
        if only is None or only.ask is None:
            incoming.fail(RpcError(INVALID_REQUEST, "It cannot be told which host's call this belongs to"))
        elif not asked.may_ask(incoming.method, incoming.params, only.capabilities):
            incoming.fail(RpcError(METHOD_NOT_FOUND, f"The host does not offer {incoming.method[:80]}"))
        else:
            self._tasks.start_soon(self._hand_on, incoming, only.ask)

    async def _ask_host(self, call: Call, incoming: Incoming) -> None:
        call.deadline = self._loop.time() + self._deadline
        with anyio.CancelScope() as scope:
            call.asking.add(scope)
            await self._hand_on(incoming, call.caller.ask)
        incoming.fail(over())  # if it was cancelled
        call.asking.discard(scope)
        self._extend(call)

    async def _hand_on(self, incoming: Incoming, ask: Ask) -> None:
        """Ask a host what a child wants to know, and hand the answer back."""
        with anyio.CancelScope() as scope:
            incoming.on_cancel = scope.cancel
            try:
                with anyio.fail_after(self._deadline):
                    incoming.answer(await ask(incoming.method, incoming.params))
            except RpcError as error:
                incoming.fail(error)
            except TimeoutError:
                incoming.fail(RpcError(INTERNAL_ERROR, "Nobody answered in time"))

    def ask_by_parking(self, call: Call) -> None:
        """Put the open questions of a call into the answer to its present request."""
        if not call.questions or call.caller.answered:
            return
        call.deadline = self._loop.time() + self._deadline
        questions = {
            key: {"method": incoming.method, "params": incoming.params if bytes(incoming.params) else {}}
            for key, incoming in call.questions.items()
        }
        if not self._parking.park(call, call.caller, questions):
            for incoming in call.questions.values():
                incoming.fail(RpcError(INTERNAL_ERROR, "Too many calls wait for a person already"))
            call.questions.clear()

    # --- children of 2026-07-28 ----------------------------------------------------------------

    async def answer_of(self, call: Call, result: Raw) -> Fields:
        """Ask a host with a handshake what a modern child wants to know; the fields of the next round.

        Raises: RpcError: the host does not offer it, nobody answered, or the child asks without end.
        """
        call.rounds += 1
        if call.rounds > MAX_ROUNDS:
            raise RpcError(INTERNAL_ERROR, f"{call.server} asked more than {MAX_ROUNDS} times")
        fields = fields_of(result)
        given: dict[str, Raw] = {}
        for key, request in asked.members(fields.get("inputRequests")).items():
            given[key] = await self._ask_of_host(call, asked.members(request))
        if not given:
            await anyio.sleep(PAUSE)
        own = {key: value for key, value in call.fields.items() if key not in OF_ONE_ROUND}
        if given:
            own["inputResponses"] = Raw(encode(given))
        if "requestState" in fields:
            own["requestState"] = fields["requestState"]
        return own

    async def _ask_of_host(self, call: Call, request: Fields) -> Raw:
        method, params = value_of(request.get("method")), request.get("params", Raw(b"{}"))
        if not isinstance(method, str) or not asked.may_ask(method, params, call.caller.capabilities):
            raise RpcError(METHOD_NOT_FOUND, f"The host does not offer {str(method)[:80]}")
        with anyio.move_on_after(self._deadline):
            return await call.caller.ask(method, params)
        raise RpcError(INTERNAL_ERROR, "Nobody answered in time")


def over() -> RpcError:
    """The error for a question whose call has ended."""
    return RpcError(INVALID_REQUEST, "The call that it belonged to is over")
