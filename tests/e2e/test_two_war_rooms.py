"""Two War Rooms on one directory: nothing is lost, and each sees what the other did."""

import json
from pathlib import Path

import anyio
import pytest

from tests.e2e.host import Host, connected, text
from tests.e2e.packages import serve
from tests.standins.registry import StandInRegistry

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stocked")]


async def names(host: Host) -> set[str]:
    """The servers that a War Room knows."""
    return {server["name"] for server in (await host.own("list_servers"))["servers"]}


async def test_what_one_adds_the_other_can_use_and_remove(
    home: Path, stand_in: StandInRegistry, offline: dict[str, str]
) -> None:
    candidate = serve(stand_in, "etcd", "ok")
    with anyio.fail_after(60):
        async with (
            connected("handshake", home, env=offline) as one,
            connected("modern", home, env=offline) as other,
        ):
            await one.own("add_server", candidate_id=candidate.id)
            # Nothing was listed in between: a tool is found by its name alone.
            assert "ok {}" in text(await other.call("use_tool", {"tool": "etcd-ok__echo", "arguments": {}}))
            assert "etcd-ok__echo" in await other.tool_names()
            assert await names(other) == await names(one) == {"etcd-ok"}

            again = await other.own("add_server", candidate_id=candidate.id)
            assert (again["server"], again["new"]) == ("etcd-ok", False)
            assert other.cards == []

            await other.own("remove_server", name="etcd-ok")
            assert await names(one) == set()
            assert "etcd-ok__echo" not in await one.tool_names()


async def test_additions_at_the_same_time_are_all_kept(
    home: Path, stand_in: StandInRegistry, offline: dict[str, str]
) -> None:
    kinds = ("etcd", "nats", "consul", "minio")
    candidates = [serve(stand_in, technology, "ok").id for technology in kinds]
    with anyio.fail_after(60):
        async with (
            connected("handshake", home, env=offline) as one,
            connected("handshake", home, env=offline) as other,
        ):
            async with anyio.create_task_group() as tasks:
                for number, candidate in enumerate(candidates):
                    host = (one, other)[number % 2]
                    tasks.start_soon(lambda h, c: h.own("add_server", candidate_id=c), host, candidate)
            wanted = {f"{technology}-ok" for technology in kinds}
            assert await names(one) == await names(other) == wanted
            for name in wanted:
                for host in (one, other):
                    assert not (await host.call(f"{name}__echo")).is_error
    assert json.loads((home / "mcp-config.json").read_text())["mcpServers"].keys() == wanted


@pytest.mark.parametrize("rooms", [1, 2])
async def test_two_servers_that_want_one_name_at_the_same_time_both_come(
    rooms: int, home: Path, stand_in: StandInRegistry, offline: dict[str, str]
) -> None:
    """A person takes a while to answer; in the meantime the other name is given away."""
    first = serve(stand_in, "etcd", "ok", scope="@one")
    second = serve(stand_in, "etcd", "ok", scope="@two")
    with anyio.fail_after(60):
        async with (
            connected("handshake", home, env=offline) as one,
            connected("handshake", home, env=offline) as other,
        ):
            hosts = (one, (one, other)[rooms - 1])
            # Both wait for their answer before either gets one.
            gate = Gate(2)
            for host in {id(host): host for host in hosts}.values():
                host.before_answer = gate.pass_together
            async with anyio.create_task_group() as tasks:
                for host, candidate in zip(hosts, (first, second), strict=True):
                    tasks.start_soon(lambda h, c: h.own("add_server", candidate_id=c.id), host, candidate)
            servers = (await one.own("list_servers"))["servers"]
            assert {s["candidate_id"] for s in servers} == {first.id, second.id}
            assert {s["name"] for s in servers} == {"etcd-ok", "etcd-ok-2"}


class Gate:
    """Lets the first `width` through only when all of them are there; those that come later at once."""

    def __init__(self, width: int) -> None:
        self._missing = width
        self._open = anyio.Event()

    async def pass_together(self) -> None:
        """Wait for the others."""
        self._missing -= 1
        if self._missing == 0:
            self._open.set()
        await self._open.wait()


async def test_a_child_that_one_lost_is_no_matter_of_the_other(
    home: Path, stand_in: StandInRegistry, offline: dict[str, str]
) -> None:
    candidate = serve(stand_in, "etcd", "ok")
    with anyio.fail_after(60):
        async with connected("handshake", home, env=offline) as one:
            await one.own("add_server", candidate_id=candidate.id)
            async with connected("handshake", home, env=offline) as other:
                assert not (await other.call("etcd-ok__echo")).is_error
                assert (await one.call("etcd-ok__die")).is_error
                assert not (await other.call("etcd-ok__echo")).is_error
            assert not (await one.call("etcd-ok__echo")).is_error
