"""Receives the answer of an authorization page: one request, on loopback, at an address nobody can guess.

The person's browser brings it; so may any page that is open in it. Hence the random path, the state, and
the check of the Host header; what is wrong is told in the browser, too.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

from warroom_mcp.errors import AuthorizationFailed
from warroom_mcp.manager.oauth.authority import plain_code

HOST = "127.0.0.1"
FIXED_PATH = "/callback"
"""For clients whose redirect address is known in advance: only its port may differ (RFC 8252)."""
REQUEST_DEADLINE = 5.0
"""Seconds for one visitor; browsers open connections that they do not use."""
MAX_REQUEST = 16 * 1024

_REQUEST_LINE = re.compile(r"([A-Z]{1,10}) (/[\x21-\x7e]*) HTTP/1\.[01]")
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 410: "Gone"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page sent back."""

    code: str = field(repr=False)
    state: str = field(repr=False)
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: int
    words: str
    answer: Answer | None = None
    fault: str | None = None

    @property
    def final(self) -> bool:
        return self.answer is not None or self.fault is not None


class Callback:
    """The receiver while it is open; `url` is what the page is to send the browser to."""

    def __init__(self, port: int, path: str) -> None:
        self.url = f"http://{HOST}:{port}{path}"
        self._host = f"{HOST}:{port}"
        self._path = path
        self._state: str | None = None
        self._outcome: _Outcome | None = None
        self._come = anyio.Event()

    def expect(self, state: str) -> None:
        """The state that the answer has to bring; before this, none is taken."""
        self._state = state

    async def answer(self) -> Answer:
        """The one answer.

        Raises: AuthorizationFailed: a refusal, or not the answer to what was asked; a clause says which.
        """
        await self._come.wait()
        outcome = self._outcome
        if outcome is None or outcome.answer is None:
            raise AuthorizationFailed(outcome.fault if outcome and outcome.fault else "there was no answer")
        return outcome.answer

    async def serve(self, stream: SocketStream) -> None:
        """One visitor."""
        async with stream:
            with (
                anyio.move_on_after(REQUEST_DEADLINE),
                contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError),
            ):
                outcome = self._judge(await _head(stream))
                if outcome.final:
                    self._outcome = outcome  # before the page is told: whoever comes next is too late
                try:
                    await stream.send(_page(outcome))
                finally:
                    if outcome.final:
                        self._come.set()

    def _judge(self, head: str) -> _Outcome:
        line, _, rest = head.partition("\r\n")
        matched = _REQUEST_LINE.fullmatch(line)
        if matched is None or _host(rest) != self._host:
            return _Outcome(400, "This is no request that is expected here.")
        target = urlsplit(matched[2])
        if not hmac.compare_digest(target.path, self._path):
            return _Outcome(404, "There is nothing here.")
        if matched[1] != "GET":
            return _Outcome(405, "This address is only for the answer of an authorization page.")
        if self._outcome is not None or self._state is None:
            return _Outcome(410, "This address is used up.")
        return self._read(target.query, self._state)

    def _read(self, query: str, expected: str) -> _Outcome:
        try:
            fields = parse_qs(query, keep_blank_values=True, max_num_fields=20)
        except ValueError:
            fields = {}
        state = _one(fields, "state")
        if state is None or not hmac.compare_digest(state.encode(), expected.encode()):
            return _Outcome(
                400,
                "This is not the answer to what War Room asked; nothing was authorised.",
                fault="the answer of the authorization page is not to this request (another state)",
            )
        if "error" in fields:
            said = plain_code(_one(fields, "error")) or "an error"
            words = "Nothing was authorised. You can close this page."
            return _Outcome(200, words, fault=f"the authorization page answered {said}")
        if not (code := _one(fields, "code")):
            return _Outcome(
                400,
                "There is no code in this answer.",
                fault="the answer of the authorization page brought no code",
            )
        words = "War Room has the answer. You can close this page and go back."
        return _Outcome(200, words, Answer(code, state, _one(fields, "iss")))


@asynccontextmanager
async def receiving(*, fixed_path: bool = False) -> AsyncIterator[Callback]:
    """An open receiver; closed, with whoever is connected, when the block is left."""
    path = FIXED_PATH if fixed_path else f"/{secrets.token_urlsafe(24)}"
    async with await anyio.create_tcp_listener(local_host=HOST, local_port=0) as listener:
        callback = Callback(listener.extra(SocketAttribute.local_port), path)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, callback.serve)
            try:
                yield callback
            except Exception as error:  # the group would wrap it
                failure = error
            finally:
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure


async def _head(stream: SocketStream) -> str:
    received = b""
    while b"\r\n\r\n" not in received:
        if len(received) > MAX_REQUEST:
            raise anyio.EndOfStream
        received += await stream.receive(4096)
    return received.partition(b"\r\n\r\n")[0].decode("latin-1")


def _host(headers: str) -> str | None:
    """The Host header, if there is exactly one."""
    found = [
        value.strip()
        for name, _, value in (line.partition(":") for line in headers.split("\r\n"))
        if name.lower() == "host"
    ]
    return found[0] if len(found) == 1 else None


def _one(fields: dict[str, list[str]], name: str) -> str | None:
    """A parameter that is there exactly once (RFC 6749, 3.1)."""
    values = fields.get(name, [])
    return values[0] if len(values) == 1 else None


def _page(outcome: _Outcome) -> bytes:
    body = f"{outcome.words}\n".encode()
    head = [
        f"HTTP/1.1 {outcome.status} {_REASONS[outcome.status]}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'",
        "Connection: close",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
