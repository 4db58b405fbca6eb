"""The table of hosts: what is known is read from it, and what is not known is not guessed."""

import tomllib
from importlib.resources import files

import pytest

from warroom_mcp.hosts import Abilities, abilities_of


@pytest.mark.parametrize(
    ("name", "relists"),
    [("claude-code", True), ("claude-ai", False), ("codex-mcp-client", False), ("cursor-vscode", None)],
)
def test_a_known_host_is_found_by_the_name_it_gives(name: str, relists: bool | None) -> None:
    assert abilities_of(name) == Abilities(relists)


@pytest.mark.parametrize("name", [None, "", "CLAUDE-AI", "claude-code ", "nobody"])
def test_an_unknown_host_is_neither_trusted_nor_doubted(name: str | None) -> None:
    assert abilities_of(name) == Abilities(None)


def test_every_row_says_something_and_no_name_stands_twice() -> None:
    rows = tomllib.loads((files("warroom_mcp.hosts") / "abilities.toml").read_text("utf-8"))["host"]
    names = [name for row in rows for name in row["names"]]
    assert len(names) == len(set(names))
    assert all(row["names"] and row["relists"] in ("yes", "no", "unsure") for row in rows)
