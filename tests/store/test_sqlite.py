"""The SQLite store: what is kept, what makes room, what is refused."""

import os
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.examples import ANALYSIS, CANDIDATE, NOON, PLAN, REMOTE, ticket
from tests.store.processes import finish, running
from warroom_mcp.errors import (
    ConfigCorrupt,
    InvalidInput,
    Refusal,
    StateError,
    StateNotWritable,
    UnknownTicket,
)
from warroom_mcp.models import Definitions, TicketState, ToolUsage
from warroom_mcp.store import CachedAnswer, SqliteStore, Store
from warroom_mcp.store.digest import digest
from warroom_mcp.store.migrations import MIGRATIONS

APPROVED, DENIED, PENDING, USED = (
    TicketState.APPROVED,
    TicketState.DENIED,
    TicketState.PENDING,
    TicketState.USED,
)


@pytest.fixture
def path(home: Path) -> Path:
    return home / "state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    opened = SqliteStore(path)
    yield opened
    await opened.aclose()


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def read(path: Path) -> bytes:
    return path.read_bytes()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@contextmanager
def disk_with_room_for(path: Path, size: int) -> Iterator[None]:
    """No file of this process can grow beyond the database's present size plus `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- opening ---------------------------------------------------------------------------------


async def test_nothing_is_touched_before_the_first_use(path: Path) -> None:
    await SqliteStore(path).aclose()
    assert not path.parent.exists()


async def test_only_the_owner_can_read_what_is_kept(store: Store, path: Path) -> None:
    await store.keep_candidates([CANDIDATE])
    assert mode(path.parent) == 0o700
    assert {name: mode(path.parent / name) for name in os.listdir(path.parent)} == {
        "state.db": 0o600,
        "state.db-shm": 0o600,
        "state.db-wal": 0o600,
    }


async def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    write(path, b"", 0o644)
    store = SqliteStore(path)
    await store.usage()
    await store.aclose()
    assert mode(path) == 0o600


@pytest.mark.parametrize("content", [b"x", b"not a database, but long enough " * 100])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    write(path, content)
    store = SqliteStore(path)
    with pytest.raises(ConfigCorrupt, match=r"state\.db"):
        await store.keep_candidates([CANDIDATE])
    await store.aclose()
    assert read(path) == content


async def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE tickets (id)")
    foreign.commit()
    foreign.close()
    before = read(path)
    store = SqliteStore(path)
    with pytest.raises(ConfigCorrupt, match="another program"):
        await store.tickets()
    await store.aclose()
    assert read(path) == before


async def test_a_damaged_page_is_told_and_not_overwritten(path: Path) -> None:
    store = SqliteStore(path)
    await store.keep_problem(replace(ANALYSIS, text="x" * 50_000))
    await store.aclose()
    content = bytearray(read(path))
    content[100:4096] = b"\xff" * 3996
    write(path, bytes(content))
    store = SqliteStore(path)
    with pytest.raises(ConfigCorrupt, match=r"state\.db"):
        await store.problem("p-1")
    await store.aclose()
    assert read(path) == content


async def test_a_value_that_cannot_be_read_is_told(store: Store, path: Path) -> None:
    await store.keep_ticket(ticket())
    direct = sqlite3.connect(path)
    direct.execute("UPDATE tickets SET body = '{}'")
    direct.commit()
    direct.close()
    with pytest.raises(ConfigCorrupt, match="cannot be read"):
        await store.ticket("t-1")
    with pytest.raises(ConfigCorrupt, match="cannot be read"):
        await store.settle("t-1", APPROVED, answered_by="terminal", at=NOON)


async def test_a_database_of_a_newer_version_is_refused(store: Store, path: Path) -> None:
    await store.usage()
    direct = sqlite3.connect(path)
    direct.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    direct.close()
    newer = SqliteStore(path)
    with pytest.raises(StateError, match="newer version"):
        await newer.usage()
    await newer.aclose()


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = SqliteStore(tmp_path / "file" / "home" / "state.db")
    with pytest.raises(StateNotWritable, match=r"state\.db"):
        await store.usage()
    await store.aclose()


async def test_a_full_disk_is_told_and_loses_nothing(store: Store, path: Path) -> None:
    await store.keep_answer("kept", b"x" * 1000, NOON)
    with disk_with_room_for(path, 60_000), pytest.raises(StateNotWritable, match=r"state\.db"):
        await store.keep_answer("new", b"x" * 1_000_000, NOON)
    assert await store.answer("new") is None
    assert await store.answer("kept") == CachedAnswer(b"x" * 1000, NOON)
    await store.keep_answer("new", b"y", NOON)
    assert await store.answer("new") == CachedAnswer(b"y", NOON)


async def test_a_database_that_is_held_too_long_is_told_as_retryable(path: Path) -> None:
    store = SqliteStore(path, busy_seconds=0.05)
    await store.usage()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="another process") as caught:
        await store.add_usage([ToolUsage("redis", "get", calls=1)])
    assert caught.value.retryable
    holder.execute("ROLLBACK")
    holder.close()
    await store.add_usage([ToolUsage("redis", "get", calls=1)])
    assert [u.calls for u in await store.usage()] == [1]
    await store.aclose()


async def test_a_closed_store_stays_closed(store: Store) -> None:
    await store.usage()
    await store.aclose()
    await store.aclose()
    with pytest.raises(StateError, match="is closed"):
        await store.usage()


# --- answers, problems, candidates -----------------------------------------------------------


async def test_what_is_kept_is_found_by_the_next_process(store: Store, path: Path) -> None:
    await store.keep_answer("https://registry.example/a", b"\x00\xff", NOON)
    await store.keep_problem(ANALYSIS)
    await store.keep_candidates([CANDIDATE])
    await store.aclose()
    later = SqliteStore(path)
    assert await later.answer("https://registry.example/a") == CachedAnswer(b"\x00\xff", NOON)
    assert await later.problem("p-1") == ANALYSIS
    assert await later.candidate(CANDIDATE.id) == CANDIDATE
    await later.aclose()


async def test_what_was_never_kept_is_none(store: Store) -> None:
    assert await store.answer("a") is None
    assert await store.problem("a") is None
    assert await store.candidate("a") is None
    assert await store.ticket("a") is None
    assert await store.definitions("a") is None
    assert await store.approved("a") is None
    assert await store.latest_ticket("a") is None


async def test_a_candidate_is_remembered_as_it_was_seen_last(store: Store) -> None:
    newer = replace(CANDIDATE, weekly_downloads=1)
    await store.keep_candidates([CANDIDATE, replace(CANDIDATE, id="npm:other")])
    await store.keep_candidates([newer])
    assert await store.candidate(CANDIDATE.id) == newer


async def test_keys_of_any_text_are_told_apart(store: Store) -> None:
    keys = ["\ud800", "\ud801", "?", "'; DROP TABLE answers", "", "\x00"]
    for number, key in enumerate(keys):
        await store.keep_answer(key, bytes([number]), NOON)
    for number, key in enumerate(keys):
        assert await store.answer(key) == CachedAnswer(bytes([number]), NOON)


async def test_the_answers_kept_longest_make_room(path: Path) -> None:
    store = SqliteStore(path, max_answers=100)
    for key in "abc":
        await store.keep_answer(key, b"x" * 40, NOON)
    await store.keep_answer("b", b"y" * 40, NOON)
    await store.keep_answer("d", b"x" * 40, NOON)
    kept = {key for key in "abcd" if await store.answer(key)}
    await store.aclose()
    assert kept == {"b", "d"}


async def test_an_answer_larger_than_all_room_drives_nothing_out(path: Path) -> None:
    store = SqliteStore(path, max_answers=100)
    await store.keep_answer("a", b"x" * 40, NOON)
    await store.keep_answer("b", b"x" * 101, NOON)
    assert await store.answer("a") is not None
    assert await store.answer("b") is None
    await store.aclose()


async def test_problems_and_candidates_are_bounded_too(path: Path) -> None:
    store = SqliteStore(path, max_problems=10, max_candidates=10)
    for name in ("p-1", "p-2"):
        await store.keep_problem(replace(ANALYSIS, problem_id=name))
    await store.keep_candidates([replace(CANDIDATE, id=name) for name in ("a", "b")])
    assert await store.problem("p-1") is None
    assert await store.problem("p-2") is not None
    assert await store.candidate("a") is None
    assert await store.candidate("b") is not None
    await store.aclose()


# --- tickets ---------------------------------------------------------------------------------


async def test_tickets_are_listed_oldest_first_by_state(store: Store) -> None:
    for name in ("t-2", "t-1", "t-3"):
        await store.keep_ticket(ticket(name))
    await store.settle("t-1", DENIED, answered_by="terminal", at=NOON)
    assert [t.id for t in await store.tickets()] == ["t-2", "t-1", "t-3"]
    assert [t.id for t in await store.tickets(PENDING)] == ["t-2", "t-3"]
    assert [t.id for t in await store.tickets(DENIED)] == ["t-1"]


async def test_a_ticket_does_not_replace_another_of_its_id(store: Store) -> None:
    await store.keep_ticket(ticket())
    await store.keep_ticket(ticket())
    with pytest.raises(Refusal, match="taken"):
        await store.keep_ticket(ticket("t-1", REMOTE))
    assert await store.ticket("t-1") == ticket()


async def test_settling_says_who_answered_and_when(store: Store) -> None:
    await store.keep_ticket(ticket())
    settled = await store.settle("t-1", APPROVED, answered_by="terminal", at=NOON)
    assert settled == replace(ticket(), state=APPROVED, answered_by="terminal", answered=NOON)
    assert await store.ticket("t-1") == settled


async def test_the_same_answer_again_changes_nothing(store: Store) -> None:
    await store.keep_ticket(ticket())
    first = await store.settle("t-1", APPROVED, answered_by="terminal", at=NOON)
    again = await store.settle("t-1", APPROVED, answered_by="dashboard", at=NOON + timedelta(hours=1))
    assert again == first == await store.ticket("t-1")


@pytest.mark.parametrize(("first", "second"), [(APPROVED, DENIED), (DENIED, APPROVED)])
async def test_an_answer_cannot_be_turned_round(
    store: Store, first: TicketState, second: TicketState
) -> None:
    await store.keep_ticket(ticket())
    settled = await store.settle("t-1", first, answered_by="terminal", at=NOON)
    with pytest.raises(Refusal, match="before"):
        await store.settle("t-1", second, answered_by="terminal", at=NOON)
    assert await store.ticket("t-1") == settled


async def test_a_ticket_nobody_opened_cannot_be_settled(store: Store) -> None:
    with pytest.raises(UnknownTicket):
        await store.settle("t-9", APPROVED, answered_by="terminal", at=NOON)
    assert not await store.use_ticket("t-9")


@pytest.mark.parametrize("state", [PENDING, USED])
async def test_a_ticket_is_settled_as_approved_or_denied_only(store: Store, state: TicketState) -> None:
    await store.keep_ticket(ticket())
    with pytest.raises(InvalidInput):
        await store.settle("t-1", state, answered_by="terminal", at=NOON)


async def test_of_two_answers_at_once_one_wins(path: Path) -> None:
    stores = [SqliteStore(path), SqliteStore(path)]
    await stores[0].keep_ticket(ticket())
    refused: list[TicketState] = []

    async def settle(store: SqliteStore, state: TicketState) -> None:
        try:
            await store.settle("t-1", state, answered_by=state, at=NOON)
        except Refusal:
            refused.append(state)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for store, state in zip(stores, (APPROVED, DENIED), strict=True):
                tasks.start_soon(settle, store, state)
    kept = await stores[0].ticket("t-1")
    assert kept is not None
    assert {kept.state, *refused} == {APPROVED, DENIED}
    for store in stores:
        await store.aclose()


async def test_an_approval_is_used_once(store: Store) -> None:
    await store.keep_ticket(ticket())
    assert not await store.use_ticket("t-1")
    await store.settle("t-1", APPROVED, answered_by="terminal", at=NOON)
    results: list[bool] = []

    async def use() -> None:
        results.append(await store.use_ticket("t-1"))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(use)
    assert sorted(results) == [False] * 4 + [True]
    kept = await store.ticket("t-1")
    assert kept is not None
    assert (kept.state, kept.answered_by) == (USED, "terminal")


async def test_a_refused_ticket_cannot_be_used(store: Store) -> None:
    await store.keep_ticket(ticket())
    await store.settle("t-1", DENIED, answered_by="terminal", at=NOON)
    assert not await store.use_ticket("t-1")


async def test_an_approval_is_found_by_exactly_its_digest(store: Store) -> None:
    other = replace(PLAN, command=(*PLAN.command, "--all"))
    await store.keep_ticket(ticket("t-1"))
    await store.keep_ticket(ticket("t-2", other))
    await store.settle("t-1", APPROVED, answered_by="terminal", at=NOON)
    found = await store.approved(digest(PLAN))
    assert found is not None
    assert found.id == "t-1"
    assert await store.approved(digest(other)) is None
    assert await store.approved(digest(PLAN)[:-1]) is None
    latest = await store.latest_ticket(digest(other))
    assert latest is not None
    assert latest.id == "t-2"


async def test_a_used_approval_still_is_one(store: Store) -> None:
    await store.keep_ticket(ticket())
    await store.settle("t-1", APPROVED, answered_by="terminal", at=NOON)
    await store.use_ticket("t-1")
    found = await store.approved(digest(PLAN))
    assert found is not None
    assert found.state is USED


async def test_the_last_answer_counts_whatever_the_clock_says(store: Store) -> None:
    for name in ("t-1", "t-2", "t-3"):
        await store.keep_ticket(ticket(name))
    await store.settle("t-3", APPROVED, answered_by="terminal", at=NOON)
    await store.settle("t-2", APPROVED, answered_by="terminal", at=NOON - timedelta(days=1))
    found = await store.approved(digest(PLAN))
    assert found is not None
    assert found.id == "t-2"
    await store.settle("t-1", DENIED, answered_by="terminal", at=NOON - timedelta(days=2))
    assert await store.approved(digest(PLAN)) is None


async def test_a_ticket_that_comes_answered_counts_as_answered(store: Store) -> None:
    await store.keep_ticket(replace(ticket(), state=APPROVED, answered_by="policy", answered=NOON))
    found = await store.approved(digest(PLAN))
    assert found is not None
    assert found.answered_by == "policy"


# --- servers ---------------------------------------------------------------------------------


async def test_definitions_are_kept_raw(store: Store) -> None:
    definitions = Definitions(
        tools=({"name": "get", "inputSchema": {"type": "object", "x-own": [1, None, {"a": 1.5}]}},),
        instructions="Ask first.",
        protocol_version="2025-11-25",
    )
    await store.keep_definitions("redis", Definitions())
    await store.keep_definitions("redis", definitions)
    assert await store.definitions("redis") == definitions


async def test_a_forgotten_server_leaves_neither_definitions_nor_usage(store: Store) -> None:
    for server in ("redis", "other"):
        await store.keep_definitions(server, Definitions(instructions=server))
        await store.add_usage([ToolUsage(server, "get", calls=1)])
    await store.forget("redis")
    assert await store.definitions("redis") is None
    assert await store.definitions("other") == Definitions(instructions="other")
    assert [u.server for u in await store.usage()] == ["other"]


async def test_usage_adds_up(store: Store) -> None:
    later = NOON + timedelta(hours=1)
    await store.add_usage([ToolUsage("redis", "get", 2, 1, 0.5, later), ToolUsage("redis", "set", 1)])
    await store.add_usage([ToolUsage("redis", "get", 3, 0, 0.25, NOON), ToolUsage("redis", "set")])
    await store.add_usage([])
    assert await store.usage() == (
        ToolUsage("redis", "get", 5, 1, 0.75, later),
        ToolUsage("redis", "set", 1),
    )


async def test_the_last_use_moves_forward_across_time_zones(store: Store) -> None:
    east = NOON.astimezone(timezone(timedelta(hours=9)))
    await store.add_usage([ToolUsage("redis", "get", 1, last_used=east)])
    await store.add_usage([ToolUsage("redis", "get", 1, last_used=NOON + timedelta(minutes=1))])
    (usage,) = await store.usage()
    assert usage.last_used == NOON + timedelta(minutes=1)


counts = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 5),
        st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    ),
    max_size=6,
)


@settings(max_examples=15, deadline=None)
@given(batches=st.lists(counts, max_size=4))
def test_usage_is_the_sum_of_what_was_added(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, int, datetime | None]]]
) -> None:
    path = tmp_path_factory.mktemp("usage") / "state.db"

    async def kept() -> dict[str, tuple[int, datetime | None]]:
        store = SqliteStore(path)
        for batch in batches:
            await store.add_usage([ToolUsage("s", tool, calls, last_used=at) for tool, calls, at in batch])
        usage = await store.usage()
        await store.aclose()
        return {u.tool: (u.calls, u.last_used) for u in usage}

    flat = [row for batch in batches for row in batch]
    expected = {
        tool: (
            sum(calls for name, calls, _ in flat if name == tool),
            max((at for name, _, at in flat if name == tool and at), default=None),
        )
        for tool in {name for name, _, _ in flat}
    }
    assert anyio.run(kept) == expected


# --- several processes -----------------------------------------------------------------------

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import anyio
from warroom_mcp.models import ToolUsage
from warroom_mcp.store import SqliteStore

async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]))
    for number in range(50):
        await store.add_usage([ToolUsage("shared", "get", calls=1)])
        await store.keep_answer(f"{sys.argv[2]}-{number}", b"x", datetime.now(UTC))
    await store.aclose()

sys.stdin.readline()
anyio.run(main)
"""


@pytest.mark.slow
async def test_two_processes_on_one_new_file_lose_nothing(path: Path) -> None:
    with running(WRITER, str(path), "a") as one, running(WRITER, str(path), "b") as two:
        for writer in (one, two):
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        finish(one)
        finish(two)
    store = SqliteStore(path)
    (usage,) = await store.usage()
    assert usage.calls == 100
    for name in ("a", "b"):
        for number in range(50):
            assert await store.answer(f"{name}-{number}") is not None
    await store.aclose()


KILLED = """
import os, signal, sys
from pathlib import Path
import anyio
from warroom_mcp.models import ToolUsage
from warroom_mcp.store import SqliteStore

async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]))
    for number in range(1_000_000):
        await store.add_usage([ToolUsage("s", "t", calls=1)])
        os.write(1, b".")

anyio.run(main)
"""


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    acknowledged = 0
    for trial in range(4):
        with running(KILLED, str(path)) as writer:
            assert writer.stdout is not None
            assert writer.stdout.read(10 + 7 * trial), finish(writer)
            writer.kill()
            rest = writer.stdout.read()
        acknowledged += 10 + 7 * trial + len(rest)
        store = SqliteStore(path)
        (usage,) = await store.usage()
        await store.aclose()
        # One write may have been done and not yet told when the process was killed.
        assert acknowledged <= usage.calls <= acknowledged + trial + 1
