"""One child and everything that it can do wrong: each a structured error in time, and no one else hurt."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.children.processes import environment, fake, gone, modern, written
from warroom_mcp.engine.local import LocalEngine
from warroom_mcp.errors import (
    CallTimeout,
    ChildError,
    ChildGone,
    ChildProtocolError,
    InvalidArguments,
    StartFailed,
    StartTimeout,
    WarRoomError,
)
from warroom_mcp.manager import child as life
from warroom_mcp.manager import handshake
from warroom_mcp.manager.child import Child, Owner
from warroom_mcp.manager.stdio import open_stdio
from warroom_mcp.models import Definitions, Speech
from warroom_mcp.settings import Settings
from warroom_mcp.wire.codec import Fields, RpcError, encode, fields_of, value_of
from warroom_mcp.wire.peer import Incoming

# Each test starts real processes.
pytestmark = pytest.mark.slow


@pytest.fixture
async def engine() -> AsyncIterator[LocalEngine]:
    engine = LocalEngine()
    yield engine
    await engine.aclose()


class Heard:
    """What a child told of changes."""

    def __init__(self) -> None:
        self.changes: list[tuple[Definitions, frozenset[str]]] = []
        self.event = anyio.Event()

    async def __call__(self, definitions: Definitions, kinds: frozenset[str]) -> None:
        self.changes.append((definitions, kinds))
        self.event.set()


def make(
    engine: LocalEngine,
    here: Path,
    mode: str,
    *,
    path: Path | None = None,
    heard: Heard | None = None,
    owner: Owner | None = None,
    speech: Speech | None = None,
    only: bool = False,
    program: Callable[[str, Path | None], list[str]] = fake,
    hidden: list[str] | None = None,
    **options: Any,
) -> Child:
    settings = Settings(**{"start_deadline": 10.0, "call_deadline": 10.0, **options})

    def open_link(*both: Any) -> Any:
        return open_stdio(
            engine,
            program(mode, path),
            *both,
            env=environment(),
            cwd=here,
            name="fake",
            max_message_bytes=settings.max_message_bytes,
            grace=settings.stop_deadline,
            hidden=hidden or [],
        )

    return Child("fake", open_link, settings, on_changed=heard, owner=owner, speech=speech, only=only)


@asynccontextmanager
async def running(child: Child) -> AsyncIterator[Child]:
    """The child, ready; a failure to start comes out as it is."""
    failure: WarRoomError | None = None
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            try:
                await tasks.start(child.run)
            except WarRoomError as error:
                failure = error
            else:
                try:
                    yield child
                finally:
                    child.stop()
    if failure is not None:
        raise failure


async def call(child: Child, mode: str = "", **arguments: Any) -> dict[str, Any]:
    return await child.request("tools/call", {"name": "echo", "arguments": {"mode": mode, **arguments}})


def text(result: dict[str, Any]) -> str:
    said = result["content"][0]["text"]
    assert isinstance(said, str)
    return said


# --- starting and listing ------------------------------------------------------------------------


async def test_a_child_is_listed_with_every_field_kept(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        offered = child.definitions
        assert child.pid is not None
    assert [tool["name"] for tool in offered.tools] == ["echo", "look"]
    assert offered.tools[0]["x-unknown"] == {"kept": [1]}
    assert offered.instructions == "Be gentle."
    assert child.met is not None
    assert offered.protocol_version == child.met.version == "2025-11-25"
    assert offered.capabilities == child.met.capabilities == {"tools": {"listChanged": True}}
    assert child.failure is None
    assert child.pid is None


async def test_only_what_a_child_says_it_has_is_asked_for(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "everything")) as child:
        assert child.definitions.prompts == ({"name": "ask"},)
        assert child.definitions.resources == ({"uri": "a://b", "name": "b"},)
        assert child.definitions.templates == ()
        assert len(child.notes) == 2  # the nameless prompt and the resource without an address
    async with running(make(engine, tmp_path, "ok")) as child:
        assert child.definitions.prompts == ()


async def test_a_broken_tool_is_left_out_and_spoils_nothing(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "broken_tool")) as child:
        assert [tool["name"] for tool in child.definitions.tools] == ["echo", "look"]
        assert any("'bare'" in note and "inputSchema" in note for note in child.notes)
        assert any("listed twice" in note for note in child.notes)


@pytest.mark.parametrize(("mode", "count"), [("endless_cursor", 100), ("same_cursor", 2), ("pages", 2)])
async def test_pages_are_followed_to_an_end(
    engine: LocalEngine, tmp_path: Path, mode: str, count: int
) -> None:
    async with running(make(engine, tmp_path, mode)) as child:
        assert len(child.definitions.tools) == count
        assert any("no end" in note for note in child.notes) is (mode != "pages")


async def test_a_child_that_prints_rubbish_first_is_used_all_the_same(
    engine: LocalEngine, tmp_path: Path
) -> None:
    async with running(make(engine, tmp_path, "rubbish_first")) as child:
        assert child.rubbish == 2
        assert text(await call(child, "rubbish")) == "still here"
        assert child.rubbish == 7


@pytest.mark.parametrize(
    ("mode", "kind", "said"),
    [
        ("exit", StartFailed, "exited with code 2; its last words: the API key is missing"),
        ("no_list", ChildProtocolError, "the list is lost"),
    ],
)
async def test_a_child_that_cannot_start_says_why(
    engine: LocalEngine, tmp_path: Path, mode: str, kind: type[ChildError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        async with running(make(engine, tmp_path, mode)):
            pytest.fail("it started")


@pytest.mark.parametrize(
    ("mode", "said"), [("no_initialize", "was not ready in"), ("slow_list", "did not list")]
)
async def test_a_child_that_does_not_become_ready_is_given_up(
    engine: LocalEngine, tmp_path: Path, mode: str, said: str
) -> None:
    child = make(engine, tmp_path, mode, start_deadline=1.0, list_deadline=0.3)
    with pytest.raises(StartTimeout, match=said):
        async with running(child):
            pytest.fail("it started")
    assert child.over.is_set()


async def test_a_secret_in_the_last_words_is_not_repeated(engine: LocalEngine, tmp_path: Path) -> None:
    with pytest.raises(StartFailed) as caught:
        async with running(make(engine, tmp_path, "exit", hidden=["API key"])):
            pytest.fail("it started")
    assert "API key" not in caught.value.message
    assert "[secret] is missing" in caught.value.message


# --- calls ---------------------------------------------------------------------------------------


async def test_a_result_comes_as_it_was_sent(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        answer = await call(child, "", greeting="grüß dich \N{GRINNING FACE}")
    assert json.loads(text(answer))["greeting"] == "grüß dich \N{GRINNING FACE}"
    assert answer["x-extra"] == 1


async def test_the_childs_own_error_passes_unchanged(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        with pytest.raises(RpcError) as caught:
            await call(child, "error")
        assert child.ready
    assert (caught.value.code, caught.value.message, caught.value.data) == (-32000, "no luck", {"why": [1]})


@pytest.mark.parametrize("mode", ["crash", "half_line"])
async def test_a_crash_in_a_call_is_told_with_the_exit_code_and_the_last_words(
    engine: LocalEngine, tmp_path: Path, mode: str
) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        async with anyio.create_task_group() as tasks:

            async def wait_in_vain() -> None:
                with pytest.raises(ChildGone):
                    await call(child, "hang")

            tasks.start_soon(wait_in_vain)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(ChildGone, match="exited with code 3; its last words: one last word"):
                await call(child, mode)
        with pytest.raises(ChildGone, match="exited with code 3"):
            await call(child)
        await child.over.wait()
    assert isinstance(child.failure, ChildGone)


async def test_a_child_that_only_closes_its_output_is_gone_too(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok", stop_deadline=0.5)) as child:
        pid = child.pid
        with pytest.raises(ChildGone, match="closed its output"):
            await call(child, "close_stdout")
        await child.over.wait()
        assert pid is not None
        await gone([pid])


async def test_a_call_that_hangs_ends_at_its_deadline_and_the_child_is_told(
    engine: LocalEngine, tmp_path: Path
) -> None:
    path = tmp_path / "cancelled"
    async with running(make(engine, tmp_path, "ok", path=path, call_deadline=0.3)) as child:
        with pytest.raises(CallTimeout):
            await call(child, "hang")
        assert "requestId" in await written(path)
        assert text(await call(child)) == '{"mode": ""}'


async def test_a_cancelled_caller_returns_at_once_and_the_child_is_told(
    engine: LocalEngine, tmp_path: Path
) -> None:
    path = tmp_path / "cancelled"
    async with running(make(engine, tmp_path, "ok", path=path)) as child:
        with anyio.move_on_after(0.1) as scope:
            await call(child, "hang")
        assert scope.cancelled_caught
        assert "requestId" in await written(path)


async def test_progress_extends_the_deadline(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok", call_deadline=0.6)) as child:
        params = {"name": "echo", "arguments": {"mode": "progress", "pause": 0.25, "steps": 4}}
        assert text(await child.request("tools/call", params)) == "done"


async def test_progress_extends_no_call_for_ever(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "LONGEST_CALL", 0.0)
    async with running(make(engine, tmp_path, "ok", call_deadline=0.4)) as child:
        params = {"name": "echo", "arguments": {"mode": "progress", "pause": 0.1, "steps": 10}}
        with pytest.raises(CallTimeout):
            await child.request("tools/call", params)


async def test_a_big_result_passes(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        assert len(text(await call(child, "big", size=5_000_000))) == 5_000_000


@pytest.mark.parametrize(("mode", "size"), [("big", 20_000_000), ("endless", 0)])
async def test_a_message_over_the_cap_fails_its_calls_and_ends_the_child(
    engine: LocalEngine, tmp_path: Path, mode: str, size: int
) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        with pytest.raises(ChildProtocolError, match="larger than 16777216 bytes"):
            await call(child, mode, size=size)
        await child.over.wait()
    assert isinstance(child.failure, ChildProtocolError)


@pytest.mark.parametrize(("mode", "said"), [("invalid_utf8", "a\ufffd\ufffdb"), ("surrogate", "a\ufffdb")])
async def test_characters_that_do_not_exist_are_replaced(
    engine: LocalEngine, tmp_path: Path, mode: str, said: str
) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        assert text(await call(child, mode)) == said


@pytest.mark.parametrize("mode", ["deep", "deep_id_last", "truncated", "no_result"])
async def test_an_answer_that_cannot_be_read_fails_its_call_at_once(
    engine: LocalEngine, tmp_path: Path, mode: str
) -> None:
    async with running(make(engine, tmp_path, "ok", call_deadline=60)) as child:
        with anyio.fail_after(5):
            with pytest.raises(ChildProtocolError, match=r"sent|no object"):
                await call(child, mode)
            assert text(await call(child)) == '{"mode": ""}'


async def test_answers_to_nobody_and_answers_twice_do_no_harm(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        assert text(await call(child, "wrong_id")) == "to you"
        assert text(await call(child)) == '{"mode": ""}'


async def test_a_flood_on_stderr_does_not_block(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        assert text(await call(child, "stderr_flood")) == "flooded"


async def test_half_a_character_in_the_arguments_fails_that_call_only(
    engine: LocalEngine, tmp_path: Path
) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        with pytest.raises(InvalidArguments, match="could not be asked"):
            await call(child, "", bad="\ud800")
        assert text(await call(child)) == '{"mode": ""}'


async def test_many_calls_at_once_get_their_own_answers(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        answers: dict[int, str] = {}

        async def one(number: int) -> None:
            answers[number] = text(await call(child, "", number=number))

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(one, number)
    assert {number: json.loads(said)["number"] for number, said in answers.items()} == {
        number: number for number in range(200)
    }


async def test_a_burst_of_changes_is_told_once_with_the_new_list(engine: LocalEngine, tmp_path: Path) -> None:
    heard = Heard()
    async with running(make(engine, tmp_path, "ok", heard=heard)) as child:
        await call(child, "change_list")
        await heard.event.wait()
        assert [tool["name"] for tool in child.definitions.tools] == ["echo", "look", "new2"]
    assert heard.changes == [(child.definitions, frozenset({"tools"}))]


@pytest.mark.parametrize("mode", ["ignore_all", "ignore_term", "grandchild"])
async def test_stopping_ends_whatever_it_does(engine: LocalEngine, tmp_path: Path, mode: str) -> None:
    async with running(make(engine, tmp_path, mode, path=tmp_path / "pids", stop_deadline=0.4)) as child:
        assert child.pid is not None
        pids = [child.pid]
        if mode == "grandchild":
            pids += [int(pid) for pid in (await written(tmp_path / "pids")).split()]
    await gone(pids)


async def test_a_call_under_way_when_the_child_is_stopped_is_told_so(
    engine: LocalEngine, tmp_path: Path
) -> None:
    async with running(make(engine, tmp_path, "ok")) as child, anyio.create_task_group() as tasks:

        async def wait_in_vain() -> None:
            with pytest.raises(ChildGone, match="was stopped"):
                await call(child, "hang")

        tasks.start_soon(wait_in_vain)
        await anyio.wait_all_tasks_blocked()
        child.stop()


async def test_a_child_that_closes_its_input_is_gone(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok", stop_deadline=0.5, call_deadline=60)) as child:
        with pytest.raises(ChildGone):
            await call(child, "close_stdin")
        await child.over.wait()
    assert isinstance(child.failure, ChildGone)


async def test_a_wedged_child_is_ended_and_one_that_only_takes_long_is_not(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "PING_DEADLINE", 0.3)
    async with running(make(engine, tmp_path, "ok", call_deadline=0.2, stop_deadline=0.5)) as child:
        with pytest.raises(CallTimeout):
            await call(child, "hang")
        await child.check()
        assert child.ready
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)
        await child.check()
        with pytest.raises(ChildGone, match="neither a call nor a ping"):
            await call(child)
        await child.over.wait()
    assert child.failure is not None


async def test_a_child_in_use_and_when_it_was_used_are_known(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        before = child.used
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, child, "hang")
            await anyio.wait_all_tasks_blocked()
            assert child.in_use == 1
            tasks.cancel_scope.cancel()
        assert child.in_use == 0
        assert child.used > before


# --- what it asks and tells ----------------------------------------------------------------------


class Ears(Owner):
    """An owner that answers what it is asked, and remembers what it was told."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def began(self, child: Child) -> None:
        self.log.append("began")

    def asked(self, child: Child, incoming: Incoming) -> None:
        self.log.append(incoming.method)
        incoming.answer(b'{"roots":[]}')

    def told(self, child: Child, method: str, params: Any) -> None:
        self.log.append(method)


async def test_what_a_child_asks_and_tells_reaches_its_owner(engine: LocalEngine, tmp_path: Path) -> None:
    ears = Ears()
    async with running(make(engine, tmp_path, "talkative", owner=ears)) as child:
        assert json.loads(text(await call(child, "ask_back"))) == {"result": {"roots": []}}
    assert ears.log == ["began", "roots/list", "notifications/message"]


async def test_without_an_owner_a_child_is_refused_what_it_asks(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        answer = json.loads(text(await call(child, "ask_back")))
    assert answer["error"]["code"] == -32601


async def test_a_child_that_pings_is_answered(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok", owner=Ears())) as child:
        assert json.loads(text(await call(child, "ping_back"))) == {"result": {}}


# --- eras ----------------------------------------------------------------------------------------

MODERN = Speech(True)


def met(child: Child) -> str:
    assert child.met is not None
    return child.met.version


def began(path: Path) -> list[str]:
    """How its lives began: the first requests of each kind that opens a conversation."""
    asked = path.read_text().split()
    return [method for method in asked if method in ("initialize", "server/discover")]


@pytest.mark.parametrize(
    ("mode", "speech", "version", "beginning"),
    [
        ("modern", MODERN, "2026-07-28", ["server/discover"]),
        ("modern", Speech(), "2026-07-28", ["initialize", "server/discover"]),
        ("dual", MODERN, "2026-07-28", ["server/discover"]),
        ("dual", Speech(), "2025-11-25", ["initialize"]),
        ("exits", Speech(), "2025-11-25", ["initialize"]),
        ("exits", MODERN, "2025-11-25", ["server/discover", "initialize"]),
        ("silent", MODERN, "2025-11-25", ["server/discover", "initialize"]),
    ],
)
async def test_a_child_is_met_in_the_era_of_its_host_or_else_in_its_own(
    engine: LocalEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    speech: Speech,
    version: str,
    beginning: list[str],
) -> None:
    monkeypatch.setattr(handshake, "PROBE_DEADLINE", 0.2 if mode == "silent" else 10)
    path = tmp_path / "asked"
    async with running(make(engine, tmp_path, mode, path=path, speech=speech, program=modern)) as child:
        assert met(child) == version
        assert child.modern is (version == "2026-07-28")
        assert text(await call(child)) == ("modern" if child.modern else "legacy")
        assert len(child.definitions.tools) == 6
    assert began(path) == beginning


async def test_the_old_fake_of_the_modern_era_is_found_in_it(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "modern")) as child:
        assert met(child) == "2026-07-28"


@pytest.mark.parametrize("speech", [Speech(), MODERN])
@pytest.mark.parametrize(
    ("mode", "kind", "said"),
    [
        ("neither", ChildError, "both ways|Method not found"),
        ("stranger", ChildError, "1999-01-01|no version|both ways"),
        ("odd", ChildProtocolError, "no object"),
        ("strict", ChildError, "your plan does not include this|both ways"),
    ],
)
async def test_a_child_that_speaks_no_era_is_refused_with_the_reason(
    engine: LocalEngine, tmp_path: Path, mode: str, kind: type[ChildError], said: str, speech: Speech
) -> None:
    child = make(engine, tmp_path, mode, speech=speech, program=modern)
    with pytest.raises(kind, match=said):
        async with running(child):
            pytest.fail("it started")
    assert child.over.is_set()


async def test_a_refusal_of_the_handshake_is_told_though_the_other_era_was_tried(
    engine: LocalEngine, tmp_path: Path
) -> None:
    with pytest.raises(StartFailed, match="your plan does not include this"):
        async with running(make(engine, tmp_path, "strict", program=modern)):
            pytest.fail("it started")


async def test_a_child_whose_only_era_is_known_is_not_asked_for_the_other(
    engine: LocalEngine, tmp_path: Path
) -> None:
    path = tmp_path / "asked"
    child = make(engine, tmp_path, "modern", path=path, speech=MODERN, only=True, program=modern)
    async with running(child):
        assert child.modern
    assert began(path) == ["server/discover"]
    child = make(engine, tmp_path, "exits", speech=MODERN, only=True, program=modern)
    with pytest.raises(StartFailed, match="exited with code 4"):
        async with running(child):
            pytest.fail("it started")


async def test_a_modern_child_hears_of_the_era_and_the_host_with_every_request(
    engine: LocalEngine, tmp_path: Path
) -> None:
    speech = Speech(True, {"elicitation": {}})
    async with running(make(engine, tmp_path, "modern", speech=speech, program=modern)) as child:
        answer = await child.request("tools/call", {"name": "echo", "_meta": {"mine": 1}})
    seen = answer["_seen"]
    assert seen["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert seen["io.modelcontextprotocol/clientCapabilities"] == {"elicitation": {}}
    assert seen["io.modelcontextprotocol/clientInfo"]["name"] == "war-room"
    assert seen["mine"] == 1


async def test_the_questions_of_a_modern_child_come_as_results(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "modern", speech=MODERN, program=modern)) as child:
        first = await child.request("tools/call", {"name": "ask"})
        assert first["resultType"] == "input_required"
        again = {"name": "ask", "inputResponses": {"r0": {"action": "accept"}}}
        second = await child.request("tools/call", {**again, "requestState": first["requestState"]})
        assert second["requestState"] == "state-2"
        last = await child.request("tools/call", {**again, "requestState": second["requestState"]})
    assert json.loads(text(last)) == {"r0": {"action": "accept"}}


async def test_a_modern_childs_changed_list_is_heard_by_listening(
    engine: LocalEngine, tmp_path: Path
) -> None:
    heard, path = Heard(), tmp_path / "asked"
    child = make(engine, tmp_path, "modern", path=path, speech=MODERN, heard=heard, program=modern)
    async with running(child):
        await until(path, "subscriptions/listen")
        await child.request("tools/call", {"name": "grow"})
        await heard.event.wait()
    assert heard.changes[0][1] == {"tools"}
    assert len(heard.changes[0][0].tools) == 7


async def test_a_modern_child_that_ends_the_stream_is_listened_to_again(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "RELIST_INTERVAL", 0.0)
    path = tmp_path / "asked"
    async with running(make(engine, tmp_path, "modern", path=path, speech=MODERN, program=modern)) as child:
        await until(path, "subscriptions/listen")
        await child.request("tools/call", {"name": "end_listening"})
        await until(path, "subscriptions/listen", times=2)


@pytest.mark.parametrize("speech", [Speech(), MODERN])
async def test_a_watched_resource_is_told_of_until_it_is_watched_no_longer(
    engine: LocalEngine, tmp_path: Path, speech: Speech
) -> None:
    ears, path = Ears(), tmp_path / "asked"
    child = make(engine, tmp_path, "dual", path=path, speech=speech, owner=ears, program=modern)
    updated = "notifications/resources/updated"
    subscribing = "subscriptions/listen" if speech.modern else "resources/subscribe"
    leaving = "notifications/cancelled" if speech.modern else "resources/unsubscribe"
    async with running(child):
        if speech.modern:
            await until(path, subscribing)
        await child.watch(frozenset({"a://b"}))
        await until(path, subscribing, times=2 if speech.modern else 1)
        await child.watch(frozenset({"a://b"}))
        await child.request("tools/call", {"name": "touch"})
        assert ears.log.count(updated) == 1
        await child.watch(frozenset())
        await until(path, leaving)
    assert path.read_text().split().count("resources/subscribe") == (0 if speech.modern else 1)


# --- a host's own parameters ---------------------------------------------------------------------


@pytest.mark.parametrize("speech", [Speech(), MODERN])
async def test_of_a_hosts_meta_only_what_is_not_of_its_own_connection_goes_on(
    engine: LocalEngine, tmp_path: Path, speech: Speech
) -> None:
    given = encode(
        {
            "name": "echo",
            "arguments": {"n": 1},
            "_meta": {
                "mine": [1.0],
                "progressToken": "theirs",
                "io.modelcontextprotocol/protocolVersion": "1999-01-01",
                "io.modelcontextprotocol/clientInfo": {"name": "host"},
                "io.modelcontextprotocol/clientCapabilities": {"roots": {}},
            },
        }
    )
    async with running(make(engine, tmp_path, "dual", speech=speech, program=modern)) as child:
        params = value_of(
            child.params(fields_of(given), capabilities={"sampling": {}}, progress=True, meta={"more": 2})
        )
        bare = child.params(fields_of(b'{"name":"echo"}'), capabilities={}, progress=False)
        odd = value_of(child.params(fields_of(b'{"_meta":7}'), capabilities={}, progress=False))
    meta = params.pop("_meta")
    assert params == {"name": "echo", "arguments": {"n": 1}}
    assert (meta.pop("mine"), meta.pop("more")) == ([1.0], 2)
    assert isinstance(meta.pop("progressToken"), int)
    if speech.modern:
        assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "war-room"
        assert meta["io.modelcontextprotocol/clientCapabilities"] == {"sampling": {}}
    else:
        assert meta == {}
        assert bare == b'{"name":"echo"}'
        assert odd == {}


async def test_a_posted_requests_outcome_goes_to_its_sink_and_a_withdrawn_ones_nowhere(
    engine: LocalEngine, tmp_path: Path
) -> None:
    path = tmp_path / "cancelled"
    async with running(make(engine, tmp_path, "ok", path=path)) as child:
        replied, withdrawn = Sink(child), Sink(child)
        child.post("tools/call", b'{"name":"echo","arguments":{"mode":"hang"}}', withdrawn)
        number = child.post("tools/call", b'{"name":"echo","arguments":{"mode":"hang"}}', Sink(child))
        child.post("tools/call", b'{"name":"echo","arguments":{"n":1}}', replied)
        assert child.in_use == 3
        await replied.heard.wait()
        child.withdraw(number, "no longer wanted")
        assert json.loads(await written(path)) == {"requestId": number, "reason": "no longer wanted"}
    assert replied.said == ["replied"]
    assert withdrawn.said == ["lost"]  # the child was stopped


class Sink:
    """Who waits for the outcome of one posted request."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.said: list[str] = []
        self.heard = anyio.Event()

    def _note(self, what: str) -> None:
        self.said.append(what)
        self._child.answered()
        self.heard.set()

    def replied(self, result: object) -> None:
        self._note("replied")

    def refused(self, error: object) -> None:
        self._note("refused")

    def lost(self, error: object) -> None:
        self._note("lost")

    def progressed(self, fields: Fields) -> None:
        self.said.append("progressed")


async def until(path: Path, method: str, times: int = 1) -> None:
    """Return when the child was sent a method so many times."""
    while not (path.exists() and path.read_text().split().count(method) >= times):  # noqa: ASYNC110
        await anyio.sleep(0.01)
