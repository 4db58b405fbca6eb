"""One request on its way through: what is known of it, and what becomes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio
from msgspec import Raw

from warroom_mcp.errors import Refusal, WarRoomError
from warroom_mcp.manager.child import Child
from warroom_mcp.manager.kept import STILL_ADDED
from warroom_mcp.server import answers
from warroom_mcp.server.caller import Caller
from warroom_mcp.server.parking import Answers
from warroom_mcp.wire.codec import Fields, RpcError, encode
from warroom_mcp.wire.peer import Incoming, Unanswered
from warroom_mcp.wire.protocol import INTERNAL_ERROR, PROGRESS_TOKEN


class Keeper(Protocol):
    """Who keeps the calls in flight: the relay."""

    def clock(self) -> float: ...
    def landed(self, call: Call) -> None: ...
    def arrived(self, call: Call, result: Raw) -> None: ...
    def counted(self, call: Call, *, failed: bool) -> None: ...
    def extend(self, call: Call) -> None: ...
    def give_up(self, call: Call) -> None: ...
    def ask_again(self, call: Call) -> None: ...
    def work(self, call: Call, step: Callable[..., Awaitable[None]], *given: Any) -> None: ...
    async def recover(self, call: Call, error: Unanswered) -> None: ...


class Call:
    """One request in flight. It is a `Sink` for the child's answer and a `Parked` for the host's retry."""

    __slots__ = (
        "asked",
        "asking",
        "begun",
        "caller",
        "child",
        "deadline",
        "fields",
        "id",
        "method",
        "outcome",
        "questions",
        "relay",
        "rounds",
        "server",
        "tool",
        "tried",
        "working",
    )

    def __init__(
        self, relay: Keeper, caller: Caller, server: str, method: str, fields: Fields, tool: str | None
    ) -> None:
        self.relay = relay
        self.caller = caller
        self.server = server
        self.method = method
        self.fields = fields
        self.tool = tool
        self.child: Child | None = None
        self.id = 0
        self.begun = relay.clock()
        self.deadline = 0.0
        self.rounds = 0
        self.asked = 0
        self.tried = False
        self.questions: dict[str, Incoming] = {}
        self.asking: set[anyio.CancelScope] = set()
        self.outcome: bytes | Raw | RpcError | None = None
        self.working: anyio.CancelScope | None = None
        caller.on_cancel = self.give_up

    # --- from the child ------------------------------------------------------------------------

    def replied(self, result: Raw) -> None:
        """The child's result."""
        self.relay.landed(self)
        self.relay.arrived(self, result)

    def refused(self, error: RpcError) -> None:
        """The child's own error, which passes as it came."""
        self.relay.landed(self)
        self.relay.counted(self, failed=True)
        self.settle(error)

    def lost(self, error: Unanswered) -> None:
        """The child will not answer."""
        self.relay.landed(self)
        self.relay.work(self, self.relay.recover, error)

    def progressed(self, fields: Fields) -> None:
        """A sign of life: the deadline starts anew, and the host is told if it asked to be."""
        self.relay.extend(self)
        token = self.caller.progress_token
        if token is not None and not self.caller.answered:
            self.caller.notify("notifications/progress", encode({**fields, PROGRESS_TOKEN: token}))

    # --- to the host ---------------------------------------------------------------------------

    def settle(self, outcome: bytes | Raw | RpcError) -> None:
        """Answer the host; if it is gone to ask its person, keep the answer for its return."""
        if self.caller.answered:
            self.outcome = outcome
        elif isinstance(outcome, RpcError):
            self.caller.fail(outcome)
        else:
            self.caller.answer(outcome)

    def fail(self, error: WarRoomError) -> None:
        """Answer with an error of ours, where the result has room for one as a result."""
        self.relay.counted(self, failed=True)
        if not isinstance(error, Refusal):
            error.details.setdefault("kept", STILL_ADDED)
        if self.method == "tools/call":
            self.settle(encode(answers.failure(error)))
        else:
            self.settle(RpcError(INTERNAL_ERROR, error.message, error.to_dict()))

    # --- while a person is asked ---------------------------------------------------------------

    def resume(self, caller: Caller, given: Answers) -> None:
        """The host came back with its person's answers."""
        self.caller = caller
        caller.on_cancel = self.give_up
        for key, answer in given.items():
            if (question := self.questions.pop(key, None)) is not None:
                question.answer(answer)
        outcome, self.outcome = self.outcome, None
        if outcome is not None:
            self.settle(outcome)
        elif self.questions:
            self.relay.ask_again(self)
        else:
            self.relay.extend(self)

    def expire(self) -> None:
        """Nobody came back."""
        self.give_up()

    def give_up(self) -> None:
        """The host no longer wants the result: the child is told, and nothing of the call stays."""
        self.relay.give_up(self)
