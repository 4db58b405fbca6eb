"""The machine has no more of something: one thing fails with a hint, the others go on, and it comes back."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.children.processes import gone, written
from tests.faults.host import Host, fake, war_room

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are set by prlimit"),
]


# Limits of processes do not hold for the superuser: this is somebody who may do nothing but read and write.
SOMEBODY = (
    *("setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all,+dac_override"),
    *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
)
LIMIT = """
import resource, sys
pid, which, value = map(int, sys.argv[1:])
hard = resource.prlimit(pid, which)[1]
resource.prlimit(pid, which, (hard if value < 0 else value, hard))
"""


@contextmanager
def limited(host: Host, which: int, value: int, *, before: Sequence[str] = ()) -> Iterator[None]:
    """War Room may have no more than so much of a resource; `before` is who it runs as."""

    def limit(value: int) -> None:
        numbers = map(str, (host.process.pid, which, value))
        subprocess.run([*before, sys.executable, "-S", "-E", "-c", LIMIT, *numbers], check=True)

    limit(value)
    try:
        yield
    finally:
        limit(-1)


@pytest.mark.parametrize("spare", [-99, 0, 4])
async def test_without_a_free_file_descriptor_one_start_fails_and_the_others_run(
    spare: int, home: Path
) -> None:
    """However far a start gets before there are none."""
    async with war_room(home, {"bad": fake(), "good": fake()}) as host:
        files = host.room.num_fds()
        assert (await host.failure("bad__echo", mode="crash"))["code"] == "child_gone"
        with limited(host, resource.RLIMIT_NOFILE, max(3, host.room.num_fds() + spare)):
            error = await host.failure("bad__echo")
            assert error["code"] == "start_failed"
            assert "ulimit -n" in error["hint"]
            assert error["retryable"]
            for number in range(20):
                assert await host.text("good__echo", say=str(number))
        await host.recovers("bad__echo")
        assert len(host.children()) == 2
        assert host.room.num_fds() <= files


async def test_without_a_free_file_descriptor_a_childs_processes_still_end_with_it(
    home: Path, tmp_path: Path
) -> None:
    modes = ("grandchild", "setsid", "daemon")
    servers = {mode: fake(mode, tmp_path / mode) for mode in modes}
    async with war_room(home, {**servers, "good": fake()}) as host:
        pids = set()
        for mode in modes:
            pids |= {int(pid) for pid in (await written(tmp_path / mode)).split()}
        with limited(host, resource.RLIMIT_NOFILE, 3):
            for mode in modes:
                assert (await host.failure(f"{mode}__echo", mode="crash"))["code"] == "child_gone"
            assert await host.text("good__echo", say="x")
        await gone(pids)
        for mode in modes:
            (tmp_path / mode).unlink()
            await host.recovers(f"{mode}__echo")


async def test_where_no_process_can_be_started_one_start_fails_and_the_others_run(home: Path) -> None:
    before = SOMEBODY if os.getuid() == 0 else ()
    async with war_room(home, {"bad": fake(), "good": fake()}, before=before) as host:
        assert (await host.failure("bad__echo", mode="crash"))["code"] == "child_gone"
        with limited(host, resource.RLIMIT_NPROC, 1, before=before):
            error = await host.failure("bad__echo")
            assert error["code"] == "start_failed"
            assert "no more processes" in error["hint"]
            assert error["retryable"]
            for number in range(20):
                assert await host.text("good__echo", say=str(number))
        await host.recovers("bad__echo")


async def test_on_a_full_disk_servers_run_on_and_no_change_is_half_made(home: Path) -> None:
    async with war_room(home, {"bad": fake(), "good": fake()}) as host:
        config = (home / "mcp-config.json").read_bytes()
        with limited(host, resource.RLIMIT_FSIZE, 0):
            error = await host.failure("remove_server", name="bad")
            assert error["code"] == "state_not_writable"
            assert "WARROOM_HOME" in error["hint"]
            assert (home / "mcp-config.json").read_bytes() == config
            for name in ("bad", "good"):
                assert await host.text(f"{name}__echo", say="x")
        assert not (await host.call("remove_server", name="bad")).get("isError")
        assert await host.text("good__echo", say="x")
    assert [file.name for file in home.glob("mcp-config.json*")] != []
    assert b'"bad"' not in (home / "mcp-config.json").read_bytes()
