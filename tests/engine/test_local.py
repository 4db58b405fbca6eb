"""Real processes: what is started, what is left, what is given back."""

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import psutil
import pytest

from tests.children.processes import alive, environment, fake, gone, written
from warroom_mcp.engine import ChildProcess
from warroom_mcp.engine.local import TAIL_BYTES, LocalEngine
from warroom_mcp.errors import StartFailed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")


@pytest.fixture
async def engine() -> AsyncIterator[LocalEngine]:
    engine = LocalEngine()
    yield engine
    await engine.aclose()


async def start(engine: LocalEngine, cwd: Path, *argv: str) -> ChildProcess:
    return await engine.spawn(argv, env=environment(), cwd=cwd, name="fake")


class Output:
    """What a child writes to stdout."""

    def __init__(self, child: ChildProcess) -> None:
        self.data = b""
        self.over = anyio.Event()
        self.ends = 0
        self._news = anyio.Event()
        child.read(self._take, self._end)

    def _take(self, data: bytes) -> None:
        self.data += data
        self._news.set()

    def _end(self) -> None:
        self.ends += 1
        self.over.set()

    async def line(self) -> bytes:
        """Its first line, once it is there."""
        while b"\n" not in self.data:
            await self._news.wait()
            self._news = anyio.Event()
        return self.data.partition(b"\n")[0]


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", code]


async def test_a_child_gets_exactly_its_environment_and_its_directory(
    engine: LocalEngine, tmp_path: Path
) -> None:
    code = "import os; print(sorted(os.environ), os.getcwd(), flush=True)"
    with anyio.fail_after(10):
        child = await engine.spawn(python(code), env={"LC_ALL": "C", "GIVEN": "1"}, cwd=tmp_path, name="fake")
        said = await Output(child).line()
        await child.stop(1)
    assert said.decode().split("] ") == ["['GIVEN', 'LC_ALL', 'WARROOM_CHILD'", str(tmp_path)]


async def test_a_child_reads_what_is_written_to_it(engine: LocalEngine, tmp_path: Path) -> None:
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python("print(input()[::-1], flush=True)"))
        output = Output(child)
        child.write(b"abc\n")
        await output.over.wait()
        assert output.data == b"cba\n"
        assert await child.wait() == 0
        await child.stop(1)
    assert output.ends == 1


async def test_what_was_written_before_anyone_reads_is_kept(engine: LocalEngine, tmp_path: Path) -> None:
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python("print('early'); print('late')"))
        assert await child.wait() == 0
        output = Output(child)
        await output.over.wait()
        await child.stop(1)
    assert output.data == b"early\nlate\n"


async def test_input_that_is_not_taken_is_counted_and_taken_later(
    engine: LocalEngine, tmp_path: Path
) -> None:
    code = (
        "import sys; print(1, flush=True); "
        "sys.stdin.buffer.readline(); n = len(sys.stdin.buffer.read(3_000_000)); print(n, flush=True)"
    )
    size = 3_000_000
    with anyio.fail_after(20):
        child = await start(engine, tmp_path, *python("import time; time.sleep(600)"))
        child.write(b"x" * size)
        assert 0 < child.unsent <= size
        assert child.taken + child.unsent == size
        await child.stop(0.2)
        assert child.unsent == 0
        reader = await start(engine, tmp_path, *python(code))
        output = Output(reader)
        reader.write(b"\n" + b"y" * size)
        reader.close_input()
        await output.over.wait()
        assert output.data.split() == [b"1", b"3000000"]
        assert (reader.unsent, reader.taken) == (0, size + 1)
        await reader.stop(1)


async def test_a_child_that_is_gone_is_written_to_in_vain(engine: LocalEngine, tmp_path: Path) -> None:
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python("pass"))
        assert await child.wait() == 0
        child.write(b"hello?\n")
        child.close_input()
        child.write(b"hello?\n")
        await child.stop(1)
        child.write(b"hello?\n")
        assert child.unsent == 0


async def test_a_child_that_closes_its_input_is_over_after_its_last_output(
    engine: LocalEngine, tmp_path: Path
) -> None:
    code = "import os, time; os.close(0); print('last', flush=True); time.sleep(600)"
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python(code))
        output = Output(child)
        await output.over.wait()
        assert output.data == b"last\n"
        assert child.returncode is None
        await child.stop(0.2)
    assert output.ends == 1


async def test_the_end_that_was_asked_for_is_told_once(engine: LocalEngine, tmp_path: Path) -> None:
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python("import sys; sys.stdin.read(); print('bye')"))
        output = Output(child)
        await child.stop(4)
        await output.over.wait()
    assert output.data == b"bye\n"
    assert output.ends == 1


async def test_a_child_that_leaves_at_end_of_input_is_not_signalled(
    engine: LocalEngine, tmp_path: Path
) -> None:
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python("import sys; sys.stdin.read(); sys.exit(5)"))
        await child.stop(4)
    assert child.returncode == 5


async def test_a_child_that_ignores_the_end_of_input_gets_sigterm(
    engine: LocalEngine, tmp_path: Path
) -> None:
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python("import time; time.sleep(600)"))
        await child.stop(0.2)
    assert child.returncode == -signal.SIGTERM


async def test_a_child_that_ignores_everything_is_killed(engine: LocalEngine, tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, 1); print(1, flush=True); time.sleep(600)"
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python(code))
        await Output(child).line()
        await child.stop(0.2)
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize("mode", ["grandchild", "setsid", "daemon"])
async def test_a_clean_exit_leaves_no_process_behind(engine: LocalEngine, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "pids"
    with anyio.fail_after(15):
        child = await start(engine, tmp_path, *fake(mode, path))
        pids = [int(pid) for pid in (await written(path)).split()]
        await child.stop(4)
        assert child.returncode == 0
        await gone(pids)


async def test_a_crashed_childs_processes_are_ended_too(engine: LocalEngine, tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with anyio.fail_after(15):
        child = await start(engine, tmp_path, *fake("setsid", path))
        pids = [int(pid) for pid in (await written(path)).split()]
        os.kill(child.pid, signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
        await child.stop(4)
        await gone(pids)


async def test_stop_runs_to_its_end_when_the_caller_is_cancelled(engine: LocalEngine, tmp_path: Path) -> None:
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python("import time; time.sleep(600)"))
        with anyio.CancelScope() as scope:
            scope.cancel()
            await child.stop(0.2)
    assert not alive(child.pid)


async def test_a_second_stop_does_nothing(engine: LocalEngine, tmp_path: Path) -> None:
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python("input()"))
        async with anyio.create_task_group() as group:
            group.start_soon(child.stop, 2)
            group.start_soon(child.stop, 2)
        await child.stop(2)
    assert child.returncode is not None


async def test_the_last_words_are_kept_and_a_flood_does_not_block(
    engine: LocalEngine, tmp_path: Path
) -> None:
    code = "import sys; sys.stderr.write('x' * 3_000_000 + 'the end'); sys.stderr.buffer.write(b'\\xff')"
    with anyio.fail_after(10):
        child = await start(engine, tmp_path, *python(code))
        assert await child.wait() == 0
        tail = child.stderr_tail()
        await child.stop(1)
    assert tail.endswith("xthe end\N{REPLACEMENT CHARACTER}")
    assert len(tail) == TAIL_BYTES


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["/nonexistent/program"], "No such file"),
        (["/etc/passwd"], "Permission denied"),
        (["a\0b"], "null"),
        ([], "nothing to start"),
    ],
)
async def test_what_cannot_be_started_is_refused_with_a_hint_and_leaks_nothing(
    engine: LocalEngine, tmp_path: Path, argv: list[str], said: str
) -> None:
    with anyio.fail_after(10):
        with pytest.raises(StartFailed, match=said) as caught:
            await start(engine, tmp_path, *argv)
        gc.collect()  # what earlier tests left behind goes now, and not in between
        before = psutil.Process().num_fds()
        for _ in range(5):
            with pytest.raises(StartFailed):
                await start(engine, tmp_path, *argv)
    assert caught.value.hint != StartFailed.hint
    assert psutil.Process().num_fds() <= before


async def test_no_more_file_descriptors_is_one_failed_start(engine: LocalEngine, tmp_path: Path) -> None:
    import resource

    with anyio.fail_after(10):
        await (await start(engine, tmp_path, *python("pass"))).stop(1)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 1, hard))
        held: list[int] = []
        try:
            while True:
                held.append(os.dup(0))
        except OSError:
            with pytest.raises(StartFailed, match="open files") as caught:
                await start(engine, tmp_path, *python("pass"))
        finally:
            for number in held:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caught.value.retryable
        await (await start(engine, tmp_path, *python("pass"))).stop(1)


async def test_starting_and_stopping_leaks_no_file_descriptor(engine: LocalEngine, tmp_path: Path) -> None:
    with anyio.fail_after(30):
        await (await start(engine, tmp_path, *python("input()"))).stop(2)
        gc.collect()
        before = psutil.Process().num_fds()
        for _ in range(20):
            await (await start(engine, tmp_path, *python("input()"))).stop(2)
    assert psutil.Process().num_fds() <= before
