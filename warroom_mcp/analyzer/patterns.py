"""The technologies indexed for the search: which strings their traces are found by.

A text is never tried against every expression. Each literal (names, files, variables, frames, ports)
is looked for by itself, and an expression runs only where a literal that it cannot do without occurs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from warroom_mcp.analyzer.sieve import Sieve, filed
from warroom_mcp.knowledge import compiled_part, known_technologies
from warroom_mcp.knowledge.literals import required
from warroom_mcp.knowledge.technology import Kind, Role, Technology, damaged

_K = TypeVar("_K")
_V = TypeVar("_V")


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

    @property
    def plain(self) -> str:
        """The lower-case text that the expression is, when it is nothing more; else empty."""
        return _plain(self.expression) if self.kind is not Kind.CODE else ""

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

    def is_a(self, name: str, *roles: Role) -> bool:
        """Whether the technology of that name has one of the roles."""
        return self.technologies[name].role in roles


@cache
def library() -> Library:
    """The technologies that War Room knows, indexed once: read as they were compiled, or made anew.

    Raises:
        WarRoomError: a file of the knowledge is not what it should be.
    """
    shapes = compiled_part("shapes")
    filing = compiled_part("sieve")
    if isinstance(shapes, list) and isinstance(filing, dict):
        made = (
            Shape(Kind(kind), technology, expression, tuple(map(tuple, groups)), bool(crosses))
            for kind, technology, expression, groups, crosses in shapes
        )
        return _indexed(known_technologies(), made, filing)
    return index(known_technologies())


def compiled() -> dict[str, object]:
    """What `library` needs, as values that JSON can hold: the slow part of indexing, done before."""
    known = index(known_technologies())
    unique = dict.fromkeys(shape for shapes in known.shapes.values() for shape in shapes)
    return {
        "shapes": [
            [shape.kind.value, shape.technology, shape.expression, shape.literals, shape.crosses]
            for shape in unique
        ],
        "sieve": filed({**known.literals, **known.shapes}),
    }


_LITERAL_KINDS = (
    Kind.NAME, Kind.THING, Kind.WORD, Kind.EXCEPTION, Kind.PROCESS, Kind.PORT, Kind.ENV, Kind.CONFIG,
    Kind.FILE, Kind.FRAME,
)  # fmt: skip
_SHAPE_KINDS = (Kind.ERROR, Kind.WEAK, Kind.CODE, Kind.LAYOUT, Kind.TASK, Kind.AGAINST)
_EXACT_KINDS = frozenset({Kind.ENV, Kind.FRAME, Kind.EXCEPTION})


def index(technologies: Iterable[Technology]) -> Library:
    """The technologies with their indexes.

    Raises:
        WarRoomError: two technologies have the same name.
    """
    known = tuple(technologies)
    return _indexed(known, [shape for each in known for shape in _shapes(each)], None)


def _indexed(
    technologies: Iterable[Technology], made: Iterable[Shape], filing: Mapping[str, Sequence[str]] | None
) -> Library:
    known: dict[str, Technology] = {}
    literals: dict[str, list[Literal]] = {}
    ports: dict[int, list[str]] = {}
    for technology in technologies:
        if technology.name in known:
            raise damaged(technology.name, "two technologies have this name")
        known[technology.name] = technology
        for literal in _literals(technology):
            literals.setdefault(literal.text.lower(), []).append(literal)
        for port in technology.ports:
            ports.setdefault(port, []).append(technology.name)
    shapes: dict[str, list[Shape]] = {}
    for shape in made:
        for key in shape.literals[0] if shape.literals else ("",):
            shapes.setdefault(key, []).append(shape)
    loose = tuple(shapes.pop("", ()))
    spoken = {name: each.name for each in known.values() for name in (*each.names, each.name)}
    return Library(
        known,
        _frozen(literals),
        _frozen(shapes),
        loose,
        _frozen(ports),
        spoken,
        Sieve(filing or filed({**literals, **shapes})),
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


_ESCAPED = re.compile(r"\\([^\w])")
_SPECIAL = re.compile(r"[.^$*+?{}\[\]|()\\]")


@cache
def _plain(expression: str) -> str:
    return "" if _SPECIAL.search(_ESCAPED.sub("", expression)) else _ESCAPED.sub(r"\1", expression).lower()


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
