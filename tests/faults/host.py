"""A host of its own against a real War Room process: JSON lines, objects in and objects out."""

import asyncio
import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import psutil

from tests.children.processes import FAKE, gone

Message = dict[str, Any]
LARGEST = 64 * 1024 * 1024
DEADLINES = {
    "WARROOM_CALL_DEADLINE": "3",
    "WARROOM_START_DEADLINE": "10",
    "WARROOM_LIST_DEADLINE": "10",
    "WARROOM_STOP_DEADLINE": "1",
    "WARROOM_RELIST_WAIT": "0.2",
}


def fake(mode: str = "ok", path: Path | None = None) -> str:
    """The command of the fake child, for `--server NAME=COMMAND`."""
    return shlex.join([sys.executable, "-S", "-E", str(FAKE), mode, *([str(path)] if path else [])])


class Host:
    """One War Room process after its handshake, and everything that it has sent."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: list[Message] = []
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._news = anyio.Event()
        self._last = 0

    @property
    def room(self) -> psutil.Process:
        """The War Room process."""
        return psutil.Process(self.process.pid)

    def children(self) -> set[int]:
        """The processes below War Room, however deep; none when it is gone."""
        try:
            return {process.pid for process in self.room.children(recursive=True)}
        except psutil.NoSuchProcess:
            return set()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one message."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def ask(self, method: str, params: Mapping[str, Any]) -> tuple[int, asyncio.Future[Message]]:
        """Send a request; its id and its future answer."""
        self._last += 1
        self._answers[self._last] = answer = asyncio.get_running_loop().create_future()
        self.send({"id": self._last, "method": method, "params": params})
        return self._last, answer

    async def request(self, method: str, params: Mapping[str, Any] | None = None) -> Message:
        """The result of a request."""
        _, answer = self.ask(method, params or {})
        said = await answer
        assert "result" in said, said
        result: Message = said["result"]
        return result

    async def call(self, tool: str, **arguments: Any) -> Message:
        """The result of a tool, which may be an error."""
        return await self.request("tools/call", {"name": tool, "arguments": arguments})

    async def text(self, tool: str, **arguments: Any) -> str:
        """The text of a tool that has to succeed."""
        result = await self.call(tool, **arguments)
        assert not result.get("isError"), result
        text: str = result["content"][0]["text"]
        return text

    async def failure(self, tool: str, **arguments: Any) -> Message:
        """The error of a tool that has to fail, which says what a person can do."""
        result = await self.call(tool, **arguments)
        assert result.get("isError") is True, result
        error: Message = result["structuredContent"]["error"]
        assert json.loads(result["content"][0]["text"]) == {"error": error}
        assert {"code", "message", "hint", "retryable"} <= error.keys()
        assert error["hint"]
        return error

    async def recovers(self, tool: str) -> None:
        """Call a tool until it answers: a child that failed twice is not tried at once."""
        while (await self.call(tool)).get("isError"):
            pass

    async def names(self) -> list[str]:
        """The names of the listed tools."""
        return [tool["name"] for tool in (await self.request("tools/list"))["tools"]]

    async def status(self, name: str) -> Message:
        """What War Room says of a server."""
        servers = (await self.call("list_servers"))["structuredContent"]["servers"]
        return next(server for server in servers if server["name"] == name)

    async def lists(self, name: str, *, still: bool = True) -> None:
        """List again whenever it is told to, until a tool is listed, or no longer is."""
        while True:
            news = self._news
            if (name in await self.names()) is still:
                return
            await news.wait()

    def changes(self) -> int:
        """How often it was told that the tools changed."""
        return sum(one["method"] == "notifications/tools/list_changed" for one in self.told)

    async def read(self) -> None:
        """Take what War Room writes, until it writes no more."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            message: Message = json.loads(line)
            assert message["jsonrpc"] == "2.0"
            if "method" in message:
                self.told.append(message)
                self._news.set()
                self._news = anyio.Event()
            else:
                # An answer that nobody waits for would be a second one, or somebody else's.
                self._answers.pop(message["id"]).set_result(message)
        for answer in self._answers.values():
            answer.set_exception(ConnectionError("War Room has left"))
            answer.exception()  # looked at, so that nobody has to


def _argv(home: Path, servers: Mapping[str, str]) -> list[str]:
    options = [part for name, what in servers.items() for part in ("--server", f"{name}={what}")]
    return [sys.executable, "-m", "tests.preloaded", "--home", str(home), "--stdio", *options]


@contextlib.asynccontextmanager
async def war_room(
    home: Path,
    servers: Mapping[str, str],
    *,
    before: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Host]:
    """A War Room with these servers, by name, and its host; they are started when this is entered.

    `before` is a command that runs the rest of its arguments. At the end War Room has to leave with all
    its processes, and without a traceback in its log.
    """
    stderr = home.parent / "stderr"
    with stderr.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *before,
            *_argv(home, servers),
            env={**os.environ, **DEADLINES, "WARROOM_HOME": str(home), **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            limit=LARGEST,
        )
    assert process.stdin is not None
    host = Host(process)
    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(host.read)
                await host.request(
                    "initialize",
                    {
                        "protocolVersion": "2025-06-18",
                        "capabilities": {},
                        "clientInfo": {"name": "faults", "version": "1"},
                    },
                )
                host.send({"method": "notifications/initialized"})
                await host.names()
                yield host
                left = host.children() if process.returncode is None else set()
                process.stdin.close()
                await process.wait()
            await gone(left)
    except BaseException as error:
        error.add_note(f"its log: {stderr.read_text(errors='replace')[-3000:]}")
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
    log = stderr.read_text(errors="replace")
    assert "Traceback" not in log, log[-3000:]
