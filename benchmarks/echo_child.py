"""A small MCP server on stdio: raw JSON-RPC, standard library only, handshake era.

    python benchmarks/echo_child.py [--tools N]

`echo` gives `text` back, or that many characters of log lines for `size`. The other tools do the same
under other names. Everything that is read at once is answered with one write: a child has to be
faster than whatever stands before it.
"""

import json
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "What is given back, character by character."},
        "size": {"type": "integer", "description": "So many characters of log lines instead of the text."},
    },
}
# Quotes and line ends, as logs have them: a proxy that decodes pays for them.
_LOG_LINE = '2026-11-25T16:00:00.000Z level=error service=checkout msg="connection reset by peer" attempt=3\n'


def definitions(count: int) -> list[dict[str, Any]]:
    """`count` tools, the first is `echo`."""
    names = ["echo", *(f"tool_{number}" for number in range(1, count))]
    about = "Gives back what it was given; one of several tools of this server that differ in name only."
    return [{"name": name, "description": f"{name}: {about}", "inputSchema": _SCHEMA} for name in names]


@lru_cache(maxsize=4)
def _encoded_log(size: int) -> bytes:
    return json.dumps((_LOG_LINE * (size // len(_LOG_LINE) + 1))[:size]).encode()


def _called(arguments: dict[str, Any]) -> bytes:
    size = arguments.get("size")
    text = _encoded_log(size) if size else json.dumps(arguments.get("text", "")).encode()
    return b'{"content":[{"type":"text","text":' + text + b"}]}"


class Child:
    """Answers messages; knows nothing of pipes."""

    def __init__(self, tools: int) -> None:
        self._list = json.dumps({"tools": definitions(tools)}).encode()

    def answer(self, line: bytes) -> bytes:
        """The answer with its line end; nothing for a notification."""
        message = json.loads(line)
        if "id" not in message:
            return b""
        number = json.dumps(message["id"]).encode()
        result = self._result(message["method"], message.get("params") or {})
        if result is None:
            error = b'"error":{"code":-32601,"message":"Method not found"}'
            return b'{"jsonrpc":"2.0","id":' + number + b"," + error + b"}\n"
        return b'{"jsonrpc":"2.0","id":' + number + b',"result":' + result + b"}\n"

    def _result(self, method: str, params: dict[str, Any]) -> bytes | None:
        if method == "tools/call":
            return _called(params.get("arguments") or {})
        if method == "tools/list":
            return self._list
        if method == "initialize":
            return _initialized(str(params.get("protocolVersion")))
        return b"{}" if method == "ping" else None


def _initialized(asked: str) -> bytes:
    result = {
        "protocolVersion": asked if asked in _VERSIONS else _VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "echo", "version": "1.0.0"},
    }
    return json.dumps(result).encode()


def _lines_at_once() -> Iterator[list[bytes]]:
    rest = b""
    while chunk := os.read(0, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines


def serve(tools: int) -> None:
    """Answer stdin until it ends."""
    child = Child(tools)
    for lines in _lines_at_once():
        answers = memoryview(b"".join([child.answer(line) for line in lines if line]))
        while answers:
            answers = answers[os.write(1, answers) :]


if __name__ == "__main__":
    serve(int(sys.argv[2]) if sys.argv[1:2] == ["--tools"] else 1)
