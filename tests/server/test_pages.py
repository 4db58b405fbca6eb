"""A page for the person's consent reaches them through their host, in both eras."""

from typing import Any

import anyio
from msgspec import Raw

from warroom_mcp.server.asking import HandshakeAsker, ParkedFlow, ParkingAsker
from warroom_mcp.server.caller import Caller, Host
from warroom_mcp.server.parking import Parking
from warroom_mcp.wire.codec import Fields, RpcError, encode, value_of

PAGE = "https://login.example/authorize"
ABLE: dict[str, Any] = {"elicitation": {"url": {}}}


class Noted(Caller):
    """A request whose answers and questions are noted."""

    def __init__(self, host: Host, fields: Fields, action: str = "accept") -> None:
        super().__init__(host, b"1", "tools/call", fields)
        self.said: list[Raw | bytes] = []
        self._action = action

    async def ask(self, method: str, params: bytes | Raw) -> Raw:
        self.said.append(params)
        return Raw(encode({"action": self._action}))

    def _reply(self, result: bytes) -> None:
        self.said.append(result)

    def _reject(self, error: RpcError) -> None:
        raise error


async def test_a_host_with_a_handshake_is_asked_to_open_it() -> None:
    for action, opened in (("accept", True), ("decline", False)):
        caller = Noted(Host("2025-11-25", capabilities=ABLE), {}, action)
        assert await HandshakeAsker(caller, 5).open(PAGE, "why") is opened
        asked = value_of(caller.said[0])
        assert (asked["mode"], asked["url"], asked["message"]) == ("url", PAGE, "why")


async def test_a_host_that_opens_no_pages_is_not_asked() -> None:
    caller = Noted(Host("2025-11-25", capabilities={"elicitation": {"form": {}}}), {})
    assert await HandshakeAsker(caller, 5).open(PAGE, "why") is False
    assert caller.said == []


async def test_a_modern_host_gets_it_as_the_answer_and_comes_back() -> None:
    parking, host = Parking(60), Host("2026-07-28")
    name = {"name": Raw(b'"add_server"')}
    meta = {"_meta": Raw(encode({"io.modelcontextprotocol/clientCapabilities": ABLE}))}
    first = Noted(host, {**name, **meta})
    flow = ParkedFlow(parking, first)
    opened: list[bool] = []

    async def run() -> None:
        opened.append(await ParkingAsker(flow).open(PAGE, "why"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            asked = value_of(first.said[0])
            (key,) = asked["inputRequests"]
            assert asked["inputRequests"][key]["params"]["url"] == PAGE
            given = {key: {"action": "accept"}}
            back = {"requestState": Raw(encode(asked["requestState"])), "inputResponses": Raw(encode(given))}
            parking.resume(Noted(host, {**name, **meta, **back}))
    assert opened == [True]
