"""Reads values out of untrusted JSON: what has the wrong type is absent, what is too long is cut.

Everything that a registry says passes through here before it becomes a value of the models.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_!-]{0,63}\Z")
_GITHUB = re.compile(
    r"(?:git\+)?(?:https?|git|ssh)://(?:git@)?([a-z0-9.-]+)/([a-z0-9._-]+)/([a-z0-9._-]+?)(?:\.git)?(?:[/#?].*)?\Z",
    re.IGNORECASE,
)
# What cannot be seen can hide instructions: controls, formats (bidi, zero width, tags), private use.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def mapping(value: object) -> Mapping[str, object]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def field(value: object, name: str) -> object:
    """A member by its camelCase name, else by the snake_case name of older registries, else None."""
    members = mapping(value)
    found = members.get(name)
    return members.get(_CAMEL.sub("_", name).lower()) if found is None else found


def listing(value: object, limit: int = 200) -> Sequence[object]:
    """The array, at most `limit` long, or an empty one."""
    return value[:limit] if isinstance(value, list) else ()


def text(value: object, limit: int = 300) -> str:
    """A string on one line without hidden characters, cut to `limit`; anything else is empty."""
    if not isinstance(value, str):
        return ""
    shown = "".join(_visible(character) for character in value[: limit * 4])
    return " ".join(shown.split())[:limit]


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    if "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return ""
    return "" if unicodedata.category(character) in _HIDDEN else character


def count(value: object) -> int | None:
    """A number of things, or None; a negative one is how some registries say unknown."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return min(value, 10**12)


def moment(value: object) -> datetime | None:
    """An ISO 8601 time in UTC, or None; one without a zone is taken as UTC."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        told = datetime.fromisoformat(value)
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def day(value: object) -> date | None:
    """The day of an ISO 8601 time, in UTC, or None."""
    told = moment(value)
    return told.date() if told else None


def version(value: object) -> str | None:
    """An exact version, or None for ranges, tags and anything that could be read as an option."""
    if not isinstance(value, str) or value == "latest" or not _VERSION.match(value):
        return None
    return value


def repository(value: object) -> str | None:
    """A repository as `https://host/owner/name` in lower case, from the forms that registries use."""
    if isinstance(value, dict):
        value = value.get("url")
    if not isinstance(value, str) or len(value) > 500:
        return None
    if re.match(r"(?:github:)?[\w.-]+/[\w.-]+\Z", value):
        value = "https://github.com/" + value.removeprefix("github:")
    match = _GITHUB.match(value.replace("git@github.com:", "ssh://git@github.com/"))
    if match is None:
        return None
    host, owner, name = (part.lower() for part in match.groups())
    return f"https://{host.removeprefix('www.')}/{owner}/{name}"


def repository_owner(address: str | None) -> str | None:
    """The owner in a GitHub repository's address, or None."""
    prefix = "https://github.com/"
    if address is None or not address.startswith(prefix):
        return None
    return address.removeprefix(prefix).split("/", 1)[0].lower() or None
