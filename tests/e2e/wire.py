"""A host at the level of the wire: knows the process, sees every byte of its stdout and stderr."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

_LARGEST = 64 * 1024 * 1024


class WireHost:
    """One `warroom serve` after its handshake. `cards` are the approvals that it asked for.

    `stdout` is everything that it wrote there; approvals are answered with yes.
    """

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.cards: list[str] = []
        self.stdout = b""
        self._stdin = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._last = 0

    async def send(self, message: Mapping[str, Any]) -> None:
        """Write one message."""
        await self._stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def send_raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        await self._stdin.send(data)

    async def receive(self) -> dict[str, Any]:
        """The next message that is no form; forms are answered."""
        while True:
            line = await self._lines.receive_until(b"\n", _LARGEST)
            self.stdout += line + b"\n"
            message: dict[str, Any] = json.loads(line)
            if message.get("method") != "elicitation/create":
                return message
            self.cards.append(message["params"]["message"])
            content = {"action": "accept", "content": {"decision": "approve"}}
            await self.send({"id": message["id"], "result": content})

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request, whether result or error."""
        number = await self.ask(method, params)
        return await self.answer(number)

    async def ask(self, method: str, params: Mapping[str, Any]) -> int:
        """Send a request; its id."""
        self._last += 1
        await self.send({"id": self._last, "method": method, "params": params})
        return self._last

    async def answer(self, number: int) -> dict[str, Any]:
        """Read until the answer to a request comes."""
        while (message := await self.receive()).get("id") != number or "method" in message:
            pass
        return message

    async def own(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The structured answer of one of War Room's own tools."""
        answer = await self.request("tools/call", {"name": tool, "arguments": arguments})
        found: dict[str, Any] = answer["result"]["structuredContent"]
        return found


@asynccontextmanager
async def wired(home: Path, stderr: Path, env: Mapping[str, str]) -> AsyncIterator[WireHost]:
    """A handshake host of `warroom serve`, whose stderr goes to a file; ends it by closing its input."""
    with stderr.open("wb") as errors:
        process = await anyio.open_process(
            [sys.executable, "-m", "warroom_mcp", "serve"],
            env={**os.environ, "WARROOM_HOME": str(home), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    async with process:
        host = WireHost(process)
        await host.request(
            "initialize",
            {
                "protocolVersion": "2025-06-18",
                "capabilities": {"elicitation": {}},
                "clientInfo": {"name": "wire", "version": "1"},
            },
        )
        await host.send({"method": "notifications/initialized"})
        try:
            yield host
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(10) as late:
                assert process.stdin is not None
                await process.stdin.aclose()
                await process.wait()
            if late.cancelled_caught:
                process.kill()
