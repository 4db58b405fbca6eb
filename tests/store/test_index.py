"""The index of listings: a dictionary that is found by technology and by words, and that can be made anew."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalog.memory import ScratchIndex, candidate
from tests.store.examples import NOON
from warroom_mcp.catalog.index import indexed
from warroom_mcp.errors import ConfigCorrupt, StateError
from warroom_mcp.lexicon.synonyms import expanded
from warroom_mcp.listing import Indexed, IndexQuery, ListedTool, Listing, SourceStatus
from warroom_mcp.store.index import SqliteIndex

TODAY = date(2026, 11, 22)


def listed(
    name: str, description: str = "", *, tools: Sequence[str] = (), words: Sequence[str] = (), **changes: Any
) -> Indexed:
    """An entry of the index for an npm package of that name."""
    one = candidate(name, description=description, **changes)
    told = tuple(ListedTool(tool, f"{tool} it") for tool in tools)
    return indexed(Listing(name, one, told, tuple(words)), TODAY)


def asking(*technologies: str, words: str = "", limit: int = 40) -> IndexQuery:
    return IndexQuery(technologies, tuple(expanded(word) for word in words.split()), limit)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
async def index(path: Path) -> AsyncIterator[SqliteIndex]:
    opened = SqliteIndex(path)
    yield opened
    await opened.aclose()


async def ids(index: SqliteIndex, query: IndexQuery) -> list[str]:
    return [hit.id for hit in (await index.search(query)).hits]


async def status_of(index: SqliteIndex, source: str) -> SourceStatus:
    return next(one for one in await index.sources() if one.name == source)


# --- what is put is found ------------------------------------------------------------------------


async def test_creating_an_index_touches_nothing(path: Path) -> None:
    await SqliteIndex(path).aclose()
    assert not path.exists()


async def test_an_empty_index_finds_nothing(index: SqliteIndex) -> None:
    answer = await index.search(asking("redis", words="memory"))
    assert (answer.hits, answer.matching, await index.sources()) == ([], [], ())
    assert (await index.lookup("npm:x"), await index.listings("x"), await index.tools(["npm:x"])) == (
        (),
        (),
        {},
    )


async def test_a_server_is_found_by_its_technology_and_comes_back_as_it_was(index: SqliteIndex) -> None:
    put = listed("redis-mcp", "Redis: läuft ‘gut’ 레디스", tools=["info"], words=["cache"])
    await index.put("list", [put, listed("kafka-mcp")])
    (hit,) = (await index.search(asking("redis"))).hits
    assert (hit.candidate(), hit.source, hit.id) == (put.listing.candidate, "list", "redis-mcp")
    assert hit.covers["redis"] == put.covers["redis"]
    assert await index.listings("list", "kafka-mcp") == (put.listing,)
    assert await index.lookup("npm:redis-mcp") == (put.listing.candidate,)
    assert await index.tools(["npm:redis-mcp", "npm:kafka-mcp"]) == {
        "npm:redis-mcp": (ListedTool("info", "info it"),)
    }


async def test_a_server_is_found_by_rare_words_and_common_ones_do_not_hide_it(index: SqliteIndex) -> None:
    await index.put("list", [listed(f"some-{number}", "watches things") for number in range(50)])
    await index.put("list", [listed("odd", "watches zebrafish")])
    answer = await index.search(asking(words="watch zebrafish", limit=3))
    assert answer.hits[0].id == "odd"
    assert answer.rarity["zebrafish"] > answer.rarity["watch"]


async def test_the_surest_come_first_and_deprecated_ones_last(index: SqliteIndex) -> None:
    await index.put(
        "list",
        [
            listed("gone-redis", technologies=("redis",), deprecated="moved"),
            listed("other", "for kafka, and redis as well, or postgres"),
            listed("redis-mcp", technologies=("redis",)),
        ],
    )
    assert await ids(index, asking("redis")) == ["redis-mcp", "other", "gone-redis"]
    assert await ids(index, asking("redis", limit=1)) == ["redis-mcp"]


async def test_what_nothing_could_start_says_so(index: SqliteIndex) -> None:
    await index.put("list", [listed("redis-mcp", unconfirmed="nobody knows")])
    (hit,) = (await index.search(asking("redis"))).hits
    assert not hit.starts


@pytest.mark.parametrize("words", ['"', "' OR 1", "redis*", "NEAR(a b)", "stems:", "a" * 5000, "\x00", "%_"])
async def test_words_are_never_a_query_language(index: SqliteIndex, words: str) -> None:
    await index.put("list", [listed("redis-mcp")])
    query = IndexQuery((words,), ({words: 1.0},), 5)
    assert (await index.search(query)).hits == []


async def test_names_like_paths_and_statements_are_only_names(index: SqliteIndex) -> None:
    odd = ["../../etc/passwd", "'; DROP TABLE listings; --", "a\nb", "레디스", "x" * 5000]
    for source in odd:
        await index.put(
            source, [replace(listed("a"), listing=replace(listed("a").listing, id=one)) for one in odd]
        )
    assert [(status.name, status.listings) for status in await index.sources()] == [
        (name, len(odd)) for name in sorted(odd)
    ]


async def test_the_same_candidate_in_two_sources_is_known_from_both(index: SqliteIndex) -> None:
    await index.put("one", [listed("a", "first", tools=["x"])])
    await index.put("two", [listed("a", "second", tools=["x", "y"])])
    assert {one.description for one in await index.lookup("npm:a")} == {"first", "second"}
    assert [tool.name for tool in (await index.tools(["npm:a"]))["npm:a"]] == ["x", "y"]


async def test_a_later_row_of_one_batch_takes_the_place_of_the_earlier(index: SqliteIndex) -> None:
    await index.put("list", [listed("a", "first", tools=["x", "x"]), listed("a", "second")])
    assert [one.candidate.description for one in await index.listings("list")] == ["second"]
    assert await index.tools(["npm:a"]) == {}


async def test_listings_come_in_pages_and_each_once(index: SqliteIndex) -> None:
    names = [f"n{number:02}" for number in range(23)]
    await index.put("list", [listed(name) for name in reversed(names)])
    found: list[str] = []
    after = ""
    while page := await index.listings("list", after, 5):
        found += [one.id for one in page]
        after = page[-1].id
    assert found == names


async def test_a_status_is_kept_and_its_count_is_counted(index: SqliteIndex) -> None:
    told = SourceStatus("list", 999, NOON, "mark", "cursor", 7, "broke")
    await index.put("list", [listed("a")], status=told)
    assert await index.sources() == (replace(told, listings=1),)
    await index.tell(SourceStatus("list"))
    assert await index.sources() == (SourceStatus("list", 1),)
    await index.forget("list")
    assert await index.sources() == ()


async def test_a_batch_that_cannot_be_kept_leaves_nothing_of_itself(index: SqliteIndex) -> None:
    await index.put("list", [listed("a")])
    broken = replace(listed("b"), merit=object())  # type: ignore[arg-type]
    with pytest.raises((StateError, sqlite3.Error)):
        await index.put("list", [listed("c"), broken], removed=["a"], status=SourceStatus("list", mark="m"))
    assert await index.sources() == (SourceStatus("list", 1),)
    assert await ids(index, asking(words="c")) == []


# --- any sequence is that of a dictionary --------------------------------------------------------

SOURCES, NAMES = ("one", "two"), ("redis-a", "redis-b", "kafka-c", "redis-kafka-d", "zebra")
_names = st.lists(st.sampled_from(NAMES), max_size=3)
Step = tuple[str, str, list[str], list[str], int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("put", "put", "put", "drop_unseen", "forget")),
        st.sampled_from(SOURCES),
        _names,
        _names,
        st.integers(0, 3),
    ),
    max_size=12,
)


@dataclass
class Model:
    """What an index holds, as dictionaries: by source and id, the description and the walk that saw it."""

    kept: dict[str, dict[str, tuple[str, int]]] = field(default_factory=lambda: {one: {} for one in SOURCES})

    def play(self, number: int, step: Step) -> None:
        what, source, names, removed, walk = step
        own = self.kept[source]
        if what == "put":
            for name in removed:
                own.pop(name, None)
            for name in names:
                own[name] = (f"turn {number}", max(walk, own.get(name, ("", 0))[1]))
        elif what == "drop_unseen":
            self.kept[source] = {name: one for name, one in own.items() if one[1] >= walk}
        else:
            self.kept[source] = {}


async def play(index: SqliteIndex, number: int, step: Step) -> None:
    what, source, names, removed, walk = step
    if what == "put":
        listings = [listed(name, f"turn {number}", tools=["look", name]) for name in names]
        await index.put(source, listings, removed=removed, walk=walk)
    elif what == "drop_unseen":
        await index.drop_unseen(source, walk)
    else:
        await index.forget(source)


async def same(index: SqliteIndex, model: Model) -> None:
    """The index says of everything what the model says, and its tables hold nothing beside."""
    counts = {status.name: status.listings for status in await index.sources()}
    assert counts == {source: len(own) for source, own in model.kept.items() if own}
    for source, own in model.kept.items():
        found = {one.id: one.candidate.description for one in await index.listings(source)}
        assert found == {name: told for name, (told, _) in own.items()}
    for technology in ("redis", "kafka"):
        holders = {(hit.source, hit.id) for hit in (await index.search(asking(technology))).hits}
        assert holders == {
            (source, name) for source, own in model.kept.items() for name in own if technology in name
        }
    for name in NAMES:
        holding = [source for source in SOURCES if name in model.kept[source]]
        assert len(await index.lookup(f"npm:{name}")) == len(holding)
        assert bool(await index.tools([f"npm:{name}"])) == bool(holding)
    zebras = {(hit.source, hit.id) for hit in (await index.search(asking(words="zebra"))).hits}
    assert zebras == {(source, "zebra") for source in SOURCES if "zebra" in model.kept[source]}
    connection = sqlite3.connect(index.path)
    rows = {row for (row,) in connection.execute("SELECT row FROM listings")}
    for table, column in (("covers", "row"), ("tools", "row"), ("words", "rowid")):
        assert {row for (row,) in connection.execute(f"SELECT {column} FROM {table}")} <= rows
    assert connection.execute("SELECT count(*) FROM words").fetchone() == (len(rows),)
    connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    connection.close()


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_any_sequence_of_changes_is_that_of_a_dictionary(steps: list[Step]) -> None:
    async def compare() -> None:
        index, model = ScratchIndex(), Model()
        try:
            for number, step in enumerate(steps):
                await play(index, number, step)
                model.play(number, step)
            await same(index, model)
        finally:
            await index.aclose()

    anyio.run(compare)


# --- walks ---------------------------------------------------------------------------------------


async def test_an_older_walk_does_not_take_what_a_younger_one_has_seen(index: SqliteIndex) -> None:
    await index.put("list", [listed("a"), listed("b")], walk=1)
    await index.put("list", [listed("a")], walk=2)
    # The first walk comes by once more, and ends.
    await index.put("list", [listed("a")], walk=1)
    assert await index.drop_unseen("list", 1) == 0
    assert await index.drop_unseen("list", 2) == 1
    assert [one.id for one in await index.listings("list")] == ["a"]


async def test_what_a_walk_has_not_seen_goes_from_its_own_source_only(index: SqliteIndex) -> None:
    await index.put("one", [listed("a")], walk=1)
    await index.put("two", [listed("a")], walk=1)
    assert await index.drop_unseen("one", 2) == 1
    assert [status.name for status in await index.sources()] == ["two"]


# --- two at once ---------------------------------------------------------------------------------


async def test_a_search_sees_one_moment_while_another_connection_writes(path: Path) -> None:
    reading, writing = SqliteIndex(path), SqliteIndex(path)
    batches = [[listed(f"redis-{number}-{turn}") for number in range(20)] for turn in (0, 1)]
    over = False

    async def write() -> None:
        nonlocal over
        for turn in range(30):
            # Each transaction takes all rows away and puts as many new ones.
            removed = [one.listing.id for one in batches[(turn + 1) % 2]]
            await writing.put("list", batches[turn % 2], removed=removed)
        over = True

    with anyio.fail_after(30):
        await writing.put("list", batches[1])
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            while not over:
                answer = await reading.search(asking("redis", words="redis", limit=100))
                assert len(answer.hits) == 20
                assert len({hit.id[-1] for hit in answer.hits}) == 1
    await reading.aclose()
    await writing.aclose()


async def test_two_that_write_at_once_lose_nothing(path: Path) -> None:
    both = SqliteIndex(path), SqliteIndex(path)

    async def write(own: int) -> None:
        for number in range(15):
            await both[own].put(f"s{own}", [listed(f"n{number}")])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(write, 0)
            group.start_soon(write, 1)
    assert [status.listings for status in await both[0].sources()] == [15, 15]
    for one in both:
        await one.aclose()


# --- a file that is of no use --------------------------------------------------------------------


async def _filled(path: Path) -> None:
    index = SqliteIndex(path)
    await index.put("list", [listed(f"redis-{number}", "x" * 200) for number in range(200)])
    await index.aclose()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def _scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    path.write_bytes(bytes(content))


def _text(path: Path) -> None:
    path.write_text("this is not a database at all\n" * 100)


def _short(path: Path) -> None:
    path.write_bytes(b"abc")


def _future(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


DAMAGES = [_cut, _scribble, _text, _short, _future]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__[1:])
async def test_a_file_that_is_of_no_use_is_set_aside_and_made_anew(path: Path, damage: Any) -> None:
    await _filled(path)
    damage(path)
    before = path.read_bytes()
    index = SqliteIndex(path)
    # Searching may be the first that meets the damage, and so may writing.
    assert await ids(index, asking("redis", words="redis")) == []
    await index.put("list", [listed("redis-new")])
    assert await ids(index, asking("redis")) == ["redis-new"]
    told = (await status_of(index, "registry")).failure or ""
    assert "set aside as catalog.db.set-aside" in told
    assert ("newer version" in told) == (damage is _future)
    aside = path.with_name("catalog.db.set-aside")
    assert len(aside.read_bytes()) >= len(before)
    await index.aclose()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__[1:])
async def test_writing_into_a_file_that_is_of_no_use_begins_a_new_one(path: Path, damage: Any) -> None:
    await _filled(path)
    damage(path)
    index = SqliteIndex(path)
    await index.put("list", [listed("redis-new")])
    assert (await status_of(index, "list")).listings == 1
    await index.aclose()


async def test_only_the_last_file_that_was_set_aside_is_kept(path: Path) -> None:
    for turn in range(3):
        path.write_text(f"turn {turn}")
        index = SqliteIndex(path)
        await index.sources()
        await index.aclose()
    names = {one.name for one in path.parent.iterdir() if "set-aside" in one.name}
    assert names == {"catalog.db.set-aside"}
    assert path.with_name("catalog.db.set-aside").read_text() == "turn 2"


async def test_a_file_of_another_program_is_refused_and_left_as_it_is(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = path.read_bytes()
    index = SqliteIndex(path)
    with pytest.raises(ConfigCorrupt, match="another program"):
        await index.sources()
    await index.aclose()
    assert path.read_bytes() == before
    assert not path.with_name("catalog.db.set-aside").exists()


async def test_damage_under_an_open_index_is_told_to_who_writes_and_mended_for_who_reads(path: Path) -> None:
    await _filled(path)
    index = SqliteIndex(path)
    await index.sources()
    # As if the disk had changed under it: the pages behind the first are none.
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (path.stat().st_size - 4096))
    # What a walk had written before is gone: going on with its second half would be no copy.
    with pytest.raises(ConfigCorrupt, match="made anew") as caught:
        await index.put("list", [listed("redis-1")], removed=["redis-2"], walk=1)
    assert caught.value.retryable
    assert await ids(index, asking("redis")) == []
    await index.put("list", [listed("redis-1")])
    assert await ids(index, asking("redis")) == ["redis-1"]
    await index.aclose()


async def test_one_process_that_sets_a_file_aside_does_not_lose_what_another_writes_then(path: Path) -> None:
    await _filled(path)
    first = SqliteIndex(path)
    await first.sources()
    path.rename(path.with_name("elsewhere"))
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    second = SqliteIndex(path)
    await second.put("list", [listed("redis-second")])
    with pytest.raises(ConfigCorrupt, match="taken away"):
        await first.put("list", [listed("redis-first")])
    await first.put("list", [listed("redis-first")])
    assert set(await ids(second, asking("redis"))) == {"redis-first", "redis-second"}
    await first.aclose()
    await second.aclose()


async def test_two_that_meet_the_same_damage_make_one_new_file(path: Path) -> None:
    path.write_text("damaged")
    both = SqliteIndex(path), SqliteIndex(path)
    async with anyio.create_task_group() as group:
        for number, one in enumerate(both):
            group.start_soon(one.put, "list", [listed(f"redis-{number}")])
    assert set(await ids(both[0], asking("redis"))) == {"redis-0", "redis-1"}
    assert path.with_name("catalog.db.set-aside").read_text() == "damaged"
    for one in both:
        await one.aclose()


async def test_a_closed_index_says_so(path: Path) -> None:
    index = SqliteIndex(path)
    await index.aclose()
    with pytest.raises(StateError, match="closed"):
        await index.sources()


# --- it stays fast -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM covers WHERE row = 1",
        "DELETE FROM tools WHERE row = 1",
        "DELETE FROM listings WHERE row = 1",
        "SELECT row, walk FROM listings WHERE source = 'a' AND id = 'b'",
        "SELECT row FROM listings WHERE source = 'a' AND walk < 3",
        "SELECT record FROM listings WHERE candidate = 'a' LIMIT 20",
        "SELECT row, strength FROM covers WHERE technology = 'a' ORDER BY worth LIMIT 4",
        "SELECT row, id FROM listings WHERE source = 'a' AND id > 'b' ORDER BY id LIMIT 3",
    ],
)
async def test_no_statement_reads_a_whole_table(path: Path, statement: str) -> None:
    await _filled(path)
    connection = sqlite3.connect(path)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    connection.close()
    assert all(step.startswith("SEARCH") for step in plan), plan
