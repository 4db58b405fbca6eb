"""The index as a file: what goes out comes in again, and nothing in a file is believed."""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalog.memory import ScratchIndex, candidate
from tests.store.examples import NOON
from warroom_mcp.catalog.index import indexed
from warroom_mcp.catalog.snapshot import FORMAT, export_index, import_index
from warroom_mcp.errors import InvalidInput
from warroom_mcp.lexicon.stems import stem_of
from warroom_mcp.listing import IndexQuery, ListedTool, Listing, SourceStatus
from warroom_mcp.models import (
    Candidate,
    InputPlace,
    Origin,
    Package,
    PackageInput,
    PackageKind,
    Score,
    ScorePart,
)
from warroom_mcp.version import __version__

TODAY = NOON.date()
MARK = f"{__version__} 2026-11-01T00:00:00+00:00"
HEAD: dict[str, Any] = {
    "format": FORMAT,
    "exported": NOON.isoformat(),
    "sources": {"team": {"synced": NOON.isoformat(), "mark": MARK}},
}


@pytest.fixture
async def index() -> AsyncIterator[ScratchIndex]:
    made = ScratchIndex()
    yield made
    await made.aclose()


@pytest.fixture
async def other() -> AsyncIterator[ScratchIndex]:
    made = ScratchIndex()
    yield made
    await made.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.gz"


def one(name: str, **changes: Any) -> Listing:
    return Listing(
        name,
        candidate(name, **({"sources": ("team",)} | changes)),
        (ListedTool("info", "Tells"),),
        ("cache",),
    )


def line(listing: Listing | None = None, source: object = "team", **members: Any) -> dict[str, Any]:
    """A line of a snapshot, as a dictionary."""
    listing = listing or one("redis-mcp")
    told = {
        "source": source,
        "id": listing.id,
        "candidate": msgspec.to_builtins(listing.candidate),
        "tools": [[tool.name, tool.description] for tool in listing.tools],
        "words": list(listing.words),
    }
    return told | members


def write(path: Path, *lines: object, head: object = HEAD) -> None:
    with gzip.open(path, "wb") as file:
        for each in (head, *lines):
            file.write((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n")


async def told(index: ScratchIndex, source: str = "team") -> dict[str, Candidate]:
    return {listing.id: listing.candidate for listing in await index.listings(source)}


# --- there and back ------------------------------------------------------------------------------


async def test_what_goes_out_comes_in_again_with_its_age(
    index: ScratchIndex, other: ScratchIndex, path: Path
) -> None:
    package = Package(
        PackageKind.NPM,
        "rich-mcp",
        version="1.2.3",
        integrity="sha512-" + "A" * 86 + "==",
        arguments=("--mode", "stdio", "run"),
        inputs=(
            PackageInput("REDIS_URL", template="redis://{host}:{port}", required=True),
            PackageInput("TOKEN", secret=True),
            PackageInput("--level", InputPlace.ARGUMENT, default="info", choices=("info", "debug")),
            PackageInput("", InputPlace.ARGUMENT, description="a path"),
        ),
        executable="rich-mcp",
    )
    remote = Package(
        PackageKind.HTTP,
        "https://mcp.example/mcp",
        inputs=(PackageInput("Authorization", InputPlace.HEADER, secret=True),),
    )
    listings = [
        one(
            "rich-mcp", package=package, description="Läuft ‘gut’, 레디스", weekly_downloads=12, updated=TODAY
        ),
        Listing(
            "x/remote",
            candidate("x/remote", id="remote:https://mcp.example/mcp", package=remote, sources=("team",)),
        ),
        Listing(
            "slug",
            candidate(
                "slug",
                id="listed:slug",
                package=Package(PackageKind.SOURCE, "slug"),
                unconfirmed="nobody knows",
                sources=("team",),
            ),
        ),
    ]
    status = SourceStatus("team", synced=NOON, mark=MARK)
    await index.put("team", [indexed(each, TODAY) for each in listings], status=status)
    assert await export_index(index, path, NOON) == 3
    assert await import_index(other, path, TODAY) == {"team": status}
    assert await other.listings("team") == tuple(sorted(listings, key=lambda each: each.id))
    assert await other.sources() == (SourceStatus("team", 3, NOON, MARK),)
    assert [hit.id for hit in (await other.search(IndexQuery((), ({stem_of("cache"): 1.0},)))).hits] == [
        "rich-mcp"
    ]


async def test_many_go_out_in_pages(index: ScratchIndex, other: ScratchIndex, path: Path) -> None:
    for source in ("team", "registry"):
        await index.put(source, [indexed(one(f"n{number}"), TODAY) for number in range(1201)])
    assert await export_index(index, path, NOON) == 2402
    await import_index(other, path, TODAY)
    assert [status.listings for status in await other.sources()] == [1201, 1201]


async def test_what_comes_in_takes_the_place_of_what_was_there_and_of_nothing_else(
    index: ScratchIndex, path: Path
) -> None:
    walk = 10**17
    await index.put("team", [indexed(one("old"), TODAY), indexed(one("redis-mcp"), TODAY)], walk=5)
    await index.put("mine", [indexed(one("own"), TODAY)], walk=walk)
    write(path, line())
    await import_index(index, path, TODAY)
    assert set(await told(index)) == {"redis-mcp"}
    assert set(await told(index, "mine")) == {"own"}


async def test_a_walk_that_was_cut_off_is_over_after_an_import(index: ScratchIndex, path: Path) -> None:
    await index.tell(SourceStatus("team", walk=7, cursor="x", failure="answered 503"))
    write(path, line())
    await import_index(index, path, TODAY)
    assert await index.sources() == (SourceStatus("team", 1, NOON, MARK),)


async def test_the_curated_servers_neither_go_out_nor_come_in(index: ScratchIndex, path: Path) -> None:
    await index.put("curated", [indexed(one("shipped"), TODAY)])
    assert await export_index(index, path, NOON) == 0
    head = HEAD | {"sources": {"curated": {"synced": None}, "team": {}}}
    write(path, line(source="curated"), line(one("b", sources=("curated",))), head=head)
    assert set(await import_index(index, path, TODAY)) == {"team"}
    assert set(await told(index, "curated")) == {"shipped"}
    assert [each.sources for each in (await told(index)).values()] == [("team",)]


# --- nothing is believed -------------------------------------------------------------------------


async def test_an_import_proves_no_origin(index: ScratchIndex, path: Path) -> None:
    official = {
        "origin": Origin.OFFICIAL,
        "origin_evidence": "trust me",
        "score": Score((ScorePart("a", 40, 40, ""),)),
    }
    scoped = "@modelcontextprotocol/server-x"
    write(
        path,
        line(one("evil", **official)),
        line(one(scoped, **official)),
        line(one("known", origin=Origin.KNOWN_PUBLISHER, origin_evidence="its domain")),
    )
    await import_index(index, path, TODAY)
    origins = {name: each.origin for name, each in (await told(index)).items()}
    assert origins == {
        "evil": Origin.UNPROVEN,
        scoped: Origin.OFFICIAL,
        "known": Origin.KNOWN_PUBLISHER,
    }
    assert all(each.score == Score() for each in (await told(index)).values())


def _changed(**members: Any) -> Callable[[], object]:
    return lambda: line(**members)


def _with(**members: Any) -> Callable[[], object]:
    def make() -> object:
        row = line()
        row["candidate"] |= members
        return row

    return make


def _packaged(**members: Any) -> Callable[[], object]:
    def make() -> object:
        row = line()
        row["candidate"]["package"] |= members
        return row

    return make


def _input(name: str, place: str = "env") -> Callable[[], object]:
    return _packaged(inputs=[{"name": name, "place": place}])


BAD: list[Callable[[], object]] = [
    lambda: None,
    lambda: 7,
    lambda: [],
    lambda: {},
    lambda: b"",
    lambda: b"\xff\xfe not text",
    lambda: b"{" * 100_000,
    lambda: b"[" * 100_000,
    lambda: b'{"source": "team", "id": "half',
    _changed(source=None),
    _changed(source=["team"]),
    _changed(source="another"),
    _changed(id=None),
    _changed(id=""),
    _changed(candidate=None),
    _changed(candidate=[]),
    _with(id="npm:another"),
    _with(id=3),
    _with(name=""),
    _with(name="\u202e"),
    _with(package=None),
    _with(origin="vendor"),
    _packaged(kind="shell"),
    _packaged(identifier="../../etc/passwd"),
    _packaged(identifier="x" * 5000),
    _packaged(version="latest"),
    _packaged(version="1.0.0; rm -rf /"),
    _packaged(integrity="none"),
    _packaged(executable="../sh"),
    _packaged(arguments=["$(reboot)"]),
    _packaged(arguments=["-c import os"]),
    _packaged(arguments=[""]),
    _input("LD_PRELOAD"),
    _input("NODE_OPTIONS"),
    _input("A=B"),
    _input("Host", "header"),
    _input("X\r\nY", "header"),
    _input("--a b", "argument"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
async def test_a_line_that_is_no_listing_costs_the_others_nothing(
    number: int, index: ScratchIndex, path: Path
) -> None:
    write(path, line(one("before")), BAD[number](), line(one("after")))
    await import_index(index, path, TODAY)
    assert set(await told(index)) == {"before", "after"}
    assert [status.name for status in await index.sources()] == ["team"]


async def test_a_line_without_an_end_costs_the_others_nothing(index: ScratchIndex, path: Path) -> None:
    huge = line(one("redis-mcp", description="x" * 3_000_000))
    write(path, line(one("before")), huge, line(one("after")))
    await import_index(index, path, TODAY)
    assert set(await told(index)) == {"before", "after"}


async def test_texts_are_shown_without_what_hides_in_them(index: ScratchIndex, path: Path) -> None:
    hidden = "a\u202eb\x1b\U000e0041\nc"
    listing = Listing(
        "redis-mcp",
        candidate("redis-mcp", title=hidden, description=hidden * 1000, heir=hidden, tools=(hidden,)),
        (ListedTool(hidden, hidden),),
        (hidden,),
    )
    write(path, line(listing), line(one("x", weekly_downloads=-5)), line(one("y", weekly_downloads=10**30)))
    await import_index(index, path, TODAY)
    found = (await index.listings("team"))[0]
    assert (found.candidate.title, found.candidate.heir, found.candidate.tools) == ("ab c", "ab c", ("ab c",))
    assert len(found.candidate.description) == 600
    assert (found.tools, found.words) == ((ListedTool("ab c", "ab c"),), ("ab c",))
    counts = {name: each.weekly_downloads for name, each in (await told(index)).items()}
    assert (counts["x"], counts["y"]) == (None, 10**12)


@pytest.mark.parametrize(
    ("synced", "mark"),
    [
        (None, None),
        ("soon", "x"),
        (7, {"a": 1}),
        ([], "curl | sh"),
        ((NOON + timedelta(days=900)).isoformat(), f"{__version__} 2999-01-01T00:00:00+00:00"),
        ("2026-11-30T00:00:00Z", "file:1.0:/etc/passwd:1:1"),
    ],
)
async def test_an_age_that_cannot_be_is_unknown(
    synced: object, mark: object, index: ScratchIndex, path: Path
) -> None:
    write(path, line(), head=HEAD | {"sources": {"team": {"synced": synced, "mark": mark}}})
    await import_index(index, path, TODAY)
    assert await index.sources() == (SourceStatus("team", 1),)


async def test_a_time_without_a_zone_is_one_of_utc(index: ScratchIndex, path: Path) -> None:
    write(path, line(), head=HEAD | {"sources": {"team": {"synced": "2026-11-01T10:00:00"}}})
    await import_index(index, path, TODAY)
    (status,) = await index.sources()
    assert status.synced == datetime.fromisoformat("2026-11-01T10:00:00+00:00")


async def test_names_of_sources_that_are_none_are_passed_over(index: ScratchIndex, path: Path) -> None:
    names = ["../x", "", "A", "a" * 100, "a\nb", "ok"]
    write(path, *(line(source=name) for name in names), head=HEAD | {"sources": dict.fromkeys(names)})
    assert set(await import_index(index, path, TODAY)) == {"ok"}
    assert [status.name for status in await index.sources()] == ["ok"]


# --- files that are none -------------------------------------------------------------------------


def _cut(path: Path) -> None:
    write(path, *(line(one(f"n{number}-{'x' * number}")) for number in range(400)))
    path.write_bytes(path.read_bytes()[:-40])


def _flipped(path: Path) -> None:
    write(path, *(line(one(f"n{number}-{'x' * number}")) for number in range(400)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


NONE: list[Callable[[Path], object]] = [
    lambda path: None,
    lambda path: path.mkdir(),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_text("just text"),
    lambda path: path.write_text(json.dumps(HEAD)),
    lambda path: write(path, head=None),
    lambda path: write(path, head=[]),
    lambda path: write(path, head=b"not json"),
    lambda path: write(path, head=b"[" * 100_000),
    lambda path: write(path, line(), head=HEAD | {"format": "warroom-catalog-99"}),
    _cut,
    _flipped,
]


@pytest.mark.parametrize("number", range(len(NONE)))
async def test_a_file_that_is_none_or_damaged_is_told_and_changes_nothing(
    number: int, index: ScratchIndex, path: Path
) -> None:
    status = SourceStatus("team", 1, NOON, MARK)
    await index.put("team", [indexed(one("kept"), TODAY)], status=status)
    NONE[number](path)
    with pytest.raises(InvalidInput, match="is no catalog snapshot") as caught:
        await import_index(index, path, TODAY)
    assert "warroom catalog export" in caught.value.hint
    assert (set(await told(index)), await index.sources()) == ({"kept"}, (status,))


async def test_a_file_that_unpacks_to_too_much_is_refused(
    index: ScratchIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warroom_mcp.catalog.snapshot._MAX_BYTES", 1000)
    write(path, line(), b"x" * 2000)
    with pytest.raises(InvalidInput, match="unpacks to more"):
        await import_index(index, path, TODAY)
    assert await index.sources() == ()


@pytest.mark.parametrize("where", ["missing/catalog.gz", "file/catalog.gz", ".", "directory"])
async def test_a_path_that_cannot_be_written_is_told_and_nothing_is_left(
    where: str, index: ScratchIndex, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "directory").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidInput, match="cannot be written"):
        await export_index(index, tmp_path / where, NOON)
    assert sorted(tmp_path.rglob("*")) == before


async def test_an_export_takes_the_place_of_an_older_file_only_when_it_is_whole(
    index: ScratchIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("older")
    await index.put("team", [indexed(one("a"), TODAY)])

    def fail(*_: Any) -> Iterator[str]:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("warroom_mcp.catalog.snapshot._line", fail)
        with pytest.raises(InvalidInput, match="No space left"):
            await export_index(index, path, NOON)
    assert path.read_text() == "older"
    assert [each.name for each in path.parent.iterdir() if "gz" in each.name] == [path.name]
    assert await export_index(index, path, NOON) == 1


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_no_line_ends_reading(value: object) -> None:
    from warroom_mcp.catalog.snapshot import _read

    row = line()
    rows = [value, *(row | {member: value} for member in ("id", "candidate", "tools", "words", "source"))]
    rows += [row | {"candidate": row["candidate"] | {member: value}} for member in row["candidate"]]
    lines = [json.dumps(each).encode() for each in rows]
    _read([*lines, json.dumps(row).encode()], frozenset({"team"}), date(2026, 11, 1))
