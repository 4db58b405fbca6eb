"""Calls that the host gives up: the child is told, and nothing of them stays."""

import json
import os
from pathlib import Path

import pytest

from tests.children.processes import gone, written
from tests.faults.host import fake, war_room

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="the fake child is for POSIX")]


async def test_a_call_that_is_given_up_is_told_to_its_child_and_answered_by_nobody(
    home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cancelled"
    async with war_room(home, {"bad": fake("ok", path), "good": fake()}) as host:
        number, answer = host.ask("tools/call", {"name": "bad__echo", "arguments": {"mode": "hang"}})
        host.send({"method": "notifications/cancelled", "params": {"requestId": number}})
        told = json.loads(await written(path))
        assert isinstance(told["requestId"], int)
        assert await host.text("bad__echo", say="again")
        assert await host.text("good__echo", say="again")
        assert not answer.done()


async def test_calls_that_are_given_up_do_not_keep_their_child_awake(home: Path) -> None:
    """A child sleeps when no call of it is under way; one that was forgotten would keep it up for good."""
    async with war_room(home, {"bad": fake()}, env={"WARROOM_IDLE_SECONDS": "0.4"}) as host:
        assert await host.text("bad__echo", say="x")
        files = host.room.num_fds()
        (pid,) = host.children()
        for _ in range(200):
            number, _ = host.ask("tools/call", {"name": "bad__echo", "arguments": {"mode": "hang"}})
            host.send({"method": "notifications/cancelled", "params": {"requestId": number}})
        await host.names()
        await gone({pid})
        assert await host.text("bad__echo", say="it wakes")
        assert host.room.num_fds() <= files


async def test_giving_up_a_call_that_wakes_a_child_leaves_no_half_started_one(
    home: Path, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    async with war_room(home, {"bad": fake("silent_again", starts), "good": fake()}) as host:
        before = host.children()
        await host.call("bad__echo", mode="crash")
        (good,) = before & host.children()
        number, _ = host.ask("tools/call", {"name": "bad__echo", "arguments": {}})
        while not (new := host.children() - {good}):
            await host.names()
        host.send({"method": "notifications/cancelled", "params": {"requestId": number}})
        await gone(new)
        starts.unlink(missing_ok=True)
        assert await host.text("bad__echo", say="again")


async def test_rubbish_from_the_host_costs_no_call_under_way(home: Path) -> None:
    async with war_room(home, {"bad": fake(), "good": fake()}) as host:
        pause = {"mode": "progress", "steps": 3, "pause": 0.1}
        _, answer = host.ask("tools/call", {"name": "bad__echo", "arguments": pause})
        host.send({"method": "notifications/cancelled", "params": {"requestId": 4711}})
        host.send({"method": "notifications/cancelled"})
        host.send({"method": "notifications/nobody/knows"})
        host.send({"id": 4711, "result": {}})
        assert (await answer)["result"]["content"][0]["text"] == "done"
        assert await host.text("good__echo", say="x")
