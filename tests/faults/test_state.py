"""Writers of the state that are killed at any moment: what they were told is done, is done."""

import os
from pathlib import Path

import pytest

from tests.store.processes import finish, running

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="forks")]

# Each trial forks a writer that adds and removes servers and tells of each that is done; a timer that
# nobody handles kills it somewhere. The parent then knows what must be there. `tests/store` kills between
# any two lines of the package; this one also within the calls of the system.
CONFIG = """
import json, os, random, signal, sys
from pathlib import Path
from tests.store.examples import added
from warroom_mcp.store import ConfigFile

path, trials, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
dice = random.Random(seed)
config = ConfigFile(path)
config.add(added(name="always"))

def steps():
    for number in range(1_000_000):
        yield "add", f"s{number % 7}"
        if number % 3:
            yield "remove", f"s{(number - 1) % 7}"

def carry_out(step, names):
    return names | {step[1]} if step[0] == "add" else names - {step[1]}

def write(told, after):
    signal.setitimer(signal.ITIMER_REAL, after)
    for what, name in steps():
        config.add(added(name=name)) if what == "add" else config.remove(name)
        os.write(told, b".")

known, done = {"always"}, 0
for trial in range(trials):
    reading, told = os.pipe()
    after = dice.uniform(0.0001, 0.012)
    child = os.fork()
    if child == 0:
        write(told, after)
        os._exit(1)
    os.close(told)
    with os.fdopen(reading, "rb") as stream:
        acknowledged = len(stream.read())
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), (trial, status)
    expected, some = known, steps()
    for _ in range(acknowledged):
        expected = carry_out(next(some), expected)
    desired = config.load()
    names = set(desired.servers)
    assert json.loads(path.read_text())["mcpServers"].keys() == names
    assert not desired.foreign, desired.foreign
    # The one under way when it was killed may be done, and not yet told.
    assert names in (expected, carry_out(next(some), expected)), (trial, acknowledged, names, expected)
    known, done = names, done + acknowledged
config.add(added(name="last"))
assert sorted(os.listdir(path.parent)) == ["mcp-config.json", "mcp-config.json.lock"]
print(done)
"""


def test_no_kill_at_any_moment_breaks_the_config_or_loses_what_was_acknowledged(home: Path) -> None:
    with running(CONFIG, str(home / "mcp-config.json"), "250", "7") as process:
        assert int(finish(process)) >= 20


# Two writers, one of which is killed again and again: the lock it held is nobody's then.
RIVALS = """
import os, random, signal, sys
from pathlib import Path
from tests.store.examples import added
from warroom_mcp.store import ConfigFile

path, trials = Path(sys.argv[1]), int(sys.argv[2])
dice = random.Random(3)
config = ConfigFile(path, lock_seconds=30)

def write():
    signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0001, 0.02))
    while True:
        config.add(added(name="theirs"))
        config.remove("theirs")

for trial in range(trials):
    dice.random()
    child = os.fork()
    if child == 0:
        write()
    mine = f"mine-{trial}"
    config.add(added(name=mine))
    os.waitpid(child, 0)
    assert {f"mine-{number}" for number in range(trial + 1)} == set(config.load().servers) - {"theirs"}
print(trials)
"""


def test_a_writer_that_is_killed_costs_another_one_nothing(home: Path) -> None:
    with running(RIVALS, str(home / "mcp-config.json"), "60") as process:
        assert int(finish(process)) == 60


# The database, as above: a count goes up by one for each write that was acknowledged.
DATABASE = """
import os, random, signal, sys
from pathlib import Path
import anyio
from warroom_mcp.models import ToolUsage
from warroom_mcp.store import SqliteStore

path, trials = Path(sys.argv[1]), int(sys.argv[2])
dice = random.Random(11)

async def write(told, after):
    store = SqliteStore(path)
    await store.usage()
    signal.setitimer(signal.ITIMER_REAL, after)
    while True:
        await store.add_usage([ToolUsage("s", "t", calls=1)])
        os.write(told, b".")

async def count():
    store = SqliteStore(path)
    found = await store.usage()
    await store.aclose()
    return sum(one.calls for one in found)

known, done = 0, 0
for trial in range(trials):
    reading, told = os.pipe()
    after = dice.uniform(0.0001, 0.01)
    child = os.fork()
    if child == 0:
        anyio.run(write, told, after)
    os.close(told)
    with os.fdopen(reading, "rb") as stream:
        acknowledged = len(stream.read())
    os.waitpid(child, 0)
    found = anyio.run(count)
    assert known + acknowledged <= found <= known + acknowledged + 1, (trial, known, acknowledged, found)
    known, done = found, done + acknowledged
print(done)
"""


def test_no_kill_at_any_moment_breaks_the_database_or_loses_what_was_acknowledged(home: Path) -> None:
    with running(DATABASE, str(home / "state.db"), "200") as process:
        assert int(finish(process)) >= 20
