"""`warroom serve` as a host starts it: raw lines on stdin, only MCP on stdout, and an end that comes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from warroom_mcp.server.front import MAX_HOST_MESSAGE
from warroom_mcp.server.tools import OWN_TOOLS

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "warroom_mcp", "serve"]
HOST = {"name": "raw", "version": "1"}
INITIALIZE = {
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": HOST},
}
INITIALIZED = {"method": "notifications/initialized"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": HOST,
    "io.modelcontextprotocol/clientCapabilities": {},
}
DISCOVER = {"id": 1, "method": "server/discover", "params": {"_meta": META}}
OPENINGS: dict[str, list[dict[str, Any]]] = {"handshake": [INITIALIZE, INITIALIZED], "modern": [DISCOVER]}
ERAS = list(OPENINGS)


def line(message: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def request(era: str, number: int, method: str, **params: Any) -> dict[str, Any]:
    meta = {"_meta": META} if era == "modern" else {}
    return {"id": number, "method": method, "params": {**params, **meta}}


class Wire:
    """Both ends of a running server."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)

    async def write(self, *parts: bytes | dict[str, Any]) -> None:
        for part in parts:
            await self._stdin.send(part if isinstance(part, bytes) else line(part))

    async def read(self) -> dict[str, Any]:
        """The next message; everything on stdout has to be one."""
        text = await self._stdout.receive_until(b"\n", 1_000_000)
        message: dict[str, Any] = json.loads(text)
        assert message["jsonrpc"] == "2.0"
        return message

    async def answer(self, number: int) -> dict[str, Any]:
        """The answer to a request."""
        while (message := await self.read()).get("id") != number:
            pass
        return message

    async def open(self, era: str) -> dict[str, Any]:
        """Say hello, and take the first answer."""
        await self.write(*OPENINGS[era])
        result: dict[str, Any] = (await self.answer(1))["result"]
        return result

    async def leave(self) -> int:
        """Close the server's stdin; its exit code."""
        await self._stdin.aclose()
        return await self.process.wait()


@asynccontextmanager
async def running(home: Path, **env: str) -> AsyncIterator[Wire]:
    environ = {**os.environ, "WARROOM_HOME": str(home), **env}
    with anyio.fail_after(20):
        async with await anyio.open_process(COMMAND, env=environ) as process:
            try:
                yield Wire(process)
            finally:
                if process.returncode is None:
                    process.kill()


def run(home: Path, stdin: Any, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, "WARROOM_HOME": str(home)}
    return subprocess.run(
        COMMAND, stdin=stdin, capture_output=True, env=environ, timeout=20, check=False, **options
    )


@pytest.mark.parametrize("era", ERAS)
async def test_it_answers_and_ends_with_its_host(era: str, home: Path) -> None:
    async with running(home) as wire:
        hello = await wire.open(era)
        assert hello["capabilities"]["tools"]["listChanged"] is True
        assert hello["instructions"]
        await wire.write(request(era, 2, "tools/list"))
        listed = (await wire.answer(2))["result"]["tools"]
        assert [tool["name"] for tool in listed] == list(OWN_TOOLS)
        assert await wire.leave() == 0
    # A host that only looks, as some do with a second process, leaves no trace.
    assert not home.exists()


async def test_a_probe_of_another_process_leaves_no_file_behind(home: Path) -> None:
    home.mkdir(parents=True)
    async with running(home) as wire:
        await wire.open("modern")
        async with running(home) as sibling:
            await sibling.open("modern")
            assert await sibling.leave() == 0
        await wire.write(request("modern", 2, "tools/list"))
        assert len((await wire.answer(2))["result"]["tools"]) == 9
        assert await wire.leave() == 0
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("opened", [True, False])
async def test_a_signal_ends_it(home: Path, number: int, opened: bool) -> None:
    async with running(home) as wire:
        await wire.open("handshake")
        if opened:
            await wire.write(request("handshake", 2, "tools/call", name="list_servers", arguments={}))
            await wire.answer(2)
        os.kill(wire.process.pid, number)
        assert await wire.process.wait() == 0


def test_the_null_device_as_stdin_ends_it(home: Path) -> None:
    done = run(home, subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("era", ERAS)
def test_a_file_as_stdin_is_answered_and_ends_it(era: str, home: Path, tmp_path: Path) -> None:
    script = tmp_path / "requests"
    asked = [request(era, 2, "tools/list"), request(era, 3, "prompts/list")]
    script.write_bytes(b"".join(map(line, [*OPENINGS[era], *asked])))
    with script.open("rb") as file:
        done = run(home, file)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(text) for text in done.stdout.splitlines()]
    assert sorted(one["id"] for one in answers if "id" in one) == [1, 2, 3]


@pytest.mark.parametrize("era", ERAS)
def test_requests_that_need_everything_loaded_are_answered_though_the_pipe_is_closed(
    era: str, home: Path
) -> None:
    asked = [request(era, n, "tools/call", name="list_servers", arguments={}) for n in (2, 3)]
    listening = [request(era, 4, "subscriptions/listen", notifications={})] if era == "modern" else []
    text = b"".join(map(line, [*OPENINGS[era], *asked, *listening]))
    environ = {**os.environ, "WARROOM_HOME": str(home)}
    done = subprocess.run(COMMAND, input=text, capture_output=True, env=environ, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    answers = {one["id"]: one for one in map(json.loads, done.stdout.splitlines()) if "id" in one}
    assert {2, 3} <= answers.keys()
    assert answers[2]["result"]["structuredContent"]["servers"] == []


@pytest.mark.parametrize("era", ERAS)
async def test_a_setting_that_makes_no_sense_is_told_to_the_host_that_needs_it(era: str, home: Path) -> None:
    async with running(home, WARROOM_CALL_DEADLINE="hunter2") as wire:
        # The first words need no settings.
        assert await wire.open(era)
        for number in (2, 3):
            await wire.write(request(era, number, "tools/call", name="list_servers", arguments={}))
            error = (await wire.answer(number))["error"]
            assert "call_deadline" in error["message"]
            assert error["data"]["code"] == "invalid_input"
            assert "hunter2" not in json.dumps(error)
        assert await wire.leave() == 0


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("first", [True, False])
async def test_rubbish_ends_nothing(era: str, home: Path, first: bool) -> None:
    rubbish = [
        b"hello?\n",
        b"\n",
        b"\xff\xfe\x00\n",
        b'{"jsonrpc": "2.0", "id": 7, "method": \n',
        b'{"jsonrpc": "1.0"}\n',
        b"[]\n",
        b"null\n",
        b"[" * 5000 + b"\n",
        b'{"jsonrpc":"2.0","id":5,"method":"x","params":{"a":"\xc3\x28"}}\n',
    ]
    async with running(home) as wire:
        if first:
            await wire.write(*rubbish)
        await wire.open(era)
        await wire.write(*rubbish, request(era, 9, "tools/list"))
        assert len((await wire.answer(9))["result"]["tools"]) == 9
        assert await wire.leave() == 0


@pytest.mark.parametrize("era", ERAS)
async def test_a_message_over_the_limit_is_refused_by_its_id(era: str, home: Path) -> None:
    async with running(home) as wire:
        await wire.open(era)
        query = {"query": "x" * MAX_HOST_MESSAGE}
        await wire.write(request(era, 8, "tools/call", name="find_tools", arguments=query))
        assert "larger than" in (await wire.answer(8))["error"]["message"]
        await wire.write(request(era, 9, "tools/list"))
        assert len((await wire.answer(9))["result"]["tools"]) == 9
        assert await wire.leave() == 0


async def test_an_answer_larger_than_a_pipe_arrives_whole(home: Path) -> None:
    async with running(home) as wire:
        await wire.open("handshake")
        for number in range(2, 22):
            await wire.write(request("handshake", number, "tools/list"))
        for number in range(2, 22):
            assert len((await wire.answer(number))["result"]["tools"]) == 9
        assert await wire.leave() == 0


async def test_a_host_that_reads_no_more_is_left(home: Path) -> None:
    async with running(home) as wire:
        await wire.open("handshake")
        for number in range(2, 40):
            await wire.write(request("handshake", number, "tools/list"))
        assert await wire.leave() == 0


async def test_a_host_that_closed_the_other_end_ends_it(home: Path) -> None:
    async with running(home) as wire:
        await wire.open("handshake")
        assert wire.process.stdout is not None
        await wire.process.stdout.aclose()
        await wire.write(request("handshake", 2, "tools/list"))
        assert await wire.leave() == 0


async def test_text_survives_the_way_there_and_back(home: Path) -> None:
    text = 'redis: "Ärger" \u2028 \U0001f525 \x00 connection refused'
    async with running(home) as wire:
        await wire.open("handshake")
        call = request("handshake", 2, "tools/call", name="use_tool", arguments={"tool": text})
        await wire.write(call)
        answer = (await wire.answer(2))["result"]["structuredContent"]
        assert answer["error"]["code"] == "unknown_tool"
        assert repr(text[:100]) in answer["error"]["message"]
        assert await wire.leave() == 0
