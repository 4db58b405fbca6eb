"""Evidence: every place where the text points to a technology, and how much it weighs there."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from warroom_mcp.analyzer import contexts
from warroom_mcp.analyzer.events import Events, events_of
from warroom_mcp.analyzer.patterns import Library, Literal, Shape
from warroom_mcp.analyzer.subject import Subject
from warroom_mcp.knowledge import Kind, Role

# How likely it is that a text with one such piece of evidence is about the technology.
WEIGHTS = {
    Kind.NAME: 0.9,
    Kind.ERROR: 0.85,
    Kind.CODE: 0.75,
    Kind.FRAME: 0.8,
    Kind.ENV: 0.6,
    Kind.FILE: 0.6,
    Kind.PORT: 0.7,
    Kind.WORD: 0.3,
    Kind.WEAK: 0.3,
    Kind.THING: 0.62,
    Kind.EXCEPTION: 0.85,
    Kind.LAYOUT: 0.7,
    Kind.PROCESS: 0.6,
    Kind.CONFIG: 0.6,
    Kind.TASK: 0.75,
    Kind.AGAINST: 0.0,
}
# A word that is also ordinary English, in a technical context or beside other evidence.
SURE_WORD = 0.7
# Ports that everything listens on.
_COMMON_PORTS = frozenset(
    {22, 25, 53, 80, 443, 3000, 3001, 4000, 4200, 5000, 5173, 8000, 8080, 8081, 8443, 8888, 9000, 9999}
)
_COMMON_PORT = 0.3

# A compiler speaks of someone's own code, which no server mends.
_COMPILER_SHARE = 0.3

# More places of one piece of evidence add nothing; the last ones matter, for a trace ends with its cause.
_FIRST_PLACES = 12
_LAST_PLACES = 4
# Places looked at before a literal is given up as too common to be found in the right context.
_MAX_TRIES = 400
# An expression runs on this much text before and behind its literal; expressions are bounded.
_BEFORE, _BEHIND = 400, 800

_SMALL = 32 * 1024

# Letters of scripts that part words by spaces; in the others particles follow a name directly.
_EDGE = re.compile(r"[a-z0-9\u00c0-\u024f\u0400-\u04ff]")


@dataclass(frozen=True, slots=True)
class Hit:
    """One piece of evidence in its place. `key` is equal for repeats of the same piece."""

    kind: Kind
    technology: str
    start: int
    end: int
    weight: float
    key: str


def find_hits(subject: Subject, library: Library, *, asked: bool = False) -> list[Hit]:
    """All evidence in the text, in its order, at most 16 places of each piece.

    What one handles with a technology (pods, invoices) counts where something is `asked` for; what fails
    counts most where a log tells of the failure.
    """
    present = library.sieve.candidates(subject.lowered)
    hits = list(_literal_hits(subject, library, present))
    hits += _shape_hits(subject, library, present)
    hits = _raise_words(subject, _without_parts(hits))
    hits = _shared_things(hits) if asked else [*_faint_things(hits)]
    hits = _less_aside(hits, events_of(subject))
    return sorted(hits, key=lambda hit: (hit.start, hit.end, hit.technology, hit.kind, hit.key))


def _literal_hits(subject: Subject, library: Library, present: Sequence[str]) -> Iterator[Hit]:
    for needle in present:
        for literal in library.literals.get(needle, ()):
            yield from _places(subject, needle, literal, library)


def _places(subject: Subject, needle: str, literal: Literal, library: Library) -> Iterator[Hit]:
    found: list[Hit] = []
    for start in _positions(subject.lowered, needle):
        weight = _weigh(subject, literal, start, start + len(needle), library)
        if weight > 0:
            end = start + len(needle)
            found.append(Hit(literal.kind, literal.technology, start, end, weight, needle))
    yield from found[:_FIRST_PLACES]
    yield from found[max(_FIRST_PLACES, len(found) - _LAST_PLACES) :]


def _positions(lowered: str, needle: str) -> list[int]:
    """Where the needle occurs: the first 400 places and the last 4."""
    found: list[int] = []
    at = lowered.find(needle)
    while at >= 0 and len(found) < _MAX_TRIES:
        found.append(at)
        at = lowered.find(needle, at + 1)
    if at >= 0:
        end = len(lowered)
        last: list[int] = []
        while len(last) < _LAST_PLACES and end > found[-1]:
            at = lowered.rfind(needle, found[-1] + 1, end)
            if at < 0:
                break
            last.append(at)
            end = at + len(needle) - 1
        found += reversed(last)
    return found


def _weigh(subject: Subject, literal: Literal, start: int, end: int, library: Library) -> float:
    """The weight of a literal in one place; 0 when it does not count there."""
    if literal.exact and subject.masked[start:end] != literal.text:
        return 0.0
    weight = WEIGHTS[literal.kind]
    if literal.kind is Kind.FRAME:
        return 0.0 if _EDGE.match(subject.lowered[start - 1 : start] if start else "") else weight
    if literal.kind is Kind.PROCESS and not contexts.is_process(subject, start, end):
        return 0.0
    if literal.kind is Kind.PORT:
        return _port_weight(subject, int(literal.text), start, end, library)
    if literal.kind is Kind.THING and subject.lowered[end : end + 1] == "s":
        end += 1
    if not _stands_alone(subject.lowered, start, end):
        camel = literal.kind is Kind.NAME and _begins_camel_case(subject.masked, start, end)
        return weight * 0.67 if camel else 0.0
    if literal.kind is Kind.NAME:
        return weight * contexts.name_share(subject, start, end)
    if literal.kind is Kind.WORD and contexts.is_file_ending(subject, start, end):
        return 0.0
    if literal.kind is Kind.WORD and contexts.is_technical(
        subject, start, end, proper=_is_title(literal, library)
    ):
        return SURE_WORD
    if literal.kind is Kind.ENV and _continues_identifier(subject.masked, start, end):
        return 0.0
    return weight


def _is_title(literal: Literal, library: Library) -> bool:
    """Whether the word is the technology's own name (Notion), not a word of its trade (allocation)."""
    technology = library.technologies[literal.technology]
    return literal.text.lower() in (technology.name, *technology.title.lower().split())


def _port_weight(subject: Subject, port: int, start: int, end: int, library: Library) -> float:
    if not contexts.is_connection(subject, start, end):
        return 0.0
    if port in _COMMON_PORTS:
        return _COMMON_PORT
    return WEIGHTS[Kind.PORT] / len(library.ports[port])


def _stands_alone(lowered: str, start: int, end: int) -> bool:
    """Whether no letter or digit runs on, in scripts that part their words."""
    inside = lowered[start:end]
    return not (
        (_EDGE.match(inside[0]) and _EDGE.match(lowered[start - 1 : start] if start else ""))
        or (_EDGE.match(inside[-1]) and _EDGE.match(lowered[end : end + 1]))
    )


def _begins_camel_case(text: str, start: int, end: int) -> bool:
    """Whether the name begins an identifier such as KafkaConsumer (and not the word JavaScript)."""
    return (
        end - start >= 5
        and text[start].isupper()
        and not text[start - 1 : start].isalnum()
        and text[end : end + 1].isupper()
    )


def _continues_identifier(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start] == "_" or text[end : end + 1] == "_"


def _shape_hits(subject: Subject, library: Library, present: Sequence[str]) -> list[Hit]:
    windows: dict[Shape, list[tuple[int, int]]] = {
        shape: [(0, len(subject.lowered))] for shape in library.loose
    }
    for needle in present:
        shapes = [shape for shape in library.shapes.get(needle, ()) if _worth_trying(subject, shape)]
        if shapes:
            near, wide = _windows(subject, needle, wide=any(shape.crosses for shape in shapes))
            for shape in shapes:
                windows.setdefault(shape, []).extend(wide if shape.crosses else near)
    return [hit for shape, where in windows.items() for hit in _matches(subject, library, shape, where)]


def _worth_trying(subject: Subject, shape: Shape) -> bool:
    # In a large text everything occurs somewhere: there each window is asked.
    return len(subject.lowered) > _SMALL or shape.may_match(subject.lowered)


def _windows(subject: Subject, needle: str, *, wide: bool) -> tuple[list[tuple[int, int]], ...]:
    """The lines that a literal stands on, and a wider range for what crosses lines."""
    places = [(at, at + len(needle)) for at in _positions(subject.lowered, needle)]
    near = _merged([subject.line(start, end) for start, end in places])
    size = len(subject.lowered)
    far = [(max(0, start - _BEFORE), min(size, end + _BEHIND)) for start, end in places] if wide else []
    return near, _merged(far)


def _matches(
    subject: Subject, library: Library, shape: Shape, windows: list[tuple[int, int]]
) -> Iterator[Hit]:
    found: list[Hit] = []
    for start, end in _merged(windows):
        if not shape.may_match(subject.lowered[start:end]):
            continue
        for first, last in _occurrences(subject, shape, start, end):
            weight = WEIGHTS[shape.kind]
            if library.is_a(shape.technology, Role.RUNTIME) and contexts.is_compiled(subject, first, last):
                weight *= _COMPILER_SHARE
            found.append(Hit(shape.kind, shape.technology, first, last, weight, subject.lowered[first:last]))
            if len(found) >= _MAX_TRIES:
                break
    yield from found[:_FIRST_PLACES]
    yield from found[max(_FIRST_PLACES, len(found) - _LAST_PLACES) :]


def _occurrences(subject: Subject, shape: Shape, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where a shape matches; a plain text is looked for as one, since compiling costs more than that."""
    if plain := shape.plain:
        at = subject.lowered.find(plain, start, end)
        while at >= 0:
            yield at, at + len(plain)
            at = subject.lowered.find(plain, at + len(plain), end)
    else:
        for match in shape.compiled().finditer(subject.masked, start, end):
            yield match.span()


def _merged(windows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _without_parts(hits: list[Hit]) -> list[Hit]:
    """Drop what only repeats a part of heavier evidence, and names inside of other longer names.

    `azure` in `azure devops` is not evidence of Azure, nor does the name inside of an error text of the
    same technology count twice.
    """
    kept: list[Hit] = []
    open_hits: list[Hit] = []
    for hit in sorted(hits, key=lambda each: (each.start, -each.end, -each.weight, each.kind)):
        open_hits = [each for each in open_hits if each.end > hit.start]
        if hit.kind is Kind.AGAINST or not any(_covers(each, hit) for each in open_hits):
            kept.append(hit)
            open_hits.append(hit)
    return kept


def _covers(outer: Hit, inner: Hit) -> bool:
    if outer.end < inner.end:
        return False
    if outer.technology == inner.technology:
        # java.io.IOException says where code is from, and not that someone speaks of Java.
        return outer.weight >= inner.weight or outer.kind is Kind.FRAME
    same_place = (outer.start, outer.end) == (inner.start, inner.end)
    return outer.kind is Kind.NAME and inner.kind in (Kind.NAME, Kind.WORD) and not same_place


# A list of names is no longer than this, and holds nothing but them and what joins them.
_MAX_LIST = 200
_JOINTS = re.compile(r"(?:[\s,;/+&]|\b(?:and|or|with)\b)*")


def _is_list_of_names(subject: Subject, hits: Sequence[Hit]) -> bool:
    """Whether somebody wrote the names of technologies and nothing else, as one does in a search box."""
    if len(subject.lowered) > _MAX_LIST:
        return False
    rest, at = "", 0
    for hit in sorted(hits, key=lambda each: each.start):
        if hit.kind in (Kind.NAME, Kind.WORD):
            rest += subject.lowered[at : hit.start] + " "
            at = max(at, hit.end)
    return at > 0 and _JOINTS.fullmatch(rest + subject.lowered[at:]) is not None


def _raise_words(subject: Subject, hits: list[Hit]) -> list[Hit]:
    """A word counts as a name once other evidence speaks for its technology, or in a list of names."""
    listed = _is_list_of_names(subject, hits)
    others = {hit.technology for hit in hits if listed or hit.kind is not Kind.WORD}
    return [
        Hit(hit.kind, hit.technology, hit.start, hit.end, SURE_WORD, hit.key)
        if hit.kind is Kind.WORD and hit.technology in others
        else hit
        for hit in hits
    ]


# What a thing of the trade proves in a text that is no request.
_FAINT = 0.15


def _faint_things(hits: list[Hit]) -> Iterator[Hit]:
    for hit in hits:
        yield replace(hit, weight=_FAINT) if hit.kind is Kind.THING else hit


def _shared_things(hits: list[Hit]) -> list[Hit]:
    """A thing that several technologies handle proves less for each of them."""
    owners: dict[tuple[int, int], set[str]] = {}
    for hit in hits:
        if hit.kind is Kind.THING:
            owners.setdefault((hit.start, hit.end), set()).add(hit.technology)
    return [
        replace(hit, weight=hit.weight / len(owners[hit.start, hit.end]) ** 0.35)
        if hit.kind is Kind.THING
        else hit
        for hit in hits
    ]


# What is only seen in passing in the lines that report no failure.
_IN_PASSING = frozenset(
    {
        Kind.NAME,
        Kind.WORD,
        Kind.THING,
        Kind.LAYOUT,
        Kind.PROCESS,
        Kind.FILE,
        Kind.CONFIG,
        Kind.PORT,
        Kind.WEAK,
    }
)


def _less_aside(hits: list[Hit], events: Events) -> list[Hit]:
    return [
        replace(hit, weight=hit.weight * events.share(hit.start)) if hit.kind in _IN_PASSING else hit
        for hit in hits
    ]
