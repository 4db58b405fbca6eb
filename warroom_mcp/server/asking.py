"""Asks the person in front of the host by a form elicitation, in whichever way the host's era has it.

Handshake era: a request from the server within the call. 2026-07-28: the call is parked, its first
answer is `input_required`, and the host's retry brings the person's answer to the parked call.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from warroom_mcp import sdk
from warroom_mcp.approvals import Answer
from warroom_mcp.models import Ticket

Context = ServerRequestContext[Any, Any]
Result = dict[str, Any]

APPROVE, REFUSE = "approve", "refuse"
# The one input request of a round; the host hands its answer back under the same key.
_KEY = "approval"
_MAX_PARKED = 64
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "decision": {
            "type": "string",
            "title": "Start this server?",
            "enum": [APPROVE, REFUSE],
            "enumNames": ["Approve: start exactly this", "Refuse"],
        }
    },
    "required": ["decision"],
}


class HandshakeAsker:
    """Asks by a request to the host, inside of the call that needs the answer."""

    administrator = False

    def __init__(self, ctx: Context, deadline: float) -> None:
        self._ctx = ctx
        self._deadline = deadline

    async def ask(self, ticket: Ticket) -> Answer | None:
        """The person's answer; None when the form was closed, could not be shown, or nobody came."""
        if not sdk.has_form_elicitation(self._ctx.session):
            return None
        with anyio.move_on_after(self._deadline):
            try:
                result = await self._ctx.session.elicit_form(
                    _message(ticket), _FORM, related_request_id=self._ctx.request_id
                )
            except MCPError:
                return None
            return _answer({"action": result.action, "content": result.content})
        return None


@dataclass(frozen=True, slots=True)
class _Step:
    """What a parked call hands to the request that waits for it: a question, its end, or its error."""

    result: Result | None = None
    error: Exception | None = None


@dataclass
class _Seat:
    """A parked call: where it waits for a person, and where its current request waits for it.

    Question and retry alternate, so that one place for a step is enough; nothing is left open when
    nobody comes back.
    """

    tool: str
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    answer: Mapping[str, Any] | None = None
    answered: anyio.Event = field(default_factory=anyio.Event)
    _step: _Step = field(default_factory=_Step)
    _stepped: anyio.Event = field(default_factory=anyio.Event)

    def tell(self, step: _Step) -> None:
        """Hand a step to the request that waits, now or later."""
        self._step = step
        self._stepped.set()

    async def next_step(self) -> _Step:
        """Wait for the next step; each is handed out once."""
        await self._stepped.wait()
        self._stepped = anyio.Event()
        return self._step


class ParkingAsker:
    """Asks by ending the present request with `input_required`, and waits for the retry."""

    administrator = False

    def __init__(self, parking: "Parking", seat: _Seat) -> None:
        self._parking = parking
        self._seat = seat

    async def ask(self, ticket: Ticket) -> Answer | None:
        """The person's answer; None when the host did not come back in time."""
        token = self._parking.park(self._seat)
        if token is None:
            return None
        params = {"mode": "form", "message": _message(ticket), "requestedSchema": _FORM}
        asked: Result = {
            "resultType": "input_required",
            "inputRequests": {_KEY: {"method": "elicitation/create", "params": params}},
            "requestState": token,
        }
        self._seat.tell(_Step(asked))
        try:
            with anyio.move_on_after(self._parking.ttl):
                await self._seat.answered.wait()
        finally:
            self._parking.leave(token)
        answer, self._seat.answer, self._seat.answered = self._seat.answer, None, anyio.Event()
        return _answer(answer) if answer else None


class Parking:
    """Calls of modern hosts that wait for a person. A token is unguessable, single-use, and expires."""

    def __init__(self, tasks: TaskGroup, *, ttl: float) -> None:
        self.ttl = ttl
        self._tasks = tasks
        self._seats: dict[str, _Seat] = {}

    async def run(self, tool: str, flow: Callable[[ParkingAsker], Awaitable[Result]]) -> Result:
        """Run a flow until it ends or asks; asking answers the present request and parks the flow."""
        seat = _Seat(tool)
        self._tasks.start_soon(self._drive, seat, flow)
        return await self._next(seat)

    async def _drive(self, seat: _Seat, flow: Callable[[ParkingAsker], Awaitable[Result]]) -> None:
        step = _Step(error=MCPError(INTERNAL_ERROR, "The call was cancelled"))
        try:
            with seat.scope:
                step = _Step(await flow(ParkingAsker(self, seat)))
        except Exception as error:
            # Carried to the request that waits, which raises it.
            step = _Step(error=error)
        finally:
            seat.tell(step)

    async def resume(self, tool: str, token: str, responses: Mapping[str, Any]) -> Result:
        """Take a parked flow up again with the person's answer.

        Raises:
            MCPError: the token is unknown, used, expired, or belongs to another tool (-32602).
        """
        seat = self._seats.pop(token, None)
        if seat is None or seat.tool != tool:
            raise MCPError(INVALID_PARAMS, "Invalid or expired requestState")
        response = responses.get(_KEY)
        seat.answer = response if isinstance(response, Mapping) else {"action": "cancel"}
        seat.answered.set()
        return await self._next(seat)

    def park(self, seat: _Seat) -> str | None:
        """A token for a seat, or None when too many calls are parked already."""
        if len(self._seats) >= _MAX_PARKED:
            return None
        token = secrets.token_urlsafe(24)
        self._seats[token] = seat
        return token

    def leave(self, token: str) -> None:
        """Forget a token, used or not."""
        self._seats.pop(token, None)

    async def _next(self, seat: _Seat) -> Result:
        try:
            step = await seat.next_step()
        except anyio.get_cancelled_exc_class():
            # Cancelling the request does not reach a parked flow by itself.
            seat.scope.cancel()
            raise
        if step.error is not None:
            raise step.error
        return step.result or {}


def _message(ticket: Ticket) -> str:
    return "\n".join(ticket.card)


def _answer(response: Mapping[str, Any]) -> Answer | None:
    """Accept with `approve` is yes, decline or `refuse` is no, anything else is no answer."""
    action = response.get("action")
    if action == "decline":
        return Answer(False, "elicitation")
    content = response.get("content")
    decision = content.get("decision") if isinstance(content, Mapping) else None
    if action == "accept" and decision in (APPROVE, REFUSE):
        return Answer(decision == APPROVE, "elicitation")
    return None
