"""Asks the person in front of the host by a form elicitation, in whichever way the host's era has it.

Handshake era: a request from the server within the call. 2026-07-28: the call is parked, its first
answer is `input_required`, and the host's retry brings the person's answer to the parked call.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup

from warroom_mcp.approvals import Answer
from warroom_mcp.models import Ticket
from warroom_mcp.server.caller import Caller, opens_urls, shows_forms
from warroom_mcp.server.parking import Answers, Parking
from warroom_mcp.wire.codec import RpcError, encode, value_of
from warroom_mcp.wire.protocol import INTERNAL_ERROR

Result = dict[str, Any]

APPROVE, REFUSE = "approve", "refuse"
# The one input request of a round; the host hands its answer back under the same key.
_KEY = "approval"
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
_logger = logging.getLogger(__name__)


class Nobody:
    """No way to a person: every question stays a ticket."""

    administrator = False

    async def ask(self, ticket: object) -> None:
        """Nobody answers."""
        return


class HandshakeAsker:
    """Asks by a request to the host, inside of the call that needs the answer."""

    administrator = False

    def __init__(self, caller: Caller, deadline: float) -> None:
        self._caller = caller
        self._deadline = deadline

    async def ask(self, ticket: Ticket) -> Answer | None:
        """The person's answer; None when the form was closed, could not be shown, or nobody came."""
        if not shows_forms(self._caller.capabilities):
            return None
        with anyio.move_on_after(self._deadline):
            try:
                result = await self._caller.ask("elicitation/create", encode(_question(ticket)))
            except RpcError:
                return None
            return _answer(value_of(result))
        return None

    async def open(self, url: str, why: str) -> bool:
        """Whether the host took the address to the person."""
        if not opens_urls(self._caller.capabilities):
            return False
        with anyio.move_on_after(self._deadline):
            try:
                result = await self._caller.ask("elicitation/create", encode(_page(url, why)))
            except RpcError:
                return False
            return _accepted(value_of(result))
        return False


class ParkingAsker:
    """Asks by ending the present request with `input_required`, and waits for the retry."""

    administrator = False

    def __init__(self, flow: ParkedFlow) -> None:
        self._flow = flow

    async def ask(self, ticket: Ticket) -> Answer | None:
        """The person's answer; None when the host shows no forms or did not come back in time."""
        if not shows_forms(self._flow.caller.capabilities):
            return None
        question = {_KEY: {"method": "elicitation/create", "params": {"mode": "form", **_question(ticket)}}}
        given = await self._flow.ask(question)
        return _answer(value_of(given.get(_KEY))) if given is not None else None

    async def open(self, url: str, why: str) -> bool:
        """Whether the host took the address to the person."""
        if not opens_urls(self._flow.caller.capabilities):
            return False
        question = {_KEY: {"method": "elicitation/create", "params": _page(url, why)}}
        given = await self._flow.ask(question)
        return given is not None and _accepted(value_of(given.get(_KEY)))


Flow = Callable[[ParkingAsker], Awaitable[Result]]


class ParkedFlow:
    """A use case that may ask a host of 2026-07-28: it goes on where it stood when the host comes back."""

    def __init__(self, parking: Parking, caller: Caller) -> None:
        self.caller = caller
        self._parking = parking
        self._scope = anyio.CancelScope()
        self._given: Answers | None = None
        self._returned = anyio.Event()
        caller.on_cancel = self._scope.cancel

    def start(self, tasks: TaskGroup, flow: Flow) -> None:
        """Run the flow; its caller, or the one that comes back for it, is answered."""
        tasks.start_soon(self._run, flow)

    async def _run(self, flow: Flow) -> None:
        with self._scope:
            try:
                # The caller may be another one by the time the flow is over.
                result = await flow(ParkingAsker(self))
                self.caller.answer(encode(result))
            except RpcError as error:
                self.caller.fail(error)
            except Exception:
                _logger.exception("a use case failed")
                self.caller.fail(RpcError(INTERNAL_ERROR, "Internal error"))

    async def ask(self, questions: Mapping[str, Any]) -> Answers | None:
        """The host's answers; None when there is no room to park, or nobody came back in time."""
        self._given, self._returned = None, anyio.Event()
        if not self._parking.park(self, self.caller, questions):
            return None
        await self._returned.wait()
        return self._given

    def resume(self, caller: Caller, given: Answers) -> None:
        """The host came back: what follows goes to its new request."""
        self.caller = caller
        caller.on_cancel = self._scope.cancel
        self._given = given
        self._returned.set()

    def expire(self) -> None:
        """Nobody came back: the flow goes on without an answer."""
        self._returned.set()


def _question(ticket: Ticket) -> dict[str, Any]:
    return {"message": "\n".join(ticket.card), "requestedSchema": _FORM}


def _page(url: str, why: str) -> dict[str, Any]:
    # Until 2025-11-25 an elicitation of a page has an id; later hosts pass over it.
    return {"mode": "url", "message": why, "url": url, "elicitationId": secrets.token_hex(8)}


def _accepted(response: object) -> bool:
    return isinstance(response, Mapping) and response.get("action") == "accept"


def _answer(response: object) -> Answer | None:
    """Accept with `approve` is yes, decline or `refuse` is no, anything else is no answer."""
    if not isinstance(response, Mapping):
        return None
    action = response.get("action")
    if action == "decline":
        return Answer(False, "elicitation")
    content = response.get("content")
    decision = content.get("decision") if isinstance(content, Mapping) else None
    if action == "accept" and decision in (APPROVE, REFUSE):
        return Answer(decision == APPROVE, "elicitation")
    return None
