"""Catalog files: what a row may say, what it may only claim, and rows that are none."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.standins.registry import entry, npm_package
from tests.store.examples import NOON
from warroom_mcp.catalog.index import indexed
from warroom_mcp.catalog.sources.file import MAX_BYTES, listings_of, read_file, read_row
from warroom_mcp.errors import SourceUnavailable
from warroom_mcp.listing import ListedTool, Listing
from warroom_mcp.models import Origin, Package, PackageInput, PackageKind

FULL: dict[str, Any] = {
    "id": "redis-by-acme",
    "name": "Redis MCP",
    "description": "Looks into Redis",
    "aliases": ["redis-mcp"],
    "tags": ["cache"],
    "category": "databases",
    "packages": [{"registry": "npm", "name": "redis-mcp", "version": "1.2.3", "confidence": "validated"}],
    "env": [{"name": "REDIS_URL", "description": "Where it is", "required": True, "secret": True}],
    "tools": [{"name": "info", "description": "Tells of memory"}, "keys"],
    "repository": "https://github.com/Acme/Redis-MCP",
    "official": True,
}


def row(**members: Any) -> Listing:
    """The listing of the full row with changes."""
    found = read_row(FULL | members, "list")
    assert found is not None
    return found


def names(path: Path) -> list[str]:
    return [listing.id for listing in read_file(path, "list")]


def lines(path: Path, *rows: object) -> Path:
    text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in rows)
    path.write_text(text + "\n", encoding="utf-8")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.jsonl"


# --- what a row says -----------------------------------------------------------------------------


def test_a_full_row_is_read_whole() -> None:
    found = row()
    one = found.candidate
    assert (found.id, one.id, one.name) == ("redis-by-acme", "npm:redis-mcp", "Redis MCP")
    assert one.package == Package(
        PackageKind.NPM,
        "redis-mcp",
        "1.2.3",
        inputs=(PackageInput("REDIS_URL", description="Where it is", required=True, secret=True),),
    )
    assert found.tools == (ListedTool("info", "Tells of memory"), ListedTool("keys"))
    assert found.words == ("redis-mcp", "cache", "databases")
    assert (one.repository, one.sources) == ("https://github.com/acme/redis-mcp", ("list",))
    assert (one.origin, one.unconfirmed, one.deprecated) == (Origin.KNOWN_PUBLISHER, "", None)


def test_a_list_never_makes_a_server_official() -> None:
    for told in (True, "official", 1, "yes"):
        assert row(official=told).candidate.origin is not Origin.OFFICIAL


@pytest.mark.parametrize("confidence", ["validated", "listed", None])
def test_a_package_that_was_started_or_listed_is_taken_as_told(confidence: str | None) -> None:
    packages = [{"registry": "npm", "name": "redis-mcp", "confidence": confidence}]
    assert row(packages=packages).candidate.unconfirmed == ""


@pytest.mark.parametrize("confidence", ["guessed", "", [], {}, 7, ["validated"]])
def test_any_other_package_is_a_claim(confidence: object) -> None:
    packages = [{"registry": "npm", "name": "redis-mcp", "confidence": confidence}]
    one = row(packages=packages).candidate
    assert (one.id, "nothing confirms" in one.unconfirmed) == ("npm:redis-mcp", True)


def test_a_package_that_is_sure_comes_before_one_that_is_claimed_and_an_address_between() -> None:
    claimed = {"registry": "npm", "name": "guess", "confidence": "guessed"}
    sure = {"registry": "pypi", "name": "redis-mcp"}
    remotes = [{"type": "streamable-http", "url": "https://mcp.example/mcp"}]
    assert row(packages=[claimed, sure], remotes=remotes).candidate.id == "pypi:redis-mcp"
    assert row(packages=[claimed], remotes=remotes).candidate.id == "remote:https://mcp.example/mcp"
    assert row(packages=[claimed]).candidate.id == "npm:guess"


def test_a_server_without_any_package_is_known_and_not_started() -> None:
    one = row(packages=[], remotes=None).candidate
    assert (one.id, one.package.kind) == ("listed:redis-by-acme", PackageKind.SOURCE)
    assert one.unconfirmed == "list names no package that could be started"


@pytest.mark.parametrize(
    "package",
    [
        None,
        "redis-mcp",
        {"registry": "npm"},
        {"registry": "npm", "name": 7},
        {"registry": "npm", "name": "../../etc/passwd"},
        {"registry": "npm", "name": "a b"},
        {"registry": "npm", "name": "x" * 500},
        {"registry": "npm", "name": "\u202eredis"},
        {"registry": "shell", "name": "redis-mcp"},
        {"registry": ["npm"], "name": "redis-mcp"},
        {"registry": "oci", "name": "Not An Image"},
    ],
)
def test_a_package_that_is_none_is_passed_over(package: object) -> None:
    assert row(packages=[package]).candidate.package.kind is PackageKind.SOURCE


@pytest.mark.parametrize(
    "url",
    ["http://example.com/mcp", "file:///etc/passwd", "https://a b", "//x", "", None, 7, "https://u:p@x/"],
)
def test_an_address_that_is_none_is_passed_over(url: object) -> None:
    remotes = [{"type": "sse", "url": url}, None, {"type": [], "url": "https://x.example"}]
    assert row(packages=[], remotes=remotes).candidate.package.kind is PackageKind.SOURCE


@pytest.mark.parametrize("version", ["latest", "^1.0.0", "1.0.0 || 2", "--version", "", 1, None])
def test_a_version_that_is_not_exact_is_unknown(version: object) -> None:
    packages = [{"registry": "npm", "name": "redis-mcp", "version": version}]
    assert row(packages=packages).candidate.package.version is None


def test_variables_that_change_what_is_run_are_not_taken() -> None:
    inputs = [{"name": name} for name in ("NODE_OPTIONS", "LD_PRELOAD", "PATH", "A-B", "TOKEN")]
    assert [one.name for one in row(env=inputs).candidate.package.inputs] == ["TOKEN"]


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (True, "its list says so"),
        ("moved\u202e away", "moved away"),
        ("", None),
        (False, None),
        (None, None),
        ({}, None),
    ],
)
def test_a_deprecation_is_told_with_its_reason(told: object, known: str | None) -> None:
    assert row(deprecated=told).candidate.deprecated == known


def test_texts_are_cut_and_shown_without_what_hides_in_them() -> None:
    found = row(
        name="a\u202eb\nc",
        description="x" * 5000,
        tags=["t\x00ag", 7, None, ""],
        tools=[{"name": "\u200b"}, "ok"],
    )
    assert (found.candidate.name, len(found.candidate.description)) == ("ab c", 600)
    assert (found.words, found.tools) == (("redis-mcp", "tag", "databases"), (ListedTool("ok"),))


def test_an_entry_of_a_registry_is_a_row_too() -> None:
    found = read_row(entry("io.github.acme/redis", packages=[npm_package("redis-mcp")]), "list")
    assert found is not None
    assert (found.id, found.candidate.id) == ("io.github.acme/redis", "npm:redis-mcp")
    assert found.candidate.sources == ("list",)


@pytest.mark.parametrize(
    "item",
    [
        None,
        7,
        "x",
        [],
        {},
        {"name": ""},
        {"name": "\u200b"},
        {"name": []},
        {"server": 5},
        {"server": {}},
        {"server": None},
    ],
)
def test_what_is_no_row_is_left_out(item: object) -> None:
    assert read_row(item, "list") is None
    assert len(listings_of([item, FULL], "list")) == 1


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_ROWS = st.fixed_dictionaries(
    {"name": st.text(min_size=1)},
    optional={
        **{member: _VALUES for member in FULL if member != "name"},
        "packages": _VALUES
        | st.lists(st.dictionaries(st.sampled_from(["registry", "name", "confidence"]), _VALUES)),
        "remotes": _VALUES | st.lists(st.dictionaries(st.sampled_from(["type", "url"]), _VALUES)),
    },
)


@settings(deadline=None)
@given(_ROWS)
def test_no_row_ends_reading_and_what_is_read_can_be_kept(item: dict[str, Any]) -> None:
    import msgspec

    from warroom_mcp.catalog.identity import identify

    found = read_row(item, "list")
    if found is not None:
        one = found.candidate
        assert one.id == (identify(one.package) or f"listed:{found.id}")
        assert one.name.isprintable()
        msgspec.json.encode(one)
        ("\n".join([found.id, *found.words, *(tool.name for tool in found.tools)])).encode()
        indexed(found, NOON.date())


# --- files ---------------------------------------------------------------------------------------


def test_a_file_of_lines_is_read_in_its_order(path: Path) -> None:
    assert names(lines(path, {"name": "b"}, "", {"name": "a"}, "   ", {"name": "c"})) == ["b", "a", "c"]


def test_a_line_that_is_none_costs_the_others_nothing(path: Path) -> None:
    bad = ["{", "null", "7", "[" * 100_000, '{"name": "cut', "\x00", '"text"', "NaN"]
    rows = [each for number, one in enumerate(bad) for each in (one, {"name": f"n{number}"})]
    wanted = [f"n{number}" for number in range(len(bad))]
    assert names(lines(path, {"name": "first"}, *rows)) == ["first", *wanted]
    # Also where the first line is one of them.
    assert names(lines(path, *rows)) == wanted


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n\n"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n", "\ufeff\n"])
def test_a_single_line_is_a_file_of_one(path: Path, start: str, ending: str) -> None:
    path.write_text(start + json.dumps({"name": "a"}) + ending, encoding="utf-8")
    assert names(path) == ["a"]


@pytest.mark.parametrize("indent", [None, 2, 0])
def test_a_registrys_own_answer_is_read_however_it_is_laid_out(path: Path, indent: int | None) -> None:
    servers = [entry(f"io.github.x/{name}", packages=[npm_package(name)]) for name in ("a", "b")]
    path.write_text(json.dumps({"servers": servers, "metadata": {"count": 2}}, indent=indent))
    assert names(path) == ["io.github.x/a", "io.github.x/b"]
    path.write_text(json.dumps(servers, indent=indent))
    assert names(path) == ["io.github.x/a", "io.github.x/b"]
    path.write_text(json.dumps(servers[0], indent=indent))
    assert names(path) == ["io.github.x/a"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"not json", b"null", b"\xff\xfe\x00", b"{" * 200_000, b"[1, 2", b"\x1f\x8b\x08"],
)
def test_a_file_that_is_no_json_is_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SourceUnavailable, match="cannot be used") as caught:
        names(path)
    assert not caught.value.retryable
    assert "catalog_files" in caught.value.hint
    assert str(caught.value.details["reason"]) in ("it is empty", "it is not JSON")


@pytest.mark.parametrize("content", ["7", '"x"', "[]", "{}", '{"servers": []}', '{"servers": null}'])
def test_json_without_rows_is_an_empty_list(path: Path, content: str) -> None:
    path.write_text(content)
    assert names(path) == []


def test_a_file_that_is_missing_is_told_by_its_reason(path: Path) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        names(path)
    assert caught.value.details["reason"] == "No such file or directory"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path(os.devnull)):
        with pytest.raises(SourceUnavailable, match="it is no file"):
            names(path)


def test_a_file_that_is_too_large_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(SourceUnavailable, match="larger than"):
        names(path)
