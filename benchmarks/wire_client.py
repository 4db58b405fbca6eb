"""A host that costs next to nothing: raw JSON-RPC, handshake era, some 30 us a call of its own.

Requests are encoded before the clock starts and answers are checked after it stopped.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

WINDOW = 64
_PROTOCOL_VERSION = "2025-11-25"
_HELLO = {
    "protocolVersion": _PROTOCOL_VERSION,
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}
# Far enough for any key order of a small message, near enough to cost nothing before 5 MB.
_HEAD = 256


class Gone(Exception):
    """The other side closed: it ended, crashed or was killed at its deadline."""


class Wrong(Exception):
    """An answer is an error, or is not what was asked for."""


class Link(Protocol):
    """Carries messages. `window` is how many requests may be under way; HTTP needs as many connections."""

    window: int

    def send(self, messages: Sequence[bytes]) -> None:
        """Write encoded messages, each with its line end."""

    def receive(self) -> list[bytes]:
        """At least one message."""

    def close(self) -> None:
        """Give the pipes or sockets back."""


class StdioLink:
    """The two pipes of a process, without their buffers."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.window = 1
        self._pipes = (stdin, stdout)
        self._out = stdin.fileno()
        self._in = stdout.fileno()
        self._parts: list[bytes] = []

    def send(self, messages: Sequence[bytes]) -> None:
        try:
            data = b"".join(messages)
            while data:
                data = data[os.write(self._out, data) :]
        except OSError as error:
            raise Gone(str(error)) from error

    def receive(self) -> list[bytes]:
        while True:
            data = os.read(self._in, 1 << 16)
            if not data:
                raise Gone("stdout was closed")
            if b"\n" not in data:
                self._parts.append(data)
                continue
            if self._parts:
                data = b"".join([*self._parts, data])
            *lines, rest = data.split(b"\n")
            self._parts = [rest] if rest else []
            return lines

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()


def encoded(number: int, method: str, params: object) -> bytes:
    """One request as a line."""
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def text_of(answer: dict[str, Any]) -> str:
    """The text of a call's answer.

    Raises:
        Wrong: the answer is an error, of the protocol or of the tool.
    """
    result = answer.get("result")
    if not isinstance(result, dict) or result.get("isError"):
        raise Wrong(json.dumps(answer)[:300])
    return str(result["content"][0]["text"])


@dataclass(frozen=True)
class _Call:
    """A request that is ready to be sent, and the text that has to come back."""

    number: int
    text: str
    request: bytes


def _wrong(calls: Sequence[_Call], answers: Sequence[bytes]) -> list[str]:
    come = {message["id"]: message for message in map(json.loads, answers)}
    found: list[str] = []
    for call in calls:
        try:
            got = text_of(come[call.number])
        except KeyError:
            found.append(f"no answer to request {call.number}")
        except Wrong as error:
            found.append(str(error))
        else:
            if got != call.text:
                found.append(f"{got[:60]!r} came instead of {call.text!r}")
    return found


class WireClient:
    """One session over a link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._last = 0

    def handshake(self) -> None:
        """`initialize` until it is answered; the notification that follows is sent."""
        self.ask("initialize", _HELLO)
        self._link.send([b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'])

    def ask(self, method: str, params: object) -> dict[str, Any]:
        """The decoded answer to one request."""
        answer: dict[str, Any] = json.loads(self._exchange(self._encoded(method, params)))
        if "error" in answer:
            raise Wrong(json.dumps(answer)[:300])
        return answer

    def list_tools(self) -> tuple[float, list[dict[str, Any]]]:
        """Seconds to the full list, over all its pages, and the tools. Decoding is not in the time."""
        seconds = 0.0
        tools: list[dict[str, Any]] = []
        params: dict[str, Any] = {}
        while True:
            request = self._encoded("tools/list", params)
            begin = time.perf_counter()
            line = self._exchange(request)
            seconds += time.perf_counter() - begin
            result = json.loads(line).get("result")
            if result is None:
                raise Wrong(line[:300].decode())
            tools += result["tools"]
            if not (cursor := result.get("nextCursor")):
                return seconds, tools
            params = {"cursor": cursor}

    def timed_calls(self, tool: str, count: int) -> list[float]:
        """Seconds of each call, one in flight."""
        calls = [self._call(tool, f"call {number}") for number in range(count)]
        times: list[float] = []
        answers: list[bytes] = []
        self._link.window = 1
        for call in calls:
            begin = time.perf_counter()
            answers.append(self._exchange(call.request))
            times.append(time.perf_counter() - begin)
        if wrong := _wrong(calls, answers):
            raise Wrong(wrong[0])
        return times

    def flood(self, tools: Sequence[str], texts: Sequence[str]) -> tuple[float, list[str]]:
        """One call a text with `WINDOW` in flight, over the tools in turn: seconds, and what was wrong."""
        calls = [self._call(tools[i % len(tools)], text) for i, text in enumerate(texts)]
        requests = [call.request for call in calls]
        begin = time.perf_counter()
        answers = self._in_window(requests)
        seconds = time.perf_counter() - begin
        return seconds, _wrong(calls, answers)

    def large(self, tool: str, size: int) -> float:
        """Seconds until a result of `size` characters is there."""
        request = self._encoded("tools/call", {"name": tool, "arguments": {"size": size}})
        self._link.window = 1
        begin = time.perf_counter()
        answer = self._exchange(request)
        seconds = time.perf_counter() - begin
        if len(text := text_of(json.loads(answer))) != size:
            raise Wrong(f"{len(text)} characters came instead of {size}")
        return seconds

    def close(self) -> None:
        self._link.close()

    def _encoded(self, method: str, params: object) -> bytes:
        self._last += 1
        return encoded(self._last, method, params)

    def _call(self, tool: str, text: str) -> _Call:
        request = self._encoded("tools/call", {"name": tool, "arguments": {"text": text}})
        return _Call(self._last, text, request)

    def _exchange(self, request: bytes) -> bytes:
        self._link.send([request])
        while True:
            for message in self._link.receive():
                if b'"method"' not in message[:_HEAD]:
                    return message

    def _in_window(self, requests: Sequence[bytes]) -> list[bytes]:
        self._link.window = WINDOW
        sent = min(WINDOW, len(requests))
        self._link.send(requests[:sent])
        answers: list[bytes] = []
        while len(answers) < len(requests):
            come = [m for m in self._link.receive() if b'"method"' not in m[:_HEAD]]
            answers += come
            if more := requests[sent : sent + len(come)]:
                self._link.send(more)
                sent += len(more)
        return answers
