"""Copying whole registries: one walk, then changes; cut off and gone on with; told as it is."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.catalog.memory import MemoryCache, ScratchIndex
from tests.standins.registry import META, StandInRegistry, entry, npm_package
from warroom_mcp.catalog.sync import Registry, Sync, Synced
from warroom_mcp.catalog.web import Web
from warroom_mcp.errors import MissingInput, StateError
from warroom_mcp.listing import IndexQuery, SourceStatus

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now, self.step = NOW, timedelta(seconds=1)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


class Copying:
    """A registry, an index, and a sync between them."""

    def __init__(self, standin: StandInRegistry) -> None:
        self.standin, self.clock = standin, Clock()
        self.index = ScratchIndex()
        self.web = Web(standin.settings(find_deadline=4.0), MemoryCache(), clock=self.clock)
        self.sync = Sync(self.web, self.index, self.clock)
        self.seen: list[int] = []

    async def run(self, *, token: str | None = None, **how: Any) -> Synced:
        registry = Registry("registry", self.standin.url, token)
        with anyio.fail_after(20):
            return await self.sync.run(registry, on_progress=lambda _, seen: self.seen.append(seen), **how)

    async def ids(self) -> set[str]:
        return {listing.id for listing in await self.index.listings("registry")}

    async def status(self) -> SourceStatus:
        return next(one for one in await self.index.sources() if one.name == "registry")

    async def close(self) -> None:
        await self.web.aclose()
        await self.index.aclose()


@pytest.fixture
def standin() -> Iterator[StandInRegistry]:
    with StandInRegistry() as running:
        running.page_size = 2
        yield running


@pytest.fixture
async def copying(standin: StandInRegistry) -> AsyncIterator[Copying]:
    made = Copying(standin)
    yield made
    await made.close()


def named(*names: str, updated: str = "2026-10-01T00:00:00Z", status: str = "active") -> list[dict[str, Any]]:
    return [
        entry(f"io.github.x/{name}", status=status, updated=updated, packages=[npm_package(name)])
        for name in names
    ]


async def test_a_first_sync_brings_everything_page_by_page(copying: Copying) -> None:
    copying.standin.entries = named("a", "b", "c", "d", "e")
    done = await copying.run()
    assert (done.seen, done.pages, done.whole, done.failure) == (5, 3, True, None)
    assert copying.seen == [2, 4, 5]
    assert await copying.ids() == {f"io.github.x/{name}" for name in "abcde"}
    status = await copying.status()
    assert (status.listings, status.walk, status.cursor) == (5, 0, None)
    assert status.synced is not None


async def test_what_is_copied_is_found(copying: Copying) -> None:
    copying.standin.entries = named("redis-one", "kafka-two")
    await copying.run()
    answer = await copying.index.search(IndexQuery(("redis",)))
    assert [hit.candidate().id for hit in answer.hits] == ["npm:redis-one"]


async def test_later_ones_bring_what_changed_and_take_what_is_gone(copying: Copying) -> None:
    copying.standin.entries = named("a", "b", "c")
    await copying.run()
    copying.standin.entries[0] = named("a", updated="2026-10-20T00:00:00Z", status="deleted")[0]
    copying.standin.entries += named("d", updated="2026-10-21T00:00:00Z")
    done = await copying.run()
    assert (done.removed, done.whole) == (1, False)
    assert await copying.ids() == {f"io.github.x/{name}" for name in "bcd"}


async def test_a_change_of_the_very_moment_of_the_last_one_is_not_missed(copying: Copying) -> None:
    copying.standin.entries = named("a")
    await copying.run()
    copying.standin.entries += named("b")
    await copying.run()
    assert await copying.ids() == {"io.github.x/a", "io.github.x/b"}


async def test_a_whole_walk_forgets_what_it_has_not_seen(copying: Copying) -> None:
    copying.standin.entries = named("a", "b", "c")
    await copying.run()
    copying.standin.entries = named("b")
    done = await copying.run(whole=True)
    assert (done.seen, done.removed, await copying.ids()) == (1, 2, {"io.github.x/b"})


async def test_a_walk_that_was_cut_off_keeps_what_it_saw_and_goes_on_there(copying: Copying) -> None:
    copying.standin.entries = named("a", "b", "c", "d", "e")
    copying.standin.cut_after = 2
    done = await copying.run()
    assert done.failure == "answered 503"
    assert len(await copying.ids()) == 4
    status = await copying.status()
    assert (status.failure, bool(status.walk), status.synced) == ("answered 503", True, None)
    copying.standin.cut_after = None
    copying.web._resting.clear()
    again = await copying.run()
    assert (again.seen, again.pages, again.failure) == (1, 1, None)
    assert len(await copying.ids()) == 5
    assert (await copying.status()).failure is None


async def test_a_forgotten_cursor_begins_the_walk_anew(copying: Copying) -> None:
    copying.standin.entries = named("a", "b", "c")
    copying.standin.cut_after = 1
    await copying.run()
    copying.standin.cut_after = None
    copying.standin.forget_cursors()
    copying.standin.page_size = 100
    copying.web._resting.clear()
    done = await copying.run()
    assert (done.seen, done.failure) == (3, None)
    assert len(await copying.ids()) == 3


async def test_a_cursor_that_comes_again_ends_the_walk(copying: Copying) -> None:
    copying.standin.entries = named("a", "b", "c")
    copying.standin.repeat_cursor = True
    assert (await copying.run()).failure == "turns in circles"


async def test_a_private_registry_is_shown_its_token_and_says_when_it_is_wrong(copying: Copying) -> None:
    copying.standin.entries = named("a")
    copying.standin.token = "of-its-own"
    assert (await copying.run()).failure == "answered 401"
    copying.web._resting.clear()
    assert (await copying.run(token="of-its-own")).failure is None


async def test_entries_that_are_none_cost_the_others_nothing(copying: Copying) -> None:
    hostile: list[Any] = [
        None,
        7,
        {"server": None},
        {"server": {"name": "../../etc/passwd"}},
        {"server": {"name": 3}},
    ]
    copying.standin.entries = [*hostile, *named("a", "b")]
    copying.standin.page_size = 3
    done = await copying.run()
    assert (done.failure, await copying.ids()) == (None, {"io.github.x/a", "io.github.x/b"})


async def test_old_versions_of_an_entry_are_passed_over(copying: Copying) -> None:
    old = named("a")[0]
    old["_meta"][META]["isLatest"] = False
    copying.standin.entries = [old, *named("b")]
    await copying.run()
    assert await copying.ids() == {"io.github.x/b"}


async def test_a_search_goes_on_while_a_sync_writes(copying: Copying) -> None:
    copying.standin.entries = named(*(f"redis-{number}" for number in range(60)))
    found: list[int] = []

    async def search() -> None:
        while len(found) < 20:
            answer = await copying.index.search(IndexQuery(("redis",)))
            found.append(len(answer.hits))

    async with anyio.create_task_group() as group:
        group.start_soon(search)
        await copying.run()
    assert found == sorted(found)
    assert len((await copying.index.search(IndexQuery(("redis",), limit=100))).hits) == 60


Change = st.tuples(st.sampled_from("abcdef"), st.sampled_from(["active", "deleted"]))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(Change, max_size=4), st.sampled_from([None, None, 0, 1])), max_size=4))
def test_whatever_changes_and_breaks_off_in_the_end_the_copy_is_the_registry(
    steps: list[tuple[list[tuple[str, str]], int | None]],
) -> None:
    async def play() -> None:
        with StandInRegistry() as standin:
            standin.page_size = 2
            copying = Copying(standin)
            known: dict[str, dict[str, Any]] = {}
            for changes, pages in [*steps, ([], None)]:
                for name, status in changes:
                    # A change is dated when it happens: so the registry's time and ours go forward together.
                    copying.clock.now += timedelta(days=1)
                    updated = copying.clock.now.isoformat().replace("+00:00", "Z")
                    known[name] = named(name, status=status, updated=updated)[0]
                standin.entries, standin.cut_after = list(known.values()), pages
                copying.web._resting.clear()
                await copying.run()
            copying.web._resting.clear()
            await copying.run()
            live = {
                f"io.github.x/{name}"
                for name, one in known.items()
                if one["_meta"][META]["status"] == "active"
            }
            assert await copying.ids() == live
            await copying.close()

    anyio.run(play)


# --- what a walk must not miss -------------------------------------------------------------------


async def cut_off_at(copying: Copying, pages: int, reason: str = "answered 503") -> None:
    """Sync until the registry answers no more."""
    copying.standin.cut_after = pages
    assert (await copying.run()).failure == reason
    copying.standin.cut_after = None
    copying.web._resting.clear()


async def test_what_changed_behind_a_walk_that_was_gone_on_with_days_later_comes_with_the_next_changes(
    copying: Copying,
) -> None:
    copying.standin.entries = named("a", "b", "c")
    await cut_off_at(copying, 1)
    # Days later: what the walk has passed changed first, what it reads now changed last.
    copying.clock.now += timedelta(days=5)
    copying.standin.entries[0] = named("a", updated="2026-11-02T00:00:00Z", status="deleted")[0]
    copying.standin.entries[2] = named("c", updated="2026-11-05T00:00:00Z")[0]
    await copying.run()
    await copying.run()
    assert await copying.ids() == {"io.github.x/b", "io.github.x/c"}


async def test_an_entry_from_the_future_does_not_hide_later_changes(copying: Copying) -> None:
    copying.standin.entries = named("a", updated="2999-01-01T00:00:00Z")
    await copying.run()
    copying.standin.entries += named("b", updated="2026-11-01T00:00:05Z")
    await copying.run()
    assert await copying.ids() == {"io.github.x/a", "io.github.x/b"}


@pytest.mark.parametrize("updated", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "soon", "", None, 7])
async def test_odd_dates_do_not_stop_a_sync(copying: Copying, updated: Any) -> None:
    copying.standin.entries = named("a", updated=updated)
    assert (await copying.run()).failure is None
    copying.standin.entries += named("b", updated="2026-10-31T23:59:00Z")
    assert (await copying.run()).failure is None
    assert await copying.ids() == {"io.github.x/a", "io.github.x/b"}


async def test_an_entry_that_comes_while_the_walk_goes_on_is_there_after_the_next(copying: Copying) -> None:
    standin = copying.standin
    standin.entries = named("a", "b", "c", "d")

    def change(query: Any) -> None:
        if "cursor" in query and len(standin.entries) == 4:
            standin.entries[0] = named("a", updated="2026-11-01T00:00:03Z", status="deleted")[0]
            standin.entries += named("e", updated="2026-11-01T00:00:04Z")

    standin.on_page = change
    await copying.run()
    standin.on_page = None
    await copying.run()
    assert await copying.ids() == {f"io.github.x/{name}" for name in "bcde"}


async def test_changes_that_were_cut_off_begin_anew(copying: Copying) -> None:
    copying.standin.entries = named("a", "b", "c", "d", "e")
    await copying.run()
    for place, name in enumerate("abcde"):
        copying.standin.entries[place] = named(name, updated=f"2026-10-1{place}T00:00:00Z", status="deleted")[
            0
        ]
    await cut_off_at(copying, 1)
    status = await copying.status()
    assert (status.failure, status.walk, status.listings) == ("answered 503", 0, 3)
    assert status.synced is not None
    done = await copying.run()
    assert (done.whole, done.failure, await copying.ids()) == (False, None, set())


async def test_another_version_copies_everything_again(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying.standin.entries = named("a", "b", "c")
    await copying.run()
    monkeypatch.setattr("warroom_mcp.catalog.sync.__version__", "999.0")
    assert (await copying.run()).whole
    assert not (await copying.run()).whole


async def test_a_walk_of_another_version_is_not_gone_on_with(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying.standin.entries = named("a", "b", "c")
    await cut_off_at(copying, 1)
    monkeypatch.setattr("warroom_mcp.catalog.sync.__version__", "999.0")
    assert (await copying.run()).seen == 3


async def test_two_whole_walks_in_one_second_are_told_apart(copying: Copying) -> None:
    copying.standin.entries = named("a", "b")
    copying.clock.step = timedelta(milliseconds=1)
    await copying.run()
    copying.standin.entries = named("b")
    await copying.run(whole=True)
    assert await copying.ids() == {"io.github.x/b"}


# --- registries that misbehave -------------------------------------------------------------------


async def test_a_registry_that_asks_for_patience_does_not_lose_the_walk(copying: Copying) -> None:
    copying.standin.entries = named("a", "b", "c")
    await cut_off_at(copying, 1)
    copying.standin.faults["registry"], copying.standin.retry_after = "limited", "3600"
    assert (await copying.run()).failure == "answered 429 and asks to wait 3600 s"
    copying.standin.faults.clear()
    copying.web._resting.clear()
    assert (await copying.run()).seen == 1


async def test_a_cursor_that_is_forgotten_on_the_way_is_a_failure_and_the_next_sync_begins_anew(
    copying: Copying,
) -> None:
    standin = copying.standin
    standin.entries = named("a", "b", "c")
    standin.on_page = lambda query: standin.forget_cursors() if "cursor" in query else None
    assert (await copying.run()).failure == "answered 400"
    standin.on_page = None
    copying.web._resting.clear()
    assert (await copying.run()).seen == 3


async def test_a_registry_without_an_end_is_left_and_begun_anew(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warroom_mcp.catalog.sync.MAX_PAGES", 2)
    copying.standin.entries = named("a", "b", "c", "d", "e")
    assert (await copying.run()).failure == "has more than 2 pages"
    status = await copying.status()
    # Not whole, and not gone on with: each turn would add its pages to the disk.
    assert (status.synced, status.walk, status.cursor) == (None, 0, None)
    assert (await copying.run()).failure == "has more than 2 pages"
    assert (await copying.status()).listings == 2


async def test_a_registry_that_gives_all_at_once_is_copied_whole(copying: Copying) -> None:
    async def one_page(*_: Any, **__: Any) -> object:
        return {"servers": named(*(f"n{number}" for number in range(1200)))}

    copying.web.fetch = one_page  # type: ignore[method-assign]
    assert (await copying.run()).seen == 1200
    assert (await copying.status()).listings == 1200


@pytest.mark.parametrize("page", [[], "x", 7, {}, {"servers": None}, {"servers": {}, "metadata": []}])
async def test_a_page_of_another_shape_is_an_empty_one(copying: Copying, page: object) -> None:
    async def odd(*_: Any, **__: Any) -> object:
        return page

    copying.web.fetch = odd  # type: ignore[method-assign]
    done = await copying.run()
    assert (done.seen, done.failure) == (0, None)


@pytest.mark.parametrize("fault", ["truncated", "html", "deep", "null", "missing", "loop"])
async def test_what_is_no_page_leaves_everything_as_it_was(copying: Copying, fault: str) -> None:
    copying.standin.entries = named("a", "b")
    await copying.run()
    before = await copying.status()
    copying.standin.faults["registry"] = fault
    failure = (await copying.run(whole=True)).failure
    assert failure
    after = await copying.status()
    assert (after.listings, after.synced, after.failure) == (2, before.synced, failure)
    copying.standin.faults.clear()
    copying.web._resting.clear()
    await copying.run()
    assert (await copying.status()).failure is None


async def test_hidden_characters_and_huge_texts_do_not_come_in(copying: Copying) -> None:
    (bad,) = named("bad")
    bad["server"] |= {"description": "a\u202eb\x1b[31m\U000e0041" + "x" * 100_000, "title": "\x00t"}
    copying.standin.entries = [bad, *named("a")]
    await copying.run()
    listings = {one.id: one.candidate for one in await copying.index.listings("registry")}
    assert set(listings) == {"io.github.x/bad", "io.github.x/a"}
    shown = listings["io.github.x/bad"]
    assert shown.title == "t"
    assert shown.description.startswith("ab[31mxxx")
    assert len(shown.description) == 300


# --- several at once, and an end from outside ----------------------------------------------------


async def test_two_syncs_at_once_come_to_the_whole_registry(copying: Copying) -> None:
    copying.standin.entries = named(*(f"n{number:02}" for number in range(21)))
    await copying.index.put("registry", [])
    other = Sync(copying.web, copying.index, copying.clock)
    registry = Registry("registry", copying.standin.url)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(copying.run)
            group.start_soon(other.run, registry)
    assert len(await copying.ids()) == 21
    await copying.run()
    status = await copying.status()
    assert (status.listings, status.walk, status.failure) == (21, 0, None)


async def test_a_slower_walk_that_began_earlier_loses_nothing_to_a_faster_one(copying: Copying) -> None:
    standin = copying.standin
    standin.entries = named("a", "b", "c", "d", "e")
    web = Web(standin.settings(find_deadline=4.0), MemoryCache(), clock=copying.clock)
    other, registry = Sync(web, copying.index, copying.clock), Registry("registry", standin.url)

    async with anyio.create_task_group() as group:
        waiting, going = anyio.Event(), anyio.Event()
        fetch = copying.web.fetch

        async def held(*told: Any, **how: Any) -> object:
            value = await fetch(*told, **how)
            if "cursor" in told[1]:
                waiting.set()
                await going.wait()
            return value

        copying.web.fetch = held  # type: ignore[method-assign]
        group.start_soon(copying.run)
        with anyio.fail_after(10):
            await waiting.wait()
            assert (await other.run(registry, whole=True)).seen == 5
        going.set()
    assert len(await copying.ids()) == 5
    await web.aclose()


async def test_a_sync_that_is_ended_from_outside_keeps_its_pages_and_is_gone_on_with(
    copying: Copying,
) -> None:
    standin = copying.standin
    standin.entries = named("a", "b", "c", "d", "e")
    with anyio.CancelScope() as scope:
        registry = Registry("registry", standin.url)
        await copying.sync.run(registry, on_progress=lambda _, seen: scope.cancel() if seen == 4 else None)
    assert scope.cancelled_caught
    assert len(await copying.ids()) == 4
    assert (await copying.run()).seen == 1
    assert len(await copying.ids()) == 5


async def test_a_token_that_cannot_be_had_is_the_failure_of_that_registry(copying: Copying) -> None:
    copying.standin.entries = named("a")

    def token() -> str:
        raise MissingInput("The secret env:TEAM is not set.")

    registry = Registry("team", copying.standin.url, token)
    done = await copying.sync.run(registry)
    assert done.failure == "has no token: The secret env:TEAM is not set"
    assert copying.standin.requests == []
    assert (await copying.run()).failure is None
    told = {status.name: status.failure for status in await copying.index.sources()}
    assert told == {"team": done.failure, "registry": None}


async def test_a_token_is_asked_for_when_it_is_needed(copying: Copying) -> None:
    copying.standin.entries, copying.standin.token = named("a"), "secret"
    assert (await copying.sync.run(Registry("team", copying.standin.url, lambda: "secret"))).failure is None


async def test_a_copy_that_was_set_aside_meanwhile_ends_the_sync_and_is_never_called_whole(
    copying: Copying,
) -> None:
    standin, path = copying.standin, copying.index.path
    standin.entries = named("a", "b", "c", "d", "e")

    def take_away(query: Any) -> None:
        if "cursor" in query:
            standin.on_page = None
            for ending in ("", "-wal", "-shm"):
                Path(f"{path}{ending}").rename(f"{path}.taken{ending}")

    standin.on_page = take_away
    with pytest.raises(StateError):
        await copying.run()
    assert await copying.index.sources() == ()
    assert (await copying.run()).seen == 5
    assert len(await copying.ids()) == 5
