"""The technologies as data: read from `technologies/*.toml`, checked strictly, indexed for the search.

A text is never tried against every expression. Each literal (names, files, variables, frames, ports)
is looked for by itself, and an expression runs only where a literal that it cannot do without occurs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from warroom_mcp.analyzer.literals import required
from warroom_mcp.analyzer.sieve import Sieve
from warroom_mcp.errors import WarRoomError

# What a need can be given from the problem.
PARAMETERS = frozenset(
    {"host", "port", "database", "user", "container", "namespace", "bucket", "region", "url", "path"}
)
# Languages and their runtimes: what a program is written in is rarely what the problem is about.
RUNTIMES = frozenset({"java", "python", "node", "dotnet", "go", "ruby", "php", "rust"})
# What other technologies talk over: its failures show in theirs, and it comes after them.
LAYERS = frozenset({"network", "dns", "tls", "ssh", "http"})

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_K = TypeVar("_K")
_V = TypeVar("_V")
_REINSTALL = "The installation is damaged: install warroom-mcp again."


class Kind(StrEnum):
    """In which way a piece of text points to a technology; the keys of the pattern files."""

    NAME = "names"
    WORD = "words"
    ERROR = "errors"
    WEAK = "weak"
    CODE = "codes"
    PORT = "ports"
    ENV = "env"
    FILE = "files"
    FRAME = "frames"


@dataclass(frozen=True, slots=True)
class Technology:
    """One technology and everything that points to it; the fields are the keys of the pattern files."""

    name: str
    title: str
    names: tuple[str, ...]
    capabilities: tuple[str, ...]
    words: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    env: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    def patterns(self, kind: Kind) -> tuple[str, ...]:
        """What it has of one kind, ports as digits."""
        return tuple(str(pattern) for pattern in getattr(self, kind.value))


@dataclass(frozen=True, slots=True)
class Literal:
    """A string that points to a technology; `exact` when its capital letters matter."""

    kind: Kind
    technology: str
    text: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """An expression that points to a technology; one of each group of `literals` is in every match.

    `crosses` tells that a match may reach over the end of a line.
    """

    kind: Kind
    technology: str
    expression: str
    literals: tuple[tuple[str, ...], ...]
    crosses: bool

    def may_match(self, lowered: str) -> bool:
        """False only when a lower-case text surely holds no match."""
        return all(any(literal in lowered for literal in group) for group in self.literals[1:])

    def compiled(self) -> re.Pattern[str]:
        """The expression, compiled at its first use."""
        return _compiled(self.expression, 0 if self.kind is Kind.CODE else re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Library:
    """All technologies, and by which strings their traces are found.

    `literals` and `shapes` are keyed by the lower-case string to look for; `loose` are the shapes
    without such a string; `ports` tells whose a port is, `spoken` whose a name is.
    """

    technologies: Mapping[str, Technology]
    literals: Mapping[str, tuple[Literal, ...]]
    shapes: Mapping[str, tuple[Shape, ...]]
    loose: tuple[Shape, ...]
    ports: Mapping[int, tuple[str, ...]]
    spoken: Mapping[str, str]
    sieve: Sieve


@cache
def library() -> Library:
    """The technologies that War Room knows, read once.

    Raises:
        WarRoomError: a pattern file is not what it should be.
    """
    # Imported here: it brings tempfile, zipfile and more, which no other way through this module needs.
    from importlib.resources import files

    folder = files("warroom_mcp.analyzer").joinpath("technologies")
    sources = sorted(
        (
            (entry.name, entry.read_text("utf-8"))
            for entry in folder.iterdir()
            if entry.name.endswith(".toml")
        ),
    )
    return index(technology for name, text in sources for technology in parse(name, text))


def parse(source: str, text: str) -> tuple[Technology, ...]:
    """The technologies of one pattern file; `source` is its name for messages.

    Raises:
        WarRoomError: it is no TOML, or has a wrong key, type or value.
    """
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _damaged(source, str(error)) from error
    if unknown := table.keys() - {"technology"}:
        raise _damaged(source, f"unknown tables: {', '.join(sorted(unknown))}")
    return tuple(_technology(source, each) for each in table.get("technology", []))


_TYPES: dict[str, type] = {"name": str, "title": str}
_KNOWN = tuple(field.name for field in fields(Technology))


def _technology(source: str, table: Mapping[str, Any]) -> Technology:
    name = table.get("name")
    where = f"{source}, {name}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _damaged(source, f"not a technology name: {name!r}")
    if unknown := table.keys() - set(_KNOWN):
        raise _damaged(where, f"unknown keys: {', '.join(sorted(unknown))}")
    if missing := {"title", "names", "capabilities"} - table.keys():
        raise _damaged(where, f"missing keys: {', '.join(sorted(missing))}")
    if not isinstance(table["title"], str) or not table["title"]:
        raise _damaged(where, "title has to be a text")
    lists = {key: _list(where, key, value) for key, value in table.items() if key not in _TYPES}
    if not lists["capabilities"]:
        raise _damaged(where, "it needs at least one capability")
    if wrong := set(lists.get("parameters", ())) - PARAMETERS:
        raise _damaged(where, f"unknown parameters: {', '.join(sorted(map(str, wrong)))}")
    return Technology(name=name, title=table["title"], **lists)


def _list(where: str, key: str, value: Any) -> tuple[Any, ...]:
    wanted = int if key == "ports" else str
    if not isinstance(value, list) or not all(type(item) is wanted for item in value):
        raise _damaged(where, f"{key} has to be a list of {wanted.__name__}")
    if not all(item if wanted is str else 0 < item < 65536 for item in value):
        raise _damaged(where, f"{key} holds an empty text or an impossible port")
    if len(set(value)) != len(value):
        raise _damaged(where, f"{key} says the same thing twice")
    return tuple(value)


def _damaged(where: str, why: str) -> WarRoomError:
    return WarRoomError(f"technologies/{where}: {why}", hint=_REINSTALL)


_LITERAL_KINDS = (Kind.NAME, Kind.WORD, Kind.PORT, Kind.ENV, Kind.FILE, Kind.FRAME)
_SHAPE_KINDS = (Kind.ERROR, Kind.WEAK, Kind.CODE)
_EXACT_KINDS = frozenset({Kind.ENV, Kind.FRAME})


def index(technologies: Iterable[Technology]) -> Library:
    """The technologies with their indexes.

    Raises:
        WarRoomError: two technologies have the same name.
    """
    known: dict[str, Technology] = {}
    literals: dict[str, list[Literal]] = {}
    shapes: dict[str, list[Shape]] = {}
    ports: dict[int, list[str]] = {}
    for technology in technologies:
        if technology.name in known:
            raise _damaged(technology.name, "two technologies have this name")
        known[technology.name] = technology
        for literal in _literals(technology):
            literals.setdefault(literal.text.lower(), []).append(literal)
        for shape in _shapes(technology):
            for key in shape.literals[0] if shape.literals else ("",):
                shapes.setdefault(key, []).append(shape)
        for port in technology.ports:
            ports.setdefault(port, []).append(technology.name)
    loose = tuple(shapes.pop("", ()))
    spoken = {name: each.name for each in known.values() for name in (*each.names, each.name)}
    return Library(
        known,
        _frozen(literals),
        _frozen(shapes),
        loose,
        _frozen(ports),
        spoken,
        Sieve({**literals, **shapes}),
    )


def _frozen(table: Mapping[_K, list[_V]]) -> dict[_K, tuple[_V, ...]]:
    return {key: tuple(values) for key, values in table.items()}


def _literals(technology: Technology) -> Iterator[Literal]:
    for kind in _LITERAL_KINDS:
        for text in technology.patterns(kind):
            yield Literal(kind, technology.name, text, kind in _EXACT_KINDS)


def _shapes(technology: Technology) -> Iterator[Shape]:
    for kind in _SHAPE_KINDS:
        for expression in technology.patterns(kind):
            crosses = _LINE_END.search(_OTHER_THAN.sub("", expression)) is not None
            yield Shape(kind, technology.name, expression, required(expression), crosses)


@cache
def _compiled(expression: str, flags: int) -> re.Pattern[str]:
    return re.compile(expression, flags)


_OTHER_THAN = re.compile(r"\[\^(?:\\.|[^\]\\])*\]")
_LINE_END = re.compile(r"\\[snrWD]")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_UNBOUNDED = re.compile(r"(?<!\\)\.[*+]|\)[*+](?!\+)|\)\{\d*,\}")


def faults(technologies: Iterable[Technology]) -> list[str]:
    """What is wrong with the expressions of some technologies, in words: too slow to ask at every start."""
    found: list[str] = []
    for technology in technologies:
        for shape in _shapes(technology):
            where = f"{technology.name}, {shape.kind.value}, {shape.expression!r}"
            try:
                compiled = shape.compiled()
            except re.error as error:
                found.append(f"{where}: {error}")
                continue
            if compiled.groups:
                found.append(f"{where}: it captures a group")
            if compiled.match(""):
                found.append(f"{where}: it matches nothing at all")
            if _UNBOUNDED.search(_CLASS.sub("[]", shape.expression)):
                found.append(f"{where}: an unbounded repeat")
    return found
