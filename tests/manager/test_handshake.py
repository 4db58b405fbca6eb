"""How a child is met, over a connection made of memory: which era is agreed on, and in which order."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from warroom_mcp import __version__
from warroom_mcp.errors import ChildProtocolError
from warroom_mcp.manager import handshake
from warroom_mcp.manager.handshake import Met, OtherEra, envelope, meet
from warroom_mcp.models import Speech
from warroom_mcp.wire.codec import RpcError, encode
from warroom_mcp.wire.peer import BrokenAnswer, ConnectionLost, Peer, Unanswered
from warroom_mcp.wire.protocol import HANDSHAKE_VERSIONS, LATEST_HANDSHAKE, LATEST_MODERN

LEGACY, MODERN = Speech(), Speech(True)
INITIALIZED = {
    "protocolVersion": LATEST_HANDSHAKE,
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "a"},
}
DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": [LATEST_MODERN],
    "capabilities": {"tools": {}},
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "b"}},
}
Reply = dict[str, Any] | RpcError | Unanswered | None
"""What a child answers: a result, an error, the end of the connection, or nothing."""


class Scene:
    """A peer whose other side answers each method in the way it was told to, or when the test does."""

    def __init__(self, **replies: Reply) -> None:
        self.replies = replies
        self.asked: list[str] = []
        self.params: dict[str, Any] = {}
        self._ids: dict[str, int] = {}
        self.peer = Peer(self._send, lambda _: None, lambda *_: None)

    def _send(self, line: bytes) -> None:
        message = json.loads(line)
        name = message["method"].rpartition("/")[2]
        self.asked.append(name)
        self.params[name] = message.get("params")
        self._ids[name] = message.get("id", 0)
        if name in self.replies:
            self.answer(name, self.replies[name])

    def answer(self, name: str, reply: Reply) -> None:
        if isinstance(reply, Unanswered):
            self.peer.close(reply)
        elif reply is not None:
            body = {"error": reply.to_dict()} if isinstance(reply, RpcError) else {"result": reply}
            self.peer.receive(encode({"jsonrpc": "2.0", "id": self._ids[name], **body}))

    async def met(self, speech: Speech, *, only: bool = False) -> Met:
        with anyio.fail_after(5):
            return await meet(self.peer, speech, only=only)


def refusal(code: int = -32601) -> RpcError:
    return RpcError(code, "Method not found")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child that answers is shaken hands with because a test is slow."""
    monkeypatch.setattr(handshake, "PROBE_DEADLINE", 60.0)


# --- with a handshake ----------------------------------------------------------------------------


async def test_a_handshake_tells_who_we_are_and_what_may_be_asked_of_the_host() -> None:
    scene = Scene(initialize={**INITIALIZED, "instructions": "Be gentle."})
    met = await scene.met(Speech(capabilities={"roots": {}}))
    assert scene.asked == ["initialize", "initialized"]
    assert scene.params["initialize"] == {
        "protocolVersion": LATEST_HANDSHAKE,
        "capabilities": {"roots": {}},
        "clientInfo": {"name": "war-room", "title": "War Room", "version": __version__},
    }
    assert met == Met(LATEST_HANDSHAKE, {"tools": {}}, "Be gentle.", {"name": "a"})
    assert not met.modern


@pytest.mark.parametrize("version", HANDSHAKE_VERSIONS)
async def test_a_child_may_answer_with_any_version_that_is_known(version: str) -> None:
    met = await Scene(initialize={**INITIALIZED, "protocolVersion": version}).met(LEGACY)
    assert met.version == version


@pytest.mark.parametrize("version", ["1999-01-01", LATEST_MODERN, 7, None, ["2025-11-25"]])
async def test_a_version_that_is_not_known_is_refused(version: object) -> None:
    scene = Scene(initialize={**INITIALIZED, "protocolVersion": version})
    with pytest.raises(ChildProtocolError, match="not known"):
        await scene.met(LEGACY)
    assert scene.asked == ["initialize"]


@pytest.mark.parametrize("code", [-32601, -32600, -32602, -32022])
async def test_a_refusal_as_servers_of_the_other_era_refuse_is_told_from_other_errors(code: int) -> None:
    with pytest.raises(OtherEra) as caught:
        await Scene(initialize=refusal(code)).met(LEGACY)
    assert isinstance(caught.value.__cause__, RpcError)


async def test_another_error_comes_out_as_it_is() -> None:
    with pytest.raises(RpcError, match="no licence"):
        await Scene(initialize=RpcError(-32000, "no licence")).met(LEGACY)
    with pytest.raises(ConnectionLost, match="code 3"):
        await Scene(initialize=ConnectionLost("it exited with code 3")).met(LEGACY)
    with pytest.raises(BrokenAnswer):
        await Scene(initialize=BrokenAnswer("sent rubbish")).met(LEGACY)


async def test_odd_members_of_an_answer_are_taken_for_nothing() -> None:
    odd = {**INITIALIZED, "capabilities": [], "instructions": 7, "serverInfo": "me"}
    assert await Scene(initialize=odd).met(LEGACY) == Met(LATEST_HANDSHAKE)


# --- without -------------------------------------------------------------------------------------


async def test_a_modern_child_is_asked_once_with_all_it_wants_to_know() -> None:
    scene = Scene(discover=DISCOVERED)
    met = await scene.met(Speech(True, {"sampling": {}}))
    assert scene.asked == ["discover"]
    assert scene.params["discover"] == {"_meta": envelope({"sampling": {}})}
    assert met == Met(LATEST_MODERN, {"tools": {}}, None, {"name": "b"})
    assert met.modern


@pytest.mark.parametrize("code", [-32601, -32600, -32602, -32022, -32000])
async def test_a_child_that_refuses_to_be_discovered_is_shaken_hands_with(code: int) -> None:
    scene = Scene(discover=refusal(code), initialize=INITIALIZED)
    assert (await scene.met(MODERN)).version == LATEST_HANDSHAKE
    assert scene.asked == ["discover", "initialize", "initialized"]


@pytest.mark.parametrize("versions", [["1999-01-01"], [], None, "2026-07-28"])
async def test_a_child_of_other_versions_is_shaken_hands_with(versions: object) -> None:
    scene = Scene(discover={**DISCOVERED, "supportedVersions": versions}, initialize=INITIALIZED)
    assert not (await scene.met(MODERN)).modern


async def test_a_child_that_says_nothing_is_shaken_hands_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "PROBE_DEADLINE", 0.01)
    scene = Scene(initialize=INITIALIZED)
    assert not (await scene.met(MODERN)).modern
    assert scene.asked == ["discover", "initialize", "initialized"]  # and nothing was cancelled


async def met_in_turn(scene: Scene, then: Callable[[], None]) -> Met:
    """What is agreed on when the child answers only after both were sent."""
    found: list[Met] = []

    async def meet_it() -> None:
        found.append(await scene.met(MODERN))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(meet_it)
            while "initialize" not in scene.asked:  # noqa: ASYNC110 - nobody tells us
                await anyio.sleep(0.01)
            then()
    return found[0]


async def test_a_slow_child_decides_by_what_it_answers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "PROBE_DEADLINE", 0.01)
    scene = Scene()
    assert (await met_in_turn(scene, lambda: scene.answer("discover", DISCOVERED))).modern
    assert "initialized" not in scene.asked
    other = Scene()

    def refuse_late() -> None:
        other.answer("discover", refusal())
        other.answer("initialize", INITIALIZED)

    assert not (await met_in_turn(other, refuse_late)).modern


async def test_a_slow_child_that_refuses_the_handshake_first_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handshake, "PROBE_DEADLINE", 0.01)
    scene = Scene()

    def refuse_and_answer() -> None:
        scene.answer("initialize", refusal(-32600))
        scene.answer("discover", DISCOVERED)

    assert (await met_in_turn(scene, refuse_and_answer)).modern


async def test_a_child_that_refuses_both_is_said_so() -> None:
    with pytest.raises(ChildProtocolError, match="both ways"):
        await Scene(discover=refusal(), initialize=refusal()).met(MODERN)
    with pytest.raises(RpcError, match="no licence"):
        await Scene(discover=refusal(), initialize=RpcError(-32000, "no licence")).met(MODERN)


async def test_the_end_of_the_connection_ends_the_meeting() -> None:
    with pytest.raises(ConnectionLost, match="code 4"):
        await Scene(discover=ConnectionLost("it exited with code 4")).met(MODERN)
    with pytest.raises(ConnectionLost, match="code 4"):
        await Scene(discover=refusal(), initialize=ConnectionLost("it exited with code 4")).met(MODERN)


async def test_a_child_whose_only_era_is_known_is_not_asked_for_the_other() -> None:
    scene = Scene(discover=refusal())
    with pytest.raises(RpcError):
        await scene.met(MODERN, only=True)
    assert scene.asked == ["discover"]
    assert (await Scene(discover=DISCOVERED).met(MODERN, only=True)).modern


@pytest.mark.parametrize("speech", [LEGACY, MODERN])
@pytest.mark.parametrize("result", [b"[]", b"7", b"null", b'"text"'])
async def test_an_answer_that_is_no_object_is_refused(result: bytes, speech: Speech) -> None:
    def reply(line: bytes) -> None:
        peer.receive(b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (json.loads(line)["id"], result))

    peer = Peer(reply, lambda _: None, lambda *_: None)
    with pytest.raises(ChildProtocolError, match="no object"), anyio.fail_after(5):
        await meet(peer, speech, only=True)
