"""The table of hosts: read once, asked by the name and version that a host gives of itself."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

_KNOWN = {"yes": True, "no": False, "unsure": None}
_VERSION = re.compile(r"\D*(\d+(?:\.\d+){0,3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Elicitation:
    """Whether a host shows forms to the person, and opens addresses; None is not known."""

    form: bool | None = None
    url: bool | None = None


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a host is known to do; None is not known, and for a number that no limit is.

    `tool_budget` counts the tools of all its servers. `since` names the first version with an ability.
    """

    relists: bool | None = None
    elicitation: Elicitation = Elicitation()
    tool_budget: int | None = None
    max_output_bytes: int | None = None
    max_message_bytes: int | None = None
    since: Mapping[str, str] = field(default_factory=dict, hash=False)


def abilities_of(name: str | None, version: str | None = None) -> Abilities:
    """The row of a host, or an empty one: an unknown host is neither trusted nor doubted.

    A host that says no version, or none that can be read, is taken for one of today.
    """
    row = _table().get(name or "", Abilities())
    given = _parsed(version or "")
    missing = {what for what, first in row.since.items() if given and given < _parsed(first)}
    if "relists" in missing:
        row = replace(row, relists=False)
    if "elicitation" in missing:
        row = replace(row, elicitation=Elicitation(False, False))
    return row


@cache
def _table() -> dict[str, Abilities]:
    text = (files("warroom_mcp.hosts") / "abilities.toml").read_text(encoding="utf-8")
    return {name: _row(row) for row in tomllib.loads(text)["host"] for name in row["names"]}


def _row(row: Mapping[str, Any]) -> Abilities:
    said = {what: value for what, value in row.items() if what not in ("names", "relists", "elicitation")}
    elicitation = Elicitation(**{mode: _KNOWN[value] for mode, value in row["elicitation"].items()})
    return Abilities(relists=_KNOWN[row["relists"]], elicitation=elicitation, **said)


def _parsed(version: str) -> tuple[int, ...]:
    """The four numbers of a version, without what tells a preview from a release; empty if there are none."""
    found = _VERSION.match(version[:64])
    numbers = [int(part) for part in found[1].split(".")] if found else []
    return (*numbers, 0, 0, 0)[:4] if numbers else ()
