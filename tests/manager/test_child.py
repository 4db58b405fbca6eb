"""One child and everything that it can do wrong: each a structured error in time, and no one else hurt."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from tests.children.processes import environment, fake, gone, written
from warroom_mcp.engine.local import LocalEngine
from warroom_mcp.errors import (
    CallTimeout,
    ChildError,
    ChildGone,
    ChildProtocolError,
    StartFailed,
    StartTimeout,
    WarRoomError,
)
from warroom_mcp.manager.child import Child
from warroom_mcp.manager.stdio import open_stdio
from warroom_mcp.models import Definitions
from warroom_mcp.settings import Settings

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
    modern: bool = False,
    hidden: list[str] | None = None,
    **options: Any,
) -> Child:
    settings = Settings(**{"start_deadline": 10.0, "call_deadline": 10.0, **options})

    def open_link() -> Any:
        return open_stdio(
            engine,
            fake(mode, path),
            env=environment(),
            cwd=here,
            name="fake",
            max_message_bytes=settings.max_message_bytes,
            grace=settings.stop_deadline,
            hidden=hidden or [],
        )

    return Child("fake", open_link, settings, on_changed=heard, modern=modern)


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
    assert offered.protocol_version == child.protocol_version == "2025-11-25"
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


async def test_a_child_of_the_modern_era_is_started_once_more_in_its_era(
    engine: LocalEngine, tmp_path: Path
) -> None:
    async with running(make(engine, tmp_path, "modern")) as child:
        assert child.protocol_version == "2026-07-28"
        assert len(child.definitions.tools) == 2
        answer = await child.request("tools/call", {"name": "echo", "_meta": {"mine": 1, "progressToken": 9}})
    assert answer["_seen"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert answer["_seen"]["mine"] == 1
    async with running(make(engine, tmp_path, "modern", modern=True)) as child:
        assert child.protocol_version == "2026-07-28"


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


@pytest.mark.slow
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
        with pytest.raises(MCPError) as caught:
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


@pytest.mark.slow
async def test_progress_is_passed_on_and_extends_the_deadline(engine: LocalEngine, tmp_path: Path) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with running(make(engine, tmp_path, "ok", call_deadline=0.6)) as child:
        params = {"name": "echo", "arguments": {"mode": "progress", "pause": 0.25, "steps": 4}}
        answer = await child.request("tools/call", params, on_progress=note)
    assert text(answer) == "done"
    assert seen[:3] == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def test_a_big_result_passes(engine: LocalEngine, tmp_path: Path) -> None:
    async with running(make(engine, tmp_path, "ok")) as child:
        assert len(text(await call(child, "big", size=5_000_000))) == 5_000_000


@pytest.mark.slow
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
            with pytest.raises(ChildProtocolError, match="sent"):
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
        with pytest.raises(ChildProtocolError, match="could not be asked"):
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
