"""A remote server that no longer accepts us: it is parked, and left alone until a person does something."""

import os
from pathlib import Path

import pytest

from tests.faults.host import fake, war_room
from tests.faults.remote import remote

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="the fake child is for POSIX")]


async def test_twenty_calls_of_a_server_that_turns_us_away_send_one_request(home: Path) -> None:
    with remote() as far:
        async with war_room(home, {"far": far.url, "good": fake()}) as host:
            assert await host.text("far__echo", say="x") == '{"say": "x"}'
            far.status = 401
            before = len(far.requests)
            for number in range(20):
                error = await host.failure("far__echo", say=number)
                assert error["code"] == "authorization_needed"
                assert "warroom authorize" in error["hint"]
                assert not error["retryable"]
                assert await host.text("good__echo", say="x")
            assert far.requests[before:].count("POST tools/call") == 1
            sent = len(far.requests)
            for _ in range(20):
                await host.failure("far__echo")
            assert len(far.requests) == sent
            state = await host.status("far")
            assert state["state"] == "failed"
            assert "warroom authorize" in state["next_step"]
        # Not even at the end: it would not be let in to say goodbye.
        assert len(far.requests) - sent <= 1


async def test_calls_at_the_same_time_are_turned_away_once_each_and_no_more_are_sent(home: Path) -> None:
    with remote() as far:
        async with war_room(home, {"far": far.url, "good": fake()}) as host:
            assert await host.text("far__echo", say="x")
            far.status = 401
            before = len(far.requests)
            params = {"name": "far__echo", "arguments": {}}
            answers = [host.ask("tools/call", params)[1] for _ in range(20)]
            for answer in answers:
                assert (await answer)["result"]["isError"]
            for _ in range(20):
                await host.failure("far__echo")
            # One that was on its way when the first was turned away may arrive late; the others never left.
            assert len(far.requests) - before <= 20
            assert await host.text("good__echo", say="x")


@pytest.mark.parametrize(("status", "retryable"), [(503, True), (429, True), (500, True), (403, False)])
async def test_a_status_that_says_no_to_one_call_parks_nothing(
    status: int, retryable: bool, home: Path
) -> None:
    with remote() as far:
        async with war_room(home, {"far": far.url, "good": fake()}) as host:
            assert await host.text("far__echo", say="x")
            far.status = status
            before = len(far.requests)
            error = await host.failure("far__echo")
            assert error["code"] == "child_protocol_error"
            assert f"the HTTP status {status}" in error["message"]
            assert error["retryable"] is retryable
            assert far.requests[before:] == ["POST tools/call"]
            assert await host.text("good__echo", say="x")
            far.status = None
            assert await host.text("far__echo", say="x")
