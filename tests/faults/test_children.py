"""Children that misbehave in a call, one fault a test: told to its caller, and to nobody else."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.children.processes import gone, written
from tests.faults.host import Host, fake, war_room

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="the fake child is for POSIX")]

MEGABYTE = 1024 * 1024


async def others_answer(host: Host, times: int = 20) -> None:
    """The other server answers, call after call."""
    for number in range(times):
        assert f'"{number}"' in await host.text("good__echo", say=str(number))


async def misbehave(host: Host, mode: str, tool: str = "bad__echo", **arguments: Any) -> dict[str, Any]:
    """The result of a misbehaving call, during which the other server answered."""
    _, answer = host.ask("tools/call", {"name": tool, "arguments": {"mode": mode, **arguments}})
    await others_answer(host)
    result: dict[str, Any] = (await answer)["result"]
    return result


def error_of(result: dict[str, Any]) -> dict[str, Any]:
    """The error in a result."""
    assert result["isError"], result
    error: dict[str, Any] = result["structuredContent"]["error"]
    assert {"code", "message", "hint", "retryable"} <= error.keys()
    assert error["hint"]
    return error


def two(bad: str = "ok", path: Path | None = None) -> dict[str, str]:
    """A server that will misbehave, and one that does not."""
    return {"bad": fake(bad, path), "good": fake()}


# --- answers that cannot be used -------------------------------------------------------------

HARMLESS: dict[str, dict[str, Any]] = {
    "rubbish": {},
    "wrong_id": {},
    "surrogate": {},
    "invalid_utf8": {},
    "big": {"size": 10 * MEGABYTE},
    "drip": {"pause": 0.005},
    "stderr_flood": {"times": 2048},
}
SAID = {
    "rubbish": "still here",
    "wrong_id": "to you",
    "surrogate": "a\ufffdb",
    "invalid_utf8": "a\ufffd\ufffdb",
    "drip": "dripped",
    "stderr_flood": "flooded",
}


@pytest.mark.parametrize("mode", HARMLESS)
async def test_what_a_child_gets_wrong_beside_its_answer_costs_the_call_nothing(
    mode: str, home: Path
) -> None:
    async with war_room(home, two()) as host:
        before = host.room.memory_info().rss
        pids = host.children()
        result = await misbehave(host, mode, **HARMLESS[mode])
        assert not result.get("isError"), result
        assert mode == "big" or result["content"][0]["text"] == SAID[mode]
        await others_answer(host)
        assert await host.text("bad__echo", say="again")
        assert host.children() == pids
        if mode == "stderr_flood":  # 128 MB went by, and a few KB are kept
            assert host.room.memory_info().rss - before < 32 * MEGABYTE
        if mode == "rubbish":
            assert "lines that are no messages" in (await host.status("bad"))["reason"]


@pytest.mark.parametrize("mode", ["deep", "deep_id_last", "truncated", "no_result"])
async def test_an_answer_that_cannot_be_read_fails_its_call_at_once(mode: str, home: Path) -> None:
    # No deadline that could end the call: it is the broken answer that does.
    async with war_room(home, two(), env={"WARROOM_CALL_DEADLINE": "300"}) as host:
        pids = host.children()
        error = error_of(await misbehave(host, mode))
        assert error["code"] == "child_protocol_error"
        await others_answer(host)
        assert await host.text("bad__echo", say="again")
        assert host.children() == pids


async def test_an_answer_of_two_hundred_levels_is_as_unreadable_as_one_of_more(home: Path) -> None:
    async with war_room(home, two(), env={"WARROOM_CALL_DEADLINE": "300"}) as host:
        for depth in (200, 5000):
            error = error_of(await misbehave(host, "deep", depth=depth))
            assert "levels" in error["message"] or "cannot be read" in error["message"]
        assert await host.text("bad__echo", say="again")


@pytest.mark.parametrize(("mode", "arguments"), [("big", {"size": 100 * MEGABYTE}), ("endless", {})])
async def test_a_line_without_an_end_fails_its_calls_and_the_child_is_started_anew(
    mode: str, arguments: dict[str, Any], home: Path
) -> None:
    async with war_room(home, two(), env={"WARROOM_CALL_DEADLINE": "300"}) as host:
        before = host.room.memory_info().rss
        _, hanging = host.ask("tools/call", {"name": "bad__echo", "arguments": {"mode": "hang"}})
        error = error_of(await misbehave(host, mode, **arguments))
        assert error["code"] == "child_protocol_error"
        assert "larger than 16777216 bytes" in error["message"]
        assert error_of((await hanging)["result"])["code"] == "child_protocol_error"
        await others_answer(host)
        assert await host.text("bad__echo", say="again")
        assert host.room.memory_info().rss - before < 64 * MEGABYTE


async def test_a_result_that_breaks_its_own_schema_reaches_the_host_and_harms_nobody(home: Path) -> None:
    """The host has the schema and judges; War Room neither crashes nor loses what the child said."""
    async with war_room(home, two("badly_typed")) as host:
        result = await misbehave(host, "badly_typed")
        assert result["structuredContent"] == {"n": "no number"}
        assert result["content"][0]["text"] == "no number"
        await others_answer(host)


# --- ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["crash", "half_line", "close_stdout", "close_stdin"])
async def test_a_child_that_ends_in_a_call_says_whether_a_second_one_is_safe_and_comes_back(
    mode: str, home: Path
) -> None:
    async with war_room(home, two(), env={"WARROOM_CALL_DEADLINE": "300"}) as host:
        pids = host.children()
        error = error_of(await misbehave(host, mode))
        assert error["code"] == "child_gone"
        # The tool may have done its work before: only a person can know.
        assert not error["retryable"]
        assert "look before calling again" in error["hint"]
        if mode in ("crash", "half_line"):
            assert "exited with code 3" in error["message"]
            assert "one last word" in error["message"]
        await others_answer(host)
        assert await host.text("bad__echo", say="again")
        (dead,) = pids - host.children()
        assert not psutil.pid_exists(dead)


async def test_a_tool_that_only_reads_is_called_again_after_a_crash_and_the_host_sees_no_error(
    home: Path, tmp_path: Path
) -> None:
    async with war_room(home, two("ok", tmp_path / "count")) as host:
        result = await misbehave(host, "crash_once", "bad__look")
        assert result["content"][0]["text"] == "second life"


async def test_two_children_that_die_at_once_are_told_apart_and_both_come_back(home: Path) -> None:
    async with war_room(home, {"worse": fake(), **two()}) as host:
        crash = {"mode": "crash"}
        answers = [
            host.ask("tools/call", {"name": name, "arguments": crash})[1]
            for name in ("bad__echo", "worse__echo") * 5
        ]
        await others_answer(host)
        errors = [error_of((await answer)["result"]) for answer in answers]
        assert all(error["code"] == "child_gone" for error in errors)
        assert [error["message"].split()[0] for error in errors] == ["bad", "worse"] * 5
        for name in ("bad", "worse"):
            assert await host.text(f"{name}__echo", say="again")


async def test_a_child_that_dies_again_and_again_is_not_started_again_and_again(
    home: Path, tmp_path: Path
) -> None:
    """One restart is free; then its error comes at once, and the process is not even started."""
    async with war_room(home, two("start_once", tmp_path / "starts")) as host:
        (error_of(await misbehave(host, "crash")))
        for _ in range(30):
            error = await host.failure("bad__echo")
            assert error["code"] == "start_failed"
            assert "exited with code 7" in error["message"]
        await others_answer(host)
        assert (await host.status("bad"))["state"] == "failed"
        assert int((tmp_path / "starts").read_text()) < 5


# --- silence ---------------------------------------------------------------------------------


async def test_a_call_without_an_answer_ends_at_its_deadline_and_the_child_stays(
    home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cancelled"
    async with war_room(home, two("ok", path), env={"WARROOM_CALL_DEADLINE": "0.5"}) as host:
        pids = host.children()
        error = error_of(await misbehave(host, "hang"))
        assert error["code"] == "call_timeout"
        assert error["retryable"]
        assert "too long" in await written(path)
        assert await host.text("bad__echo", say="again")
        assert host.children() == pids


async def test_an_answer_that_drips_in_too_slowly_ends_at_the_deadline_too(home: Path) -> None:
    """It ends itself meanwhile; what arrives later is nobody's, and the next call is answered."""
    async with war_room(home, two(), env={"WARROOM_CALL_DEADLINE": "0.5"}) as host:
        error = error_of(await misbehave(host, "drip", pause=0.01))
        assert error["code"] == "call_timeout"
        await host.recovers("bad__echo")
        await others_answer(host)


async def test_children_that_read_nothing_or_stand_still_are_ended_and_started_anew(home: Path) -> None:
    """The other one shares the wait: it is stopped from outside, as a debugger or a full disk would do."""
    servers = {"still": fake(), **two()}
    async with war_room(home, servers, env={"WARROOM_CALL_DEADLINE": "0.5"}) as host:
        before = host.children()
        await host.call("still__echo", mode="crash")  # it is the one that is new then
        assert await host.text("still__echo", say="again")
        (still,) = host.children() - before
        os.kill(still, signal.SIGSTOP)
        pids = host.children()
        _, frozen = host.ask("tools/call", {"name": "still__echo", "arguments": {}})
        error = error_of(await misbehave(host, "deaf", pad="x" * MEGABYTE))
        # What is sent from here on stays in War Room, for the pipe is full.
        _, piled = host.ask("tools/call", {"name": "bad__echo", "arguments": {"pad": "x" * MEGABYTE}})
        for one in (error, error_of((await frozen)["result"]), error_of((await piled)["result"])):
            assert one["code"] == "call_timeout"
        await others_answer(host)
        await host.recovers("bad__echo")
        await host.recovers("still__echo")
        await gone(pids - host.children())
        assert len(pids - host.children()) == 2


# --- floods ----------------------------------------------------------------------------------

FLOODS: dict[str, dict[str, Any]] = {
    "notifications/progress": {"progressToken": "nobody's", "progress": 1},
    "notifications/tools/list_changed": {},
    "notifications/message": {"level": "debug", "data": "x"},
    "notifications/nobody/knows": {},
}


@pytest.mark.parametrize("method", FLOODS)
async def test_a_flood_of_notifications_delays_nobody_for_good(method: str, home: Path) -> None:
    async with war_room(home, two(), env={"WARROOM_CALL_DEADLINE": "30"}) as host:
        before = host.room.memory_info().rss
        result = await misbehave(host, "flood", method=method, params=FLOODS[method], times=20_000)
        assert result["content"][0]["text"] == "flooded"
        await others_answer(host)
        assert await host.text("bad__echo", say="again")
        told = [message["method"] for message in host.told]
        if method == "notifications/progress":  # of nobody's call
            assert told.count(method) == 0
        assert host.changes() <= 2  # of the servers that came; no list has changed since
        assert host.room.memory_info().rss - before < 32 * MEGABYTE


# --- lists -----------------------------------------------------------------------------------


async def test_ten_thousand_tools_are_listed_and_can_be_called(home: Path) -> None:
    async with war_room(home, two("many_tools")) as host:
        names = await host.names()
        assert sum(name.startswith("bad__") for name in names) == 10_000
        assert await host.text("bad__t9997", say="the last")
        await others_answer(host)


@pytest.mark.parametrize("mode", ["endless_cursor", "same_cursor"])
async def test_a_list_without_an_end_is_cut_and_said_so(mode: str, home: Path) -> None:
    async with war_room(home, two(mode)) as host:
        listed = [name for name in await host.names() if name.startswith("bad__")]
        assert len(listed) == {"endless_cursor": 100, "same_cursor": 2}[mode]
        assert "has no end" in (await host.status("bad"))["reason"]
        assert await host.text(listed[-1], say="x")
        await others_answer(host)


async def test_a_handshake_that_is_never_answered_fails_its_start_alone(home: Path) -> None:
    async with war_room(home, two("no_initialize"), env={"WARROOM_START_DEADLINE": "2"}) as host:
        await others_answer(host)
        status = await host.status("bad")
        assert status["state"] == "failed"
        assert "not ready in 2 seconds" in status["reason"]
        assert status["next_step"]
        assert len(host.children()) == 1


async def test_a_restart_whose_handshake_is_never_answered_fails_its_calls(
    home: Path, tmp_path: Path
) -> None:
    servers = two("silent_again", tmp_path / "starts")
    async with war_room(home, servers, env={"WARROOM_START_DEADLINE": "2"}) as host:
        error_of(await misbehave(host, "crash"))
        error = error_of(await misbehave(host, "ok"))
        assert error["code"] == "start_timeout"
        assert error["retryable"]
        assert len(host.children()) == 1
        (tmp_path / "starts").unlink()  # the machine has recovered, say
        await host.recovers("bad__echo")


async def test_a_list_that_changes_in_mid_call_leaves_the_call_alone_and_reaches_the_host(home: Path) -> None:
    async with war_room(home, two()) as host:
        await host.lists("bad__echo")
        result = await misbehave(host, "vanish")
        assert result["content"][0]["text"] == "gone, and answered"
        await host.lists("bad__echo", still=False)
        assert "bad__look" in await host.names()
        _, answer = host.ask("tools/call", {"name": "bad__echo", "arguments": {}})
        assert (await answer)["error"]["data"]["code"] == "unknown_tool"
        await others_answer(host)


async def test_many_changes_of_a_list_in_mid_call_are_told_few_times(home: Path) -> None:
    async with war_room(home, two()) as host:
        for number in (2, 3):
            await misbehave(host, "change_list")
            await host.lists(f"bad__new{number}")
            assert await host.text(f"bad__new{number}", say="x")
        # Two changes, two servers that came; of each, twenty announcements.
        assert host.changes() <= 4
