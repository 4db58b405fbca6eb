"""How people and programs speak: the expressions of `speech.toml`, compiled when first asked for."""

import re
from functools import cache

from warroom_mcp.knowledge.technology import damaged

_EXACT = frozenset({"printed"})


@cache
def speech(kind: str) -> re.Pattern[str]:
    """One of the lists as one expression: printed, fails, opens, pleads, thanks, small_talk, arithmetic,
    own_code, writing.

    Raises:
        WarRoomError: the file is not what it should be.
    """
    flags = re.MULTILINE if kind in _EXACT else re.MULTILINE | re.IGNORECASE
    try:
        return re.compile("|".join(_lists()[kind]), flags)
    except (KeyError, re.error) as error:
        raise damaged("speech", str(error)) from error


@cache
def _lists() -> dict[str, list[str]]:
    import tomllib
    from importlib.resources import files

    return tomllib.loads(files("warroom_mcp.knowledge").joinpath("speech.toml").read_text("utf-8"))
