"""Calls that wait for the person behind a host of 2026-07-28, which cannot be asked within a call.

The call's present request is answered with `input_required` and an unguessable token; the host's retry
brings token and answers back. A token is good once, for the host, method and name it was given to, and
for a stated time. What is parked is the memory of this process: after a restart a retry is refused.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Raw

from warroom_mcp.server.caller import Caller, Host
from warroom_mcp.wire.codec import RpcError, encode, fields_of
from warroom_mcp.wire.protocol import INVALID_PARAMS

MAX_PARKED = 64
MAX_PARKED_PER_HOST = 16

Answers = Mapping[str, Raw]
"""The host's answers by the key of the question, encoded."""


class Parked(Protocol):
    """A call that waits. Exactly one of the two is called, once for each time it is parked."""

    def resume(self, caller: Caller, answers: Answers) -> None:
        """The host came back, with another request for the same call."""

    def expire(self) -> None:
        """The host did not come back in time."""


@dataclass(frozen=True, slots=True)
class _Place:
    call: Parked
    host: Host
    what: tuple[str, str]
    timer: asyncio.TimerHandle


class Parking:
    """The places, by token. `ttl` is in seconds."""

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._places: dict[str, _Place] = {}

    def park(self, call: Parked, caller: Caller, questions: Mapping[str, Any]) -> bool:
        """Answer the caller with the questions and keep the call for its retry; False if there is no room."""
        held = sum(place.host is caller.host for place in self._places.values())
        if len(self._places) >= MAX_PARKED or held >= MAX_PARKED_PER_HOST:
            return False
        token = secrets.token_urlsafe(24)
        timer = asyncio.get_running_loop().call_later(self._ttl, self._expire, token)
        self._places[token] = _Place(call, caller.host, _subject(caller), timer)
        asked = {"resultType": "input_required", "inputRequests": questions, "requestState": token}
        caller.answer(encode(asked))
        return True

    def is_retry(self, caller: Caller) -> bool:
        """Whether a request brings a token that was given out here."""
        token = caller.value("requestState")
        return isinstance(token, str) and token in self._places

    def resume(self, caller: Caller) -> None:
        """Hand a retry to the call that waits for it.

        Raises: RpcError: the token is unknown, used, expired, or was given for something else.
        """
        token = caller.value("requestState")
        place = self._places.get(token) if isinstance(token, str) else None
        if place is None or place.host is not caller.host or place.what != _subject(caller):
            raise RpcError(INVALID_PARAMS, "Invalid or expired requestState")
        del self._places[token]
        place.timer.cancel()
        place.call.resume(caller, _answers(caller))

    def drop(self, call: Parked) -> None:
        """Forget a call: its token is good for nothing from now on."""
        for token in [token for token, place in self._places.items() if place.call is call]:
            self._places.pop(token).timer.cancel()

    def _expire(self, token: str) -> None:
        place = self._places.pop(token, None)
        if place is not None:
            place.call.expire()


def _subject(caller: Caller) -> tuple[str, str]:
    key = "uri" if caller.method == "resources/read" else "name"
    return caller.method, str(caller.value(key))


def _answers(caller: Caller) -> Answers:
    try:
        return fields_of(caller.fields.get("inputResponses", Raw()))
    except (ValueError, RecursionError):
        return {}
