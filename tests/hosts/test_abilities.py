"""The table of hosts: what is known is read from it, and what is not known is not guessed."""

import re
import tomllib
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.hosts import Abilities, Elicitation, abilities_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "hosts.md"


def rows() -> list[dict[str, Any]]:
    text = (files("warroom_mcp.hosts") / "abilities.toml").read_text("utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)["host"]
    return found


@pytest.mark.parametrize(
    ("name", "relists"),
    [("claude-code", True), ("claude-ai", False), ("codex-mcp-client", False), ("cursor-vscode", None)],
)
def test_a_known_host_is_found_by_the_name_it_gives(name: str, relists: bool | None) -> None:
    assert abilities_of(name).relists is relists


@pytest.mark.parametrize("name", [None, "", "CLAUDE-AI", "claude-code ", "nobody"])
def test_an_unknown_host_is_neither_trusted_nor_doubted(name: str | None) -> None:
    assert abilities_of(name, "1.0") == Abilities()
    assert Abilities().relists is None
    assert Abilities().elicitation == Elicitation(None, None)


def test_a_number_is_there_only_where_a_limit_is_known() -> None:
    assert abilities_of("Visual Studio Code").tool_budget == 128
    assert abilities_of("cursor-vscode").tool_budget == 40
    assert abilities_of("claude-code").tool_budget is None
    assert abilities_of("claude-code").max_output_bytes == 50_000
    assert abilities_of("claude-code").max_message_bytes == 10 * 1024 * 1024
    assert abilities_of("Zed") == Abilities(True, Elicitation(False, False))


@pytest.mark.parametrize(
    ("version", "relists", "form"),
    [
        (None, True, True),
        ("2.1.330", True, True),
        ("2.1.76", True, True),
        ("2.1.75", True, False),
        ("2.1.76-beta.1", True, True),
        ("2.1", True, False),
        ("2.1.0", True, False),
        ("2.0.99", False, False),
        ("v1.0.128 (build 9)", False, False),
        ("3", True, True),
        ("", True, True),
        ("today", True, True),
    ],
)
def test_an_older_version_is_known_not_to_have_what_came_later(
    version: str | None, relists: bool, form: bool
) -> None:
    found = abilities_of("claude-code", version)
    assert (found.relists, found.elicitation.form, found.elicitation.url) == (relists, form, form)
    assert found.max_output_bytes == 50_000


@given(version=st.text())
def test_no_version_breaks_it(version: str) -> None:
    assert abilities_of("claude-code", version).max_output_bytes == 50_000


def test_every_row_says_something_and_no_name_stands_twice() -> None:
    known = {
        "names",
        "relists",
        "elicitation",
        "tool_budget",
        "max_output_bytes",
        "max_message_bytes",
        "since",
    }
    answers = ("yes", "no", "unsure")
    names = [name for row in rows() for name in row["names"]]
    assert len(names) == len(set(names))
    for row in rows():
        assert row["names"]
        assert row.keys() <= known
        assert row["relists"] in answers
        assert row["elicitation"].keys() == {"form", "url"}
        assert set(row["elicitation"].values()) <= set(answers)
        assert all(value > 0 for value in row.values() if isinstance(value, int))
        assert row.get("since", {}).keys() <= {"relists", "elicitation"}


def test_every_fact_of_the_table_names_its_source() -> None:
    lines = (files("warroom_mcp.hosts") / "abilities.toml").read_text("utf-8").splitlines()
    facts = ("relists =", "elicitation =", "tool_budget =", "max_output_bytes =", "max_message_bytes =")
    bare = [
        line
        for before, line in pairwise(lines)
        if line.startswith(facts) and not before.startswith(("#", "relists"))
    ]
    assert bare == []


def test_the_document_shows_what_the_table_says() -> None:
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.read_text("utf-8").splitlines()
        if line.startswith("|")
    ]
    told = {
        name: cells[1:] for cells in shown if len(cells) == 6 for name in re.findall(r"`([^`]+)`", cells[0])
    }
    for row in rows():
        numbers = (row.get(what) for what in ("tool_budget", "max_output_bytes", "max_message_bytes"))
        expected = [
            row["elicitation"]["form"],
            row["elicitation"]["url"],
            *("" if number is None else f"{number:,}" for number in numbers),
        ]
        assert {name: told.get(name) for name in row["names"]} == dict.fromkeys(row["names"], expected)
