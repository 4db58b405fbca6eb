"""One technology as data: a file in `technologies/`, named after it, read strictly."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from warroom_mcp.errors import WarRoomError

# What a need can be given from the problem.
PARAMETERS = frozenset(
    {"host", "port", "database", "user", "container", "namespace", "bucket", "region", "url", "path"}
)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_REINSTALL = "The installation is damaged: install warroom-mcp again."


class Role(StrEnum):
    """What a technology is to a problem that mentions it.

    A product is what one works on. A runtime is what a program is written in, which is rarely what the
    problem is about. A layer is what others talk over: its failures show in theirs. A task is something
    to be done, whatever product does it.
    """

    PRODUCT = "product"
    RUNTIME = "runtime"
    LAYER = "layer"
    TASK = "task"


class Kind(StrEnum):
    """In which way a piece of text points to a technology; the keys of the files.

    The value of `AGAINST` points away from it.
    """

    NAME = "names"
    THING = "things"
    WORD = "words"
    ERROR = "errors"
    WEAK = "weak"
    EXCEPTION = "exceptions"
    CODE = "codes"
    LAYOUT = "layouts"
    PROCESS = "processes"
    PORT = "ports"
    ENV = "env"
    CONFIG = "config"
    FILE = "files"
    FRAME = "frames"
    TASK = "tasks"
    AGAINST = "against"


@dataclass(frozen=True, slots=True)
class Technology:
    """One technology and everything that points to it; the fields are the keys of the files.

    `servers` are phrases by which catalogs tell what a server is for, beside `names`. `helped_by` are
    technologies whose servers help as well, the nearest first. `examples` are texts that are about it.
    """

    name: str
    title: str
    names: tuple[str, ...]
    capabilities: tuple[str, ...]
    role: Role = Role.PRODUCT
    things: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    env: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    helped_by: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    def patterns(self, kind: Kind) -> tuple[str, ...]:
        """What it has of one kind, ports as digits."""
        return tuple(str(pattern) for pattern in getattr(self, kind.value))


def parse(name: str, text: str) -> Technology:
    """The technology of one file; `name` is the file's name without its ending.

    Raises:
        WarRoomError: it is no TOML, or has a wrong key, type or value.
    """
    import tomllib

    if not _NAME.fullmatch(name):
        raise damaged(name, "not a technology name")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise damaged(name, str(error)) from error
    if unknown := table.keys() - _KNOWN:
        raise damaged(name, f"unknown keys: {', '.join(sorted(unknown))}")
    if missing := {"title", "names", "capabilities"} - table.keys():
        raise damaged(name, f"missing keys: {', '.join(sorted(missing))}")
    return from_table(name, table)


_TEXTS = ("title", "role")
_KNOWN = frozenset(field.name for field in fields(Technology)) - {"name"}


def from_table(name: str, table: Mapping[str, Any]) -> Technology:
    """The technology of a table that has the right keys.

    Raises:
        WarRoomError: a value has a wrong type or is empty.
    """
    if not isinstance(table["title"], str) or not table["title"]:
        raise damaged(name, "title has to be a text")
    role = table.get("role", Role.PRODUCT)
    if role not in tuple(Role):
        raise damaged(name, f"unknown role: {role}")
    lists = {key: _list(name, key, value) for key, value in table.items() if key not in _TEXTS}
    if not lists["capabilities"]:
        raise damaged(name, "it needs at least one capability")
    if wrong := set(lists.get("parameters", ())) - PARAMETERS:
        raise damaged(name, f"unknown parameters: {', '.join(sorted(map(str, wrong)))}")
    return Technology(name=name, title=table["title"], role=Role(role), **lists)


def _list(where: str, key: str, value: Any) -> tuple[Any, ...]:
    wanted = int if key == "ports" else str
    if not isinstance(value, list) or not all(type(item) is wanted for item in value):
        raise damaged(where, f"{key} has to be a list of {wanted.__name__}")
    if not all(item if wanted is str else 0 < item < 65536 for item in value):
        raise damaged(where, f"{key} holds an empty text or an impossible port")
    if len(set(value)) != len(value):
        raise damaged(where, f"{key} says the same thing twice")
    return tuple(value)


def damaged(where: str, why: str) -> WarRoomError:
    """The error for data that is not what it should be."""
    return WarRoomError(f"technologies, {where}: {why}", hint=_REINSTALL)
