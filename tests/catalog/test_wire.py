"""Untrusted JSON: wrong types are absent, hidden characters are gone, lengths are bounded."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.catalog import wire

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_any_value_can_be_read_as_anything(value: Any) -> None:
    assert len(wire.text(value, 20)) <= 20
    assert wire.count(value) is None or wire.count(value) == min(value, 10**12)
    wire.day(value)
    wire.version(value)
    wire.repository(value)
    assert list(wire.listing(value)) == (value if isinstance(value, list) else [])
    wire.field(value, "registryType")


@pytest.mark.parametrize(
    "hidden",
    ["\u202e", "\u200b", "\u2066", "\x1b[31m", "\x00", "\ufeff", "\ufe0f", "\U000e0041", "\ud800", "\ue000"],
)
def test_hidden_characters_do_not_survive(hidden: str) -> None:
    shown = wire.text(f"say{hidden} hello")
    assert shown in ("say hello", "say[31m hello")


def test_letters_of_any_script_survive_on_one_line() -> None:
    assert wire.text("데이터베이스\n اختبار 數據  ß 🐘") == "데이터베이스 اختبار 數據 ß 🐘"


def test_members_are_found_in_both_spellings() -> None:
    assert wire.field({"registry_type": "npm"}, "registryType") == "npm"
    assert wire.field({"registryType": "npm", "registry_type": "pypi"}, "registryType") == "npm"


@pytest.mark.parametrize("value", ["latest", "^1.0", ">=1", "1.x || 2", "-1", "", "1 2", "../1", None, 1])
def test_what_is_no_exact_version_is_none(value: object) -> None:
    assert wire.version(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "https://github.com/Redis/MCP-redis",
        "git+https://github.com/redis/mcp-redis.git",
        "git://github.com/redis/mcp-redis.git",
        "git@github.com:redis/mcp-redis.git",
        "ssh://git@github.com/redis/mcp-redis.git",
        "https://www.github.com/redis/mcp-redis/tree/main/src",
        "https://github.com/redis/mcp-redis#readme",
        "redis/mcp-redis",
        "github:redis/mcp-redis",
        {"type": "git", "url": "git+https://github.com/redis/mcp-redis.git"},
    ],
)
def test_a_repository_has_one_spelling(value: object) -> None:
    assert wire.repository(value) == "https://github.com/redis/mcp-redis"
    assert wire.repository_owner(wire.repository(value)) == "redis"


def test_days_are_read_in_utc() -> None:
    assert wire.day("2026-09-02T23:30:00-02:00") == date(2026, 9, 3)
    assert wire.day("2026-09-02T05:06:16.000Z") == date(2026, 9, 2)
    assert wire.day("last week") is None
    assert wire.day("0001-01-01T00:00:00+23:00") is None
