"""The table of hosts: read once, asked by the name that a host gives of itself."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a host is known to do; None is not known."""

    relists: bool | None = None


def abilities_of(name: str | None) -> Abilities:
    """The row of a host, or an empty one: an unknown host is neither trusted nor doubted."""
    return _table().get(name or "", Abilities())


@cache
def _table() -> dict[str, Abilities]:
    text = (files("warroom_mcp.hosts") / "abilities.toml").read_text(encoding="utf-8")
    known = {"yes": True, "no": False, "unsure": None}
    return {
        name: Abilities(relists=known[row["relists"]])
        for row in tomllib.loads(text)["host"]
        for name in row["names"]
    }
