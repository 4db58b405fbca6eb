"""Problem in, analysis out: the steps of the analyzer in their order."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from warroom_mcp.analyzer import needs as weighing
from warroom_mcp.analyzer.focus import Focus, focus_on
from warroom_mcp.analyzer.intent import is_asked, kind_of
from warroom_mcp.analyzer.nothing import why_nothing
from warroom_mcp.analyzer.parameters import Place, find_places
from warroom_mcp.analyzer.patterns import library
from warroom_mcp.analyzer.plan import generic_words, keywords, requests_of, search_plan
from warroom_mcp.analyzer.problem import clean
from warroom_mcp.analyzer.roots import root_of
from warroom_mcp.analyzer.severity import severity_of
from warroom_mcp.analyzer.signals import Hit, find_hits
from warroom_mcp.analyzer.subject import Subject
from warroom_mcp.knowledge import Kind, Role
from warroom_mcp.models import Analysis, Need, ProblemKind, Signal, SignalKind, Span
from warroom_mcp.redaction import redact

MAX_BYTES = 4 * 1024 * 1024
# More signals than this tell a person nothing.
_MAX_SIGNALS = 200
_ERROR_CODE = re.compile(
    r"(?<![A-Za-z0-9_])(?:E(?:CONN(?:REFUSED|RESET|ABORTED)|TIMEDOUT|NOTFOUND|HOSTUNREACH|NETUNREACH|ADDRINUSE|PIPE|"
    r"ACCE[S]|NOENT|NOSPC|MFILE|PERM|AI_AGAIN)|HTTP[/ ](?:[12](?:\.[01])?[ \"]{1,2})?[45]\d\d"
    r"|SIG(?:KILL|SEGV|ABRT|TERM|BUS))(?![A-Za-z0-9_])"
)
_MAX_CODES = 20


def analyze(text: str | bytes, *, max_bytes: int = MAX_BYTES) -> Analysis:
    """Read a problem: what it points to, what would help, and where that runs.

    The text is cleaned and redacted first; every span points into `Analysis.text`. Without network,
    and the same for the same text.

    Raises:
        InvalidProblem: it is empty, binary, or larger than `max_bytes` bytes.
    """
    redacted = redact(clean(text, max_bytes))
    focus = focus_on(redacted.text)
    analysis = _read(Subject.of(focus.text))
    return replace(
        analysis,
        problem_id=f"p-{sha256(redacted.text.encode()).hexdigest()[:12]}",
        text=redacted.text,
        signals=tuple(replace(each, span=focus.span(each.span)) for each in analysis.signals),
        needs=tuple(_placed(need, focus) for need in analysis.needs),
        redactions=redacted.count,
    )


def _placed(need: Need, focus: Focus) -> Need:
    return replace(need, evidence=tuple(focus.span(span) for span in need.evidence))


def _read(subject: Subject) -> Analysis:
    """The analysis of a text that is read whole; its spans point into that text."""
    known = library()
    kind = kind_of(subject)
    asked = kind is ProblemKind.REQUEST and is_asked(subject)
    hits = find_hits(subject, known, asked=asked)
    ranked = weighing.rank(hits, root_of(subject), known, kind)
    places = find_places(subject, _evidence_of(ranked, hits))
    needs, owners = weighing.build(ranked, hits, places, subject, known)
    generic = generic_words(subject)
    why = "" if _is_certain(ranked) else why_nothing(subject, kind, known=bool(ranked))
    if why:
        needs, kind = (), ProblemKind.NOTHING
    return Analysis(
        problem_id="",
        text=subject.text,
        signals=_signals(subject, hits, places, owners),
        needs=needs,
        keywords=keywords(needs, generic),
        severity=severity_of(subject),
        plan=search_plan(needs, generic, requests_of(subject, kind, needs)),
        kind=kind,
        why_nothing=why,
    )


def quick_analyze(text: str) -> list[str]:
    """The technologies that a text is about, each followed by the word for what it is.

    A text that names none gives its own capability words, such as `database`.

    Raises:
        InvalidProblem: it is empty, binary or too large.
    """
    analysis = analyze(text)
    words = [word for need in analysis.needs for word in _words_of(need)]
    return list(dict.fromkeys(words or analysis.keywords))


def technologies() -> tuple[str, ...]:
    """The names of all technologies that are recognised, sorted."""
    return tuple(sorted(library().technologies))


def capabilities_of(technology: str) -> tuple[str, ...]:
    """What one does with a technology, the main word first; nothing for one that is not known."""
    known = library().technologies.get(technology)
    return known.capabilities if known else ()


# A technology that is surer than this is what a text is about, whatever else it says.
_CERTAIN = 0.7


def _is_certain(ranked: Sequence[tuple[str, float]]) -> bool:
    known = library()
    return any(value >= _CERTAIN and not known.is_a(name, Role.RUNTIME) for name, value in ranked)


def _words_of(need: Need) -> tuple[str, ...]:
    return need.technology, need.capabilities[0]


def _evidence_of(ranked: Sequence[tuple[str, float]], hits: Sequence[Hit]) -> list[tuple[int, int]]:
    names = {name for name, _ in ranked}
    return [(hit.start, hit.end) for hit in hits if hit.technology in names]


def _signals(
    subject: Subject, hits: Sequence[Hit], places: Sequence[Place], owners: Mapping[Place, str]
) -> tuple[Signal, ...]:
    found = [*_technology_signals(subject, hits), *_code_signals(subject)]
    found += _parameter_signals(subject, places, owners)
    unique = {(each.kind, each.value, each.span, each.technology): each for each in reversed(found)}
    strongest = sorted(unique.values(), key=lambda each: (-each.weight, each.span.start))[:_MAX_SIGNALS]
    return tuple(sorted(strongest, key=lambda each: (each.span.start, each.span.end, each.kind, each.value)))


def _technology_signals(subject: Subject, hits: Sequence[Hit]) -> Iterator[Signal]:
    for hit in hits:
        if hit.kind is Kind.AGAINST:
            continue
        span, evidence = Span(hit.start, hit.end), subject.text[hit.start : hit.end]
        kind, value = SignalKind.TECHNOLOGY, hit.technology
        if hit.kind is Kind.CODE:
            kind, value = SignalKind.ERROR_CODE, evidence
        yield Signal(kind, value, span, evidence, round(hit.weight, 3), hit.technology)


def _code_signals(subject: Subject) -> Iterator[Signal]:
    for count, match in enumerate(_ERROR_CODE.finditer(subject.masked)):
        if count == _MAX_CODES:
            return
        yield Signal(SignalKind.ERROR_CODE, match[0], Span(*match.span()), match[0])


def _parameter_signals(
    subject: Subject, places: Sequence[Place], owners: Mapping[Place, str]
) -> Iterator[Signal]:
    for place in places:
        for name, found in place.values.items():
            span = Span(found.start, found.end)
            evidence = subject.text[found.start : found.end]
            yield Signal(SignalKind(name), found.value, span, evidence, technology=owners.get(place))
