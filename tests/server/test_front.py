"""The first words on a pipe: answered before anything is loaded, and the rest in its order."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.server.host import HANDSHAKE, MODERN, war_room
from tests.server.wire import PREFIX, Refused, Wire
from warroom_mcp.server import front as front_module
from warroom_mcp.server import greeting
from warroom_mcp.server.front import Front, is_empty
from warroom_mcp.server.gateway import Gateway
from warroom_mcp.server.tools import OWN_TOOLS
from warroom_mcp.wire.codec import RpcError

FIRST = {
    HANDSHAKE: ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping"),
    MODERN: (
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "server/discover",
    ),
}


class Door(Wire):
    """A host in front of a gateway that the test loads, or does not."""

    def __init__(self, era: str, *, empty: bool = True, **brought: Any) -> None:
        super().__init__(era)
        self.loads = 0
        self.front = Front(self.receive, self._load, is_empty=lambda: empty, brought=lambda: brought)

    def _load(self) -> None:
        self.loads += 1


async def test_nothing_is_loaded_for_the_first_words(era: str) -> None:
    host = Door(era)
    hello = await host.open()
    assert hello["instructions"]
    for method in FIRST[era]:
        assert await host.get(method) is not None
    if era == HANDSHAKE:
        assert await host.get("logging/setLevel", level="info") == {}
        assert host.front.host is not None
        assert host.front.host.log_level == "info"
    assert [tool["name"] for tool in (await host.get("tools/list"))["tools"]] == list(OWN_TOOLS)
    assert host.loads == 0


async def test_an_answer_is_there_before_the_next_request_is_read(era: str) -> None:
    host = Door(era)
    opening = host.post("server/discover") if era == MODERN else None
    if opening is None:
        await host.open()
    number = host.post("tools/list")
    assert host.has(number)


async def test_what_needs_the_gateway_loads_it_and_waits_for_it(era: str, home: Path) -> None:
    host = Door(era)
    await host.open()
    numbers = [host.call("list_servers"), host.call("find_tools", {"query": "x"})]
    given_up = host.call("analyze_problem", {"problem": "x"})
    host.cancel(given_up)
    assert host.loads > 0
    assert not any(host.has(number) for number in numbers)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            gateway = Gateway(war_room(home))
            await tasks.start(gateway.run)
            host.front.ready(gateway)
            for number in numbers:
                assert "structuredContent" in await host.result(number)
            # Its word that it is ready came before the gateway was.
            assert len(gateway.subscriptions.hosts()) == (1 if era == HANDSHAKE else 0)
            assert not host.has(given_up)
            assert "structuredContent" in await host.result(host.call("list_servers"))
            tasks.cancel_scope.cancel()


async def test_a_gateway_that_cannot_be_had_is_told_to_everyone_who_needs_it(era: str) -> None:
    host = Door(era)
    await host.open()
    early = host.call("list_servers")
    host.front.failed(RpcError(-32603, "The settings are not valid", {"code": "invalid_input"}))
    for number in (early, host.call("list_servers")):
        with pytest.raises(Refused, match="settings") as caught:
            await host.result(number)
        assert caught.value.data == {"code": "invalid_input"}
    # What needs no gateway is still answered.
    assert len((await host.get("tools/list"))["tools"]) == 9


async def test_with_servers_added_the_lists_are_the_gateways(era: str) -> None:
    host = Door(era, empty=False)
    await host.open()
    if era == HANDSHAKE:  # the host is ready, and about to list
        assert host.loads == 1
    number = host.post("tools/list")
    assert host.loads > 0
    assert not host.has(number)


async def test_what_children_brought_the_last_time_is_in_the_first_answer(era: str) -> None:
    extensions: dict[str, Any] = {"org.example/x": {}, f"{PREFIX}ui": {}}
    hello = await Door(era, extensions=extensions).open()
    assert hello["capabilities"]["extensions"] == {"org.example/x": {}}


async def test_the_first_answers_are_those_of_the_gateway(era: str, home: Path) -> None:
    early, late = Door(era), Door(era)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            gateway = Gateway(war_room(home))
            await tasks.start(gateway.run)
            late.front.ready(gateway)
            assert await early.open() == await late.open()
            for method in FIRST[era]:
                assert await early.get(method) == await late.get(method), method
            tasks.cancel_scope.cancel()


def test_a_directory_without_servers_is_empty_and_an_unreadable_one_may_not_be(tmp_path: Path) -> None:
    config = tmp_path / "mcp-config.json"
    assert is_empty(str(tmp_path))
    assert is_empty(str(tmp_path / "nowhere"))
    for text, empty in (
        ('{"mcpServers": {}}', True),
        ('{"mcpServers": {"a": {}}}', False),
        ("{}", False),
        ("{", False),
        ("", False),
        ("[]", False),
    ):
        config.write_text(text)
        assert is_empty(str(tmp_path)) is empty, text
    config.unlink()
    config.mkdir()
    assert not is_empty(str(tmp_path))


# --- lines ---------------------------------------------------------------------------------------


async def test_lines_arrive_in_any_pieces(era: str) -> None:
    host = Door(era)
    await host.open()
    meta = {"_meta": host.meta} if era == MODERN else {}
    text = b"".join(
        json.dumps({"jsonrpc": "2.0", "id": n, "method": "tools/list", "params": meta}).encode() + end
        for n, end in ((101, b"\n"), (102, b"\r\n"), (103, b" \n\n"))
    )
    for byte in text:
        host.front.feed(bytes([byte]))
    assert all(host.has(n) for n in (101, 102, 103))


async def test_a_message_over_the_limit_is_an_error_with_its_id_where_that_can_be_told(
    era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "MAX_HOST_MESSAGE", 5000)
    host = Door(era)
    await host.open()
    number = host.call("find_tools", {"query": "x" * 6000})
    with pytest.raises(Refused, match="larger than 5000 bytes") as caught:
        await host.result(number)
    assert caught.value.code == -32600
    huge = b"x" * 6000
    host.write(b'{"jsonrpc":"2.0","id":"a\\"b","method":"x","params":"%b"}' % huge)
    host.write(b'{"method":"x","params":"%b","jsonrpc":"2.0","id":5}' % huge)
    assert json.loads(host.lines[-2])["error"]["code"] == -32600
    assert (await host.message(None))["error"]["code"] == -32600
    assert len((await host.get("tools/list"))["tools"]) == 9


async def test_a_notification_over_the_limit_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "MAX_HOST_MESSAGE", 5000)
    host = Door(HANDSHAKE)
    await host.open()
    before = len(host.lines)
    host.send({"method": "notifications/progress", "params": {"message": "x" * 6000}})
    assert len(host.lines) - before <= 1
    assert len((await host.get("tools/list"))["tools"]) == 9


async def test_an_answer_over_the_limit_is_none_and_whoever_waits_for_it_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "MAX_HOST_MESSAGE", 5000)
    host = Door(HANDSHAKE)
    await host.open()
    failed: list[str] = []

    async def ask() -> None:
        try:
            await host.front.peer.request("roots/list")
        except Exception as error:
            failed.append(str(error))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            asked = await host.is_asked()
            host.reply(asked["id"], {"roots": ["x" * 6000]})
    assert "larger" in failed[0]


@pytest.mark.parametrize(
    "rubbish",
    [
        b"hello?",
        b"\xff\xfe\x00",
        b'{"jsonrpc": "2.0", "id": 7, "method": ',
        b'{"jsonrpc": "1.0"}',
        b"[]",
        b"null",
        b"[" * 5000,
        b'{"jsonrpc":"2.0","id":true,"method":{}}',
    ],
)
async def test_rubbish_is_answered_and_ends_nothing(era: str, rubbish: bytes) -> None:
    host = Door(era)
    host.write(rubbish)
    assert (await host.message(None))["error"]["code"] == -32700
    await host.open()
    host.write(b"", b"  ", rubbish)
    assert (await host.message(None))["error"]["code"] == -32700
    assert len((await host.get("tools/list"))["tools"]) == 9


@pytest.mark.parametrize("params", [b"[]", b"7", b'"x"'])
async def test_parameters_that_are_no_object_are_refused(params: bytes) -> None:
    host = Door(HANDSHAKE)
    await host.open()
    host.write(b'{"jsonrpc":"2.0","id":77,"method":"tools/list","params":%b}' % params)
    with pytest.raises(Refused) as caught:
        await host.result(77)
    assert caught.value.code == -32600


async def test_a_request_is_answered_once_however_often_it_is_cancelled(era: str) -> None:
    host = Door(era)
    await host.open()
    for request_id in (1, 99, "x", None):
        host.cancel(request_id)  # type: ignore[arg-type]
    host.send({"method": "notifications/cancelled", "params": []})
    host.send({"id": 4711, "result": {}})
    host.send({"id": None, "error": {}})
    assert len((await host.get("tools/list"))["tools"]) == 9


def test_the_way_to_the_first_answer_loads_no_gateway() -> None:
    import subprocess
    import sys

    code = (
        "import sys, warroom_mcp.server.serve; "
        "print([m for m in ('mcp', 'pydantic', 'httpx2', 'warroom_mcp.warroom', 'warroom_mcp.server.gateway')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert greeting.introduction()
