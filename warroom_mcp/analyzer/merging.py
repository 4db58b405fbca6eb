"""The patterns' analysis and a model's answer as one analysis: pure, and careful with the model.

A model can add a need or make one surer, within caps; it can neither take one away nor say where anything
runs. Whoever wrote the text may have written to the model, so that is all that they can reach.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from warroom_mcp.analyzer.focus import focus_on
from warroom_mcp.analyzer.needs import THRESHOLD
from warroom_mcp.analyzer.patterns import library
from warroom_mcp.analyzer.plan import generic_words, keywords, requests_of, search_plan
from warroom_mcp.analyzer.subject import Subject
from warroom_mcp.knowledge import Role
from warroom_mcp.models import Analysis, Need, ProblemKind, Span

# From here on the patterns are sure, and from here on two needs that are as likely do not make them unsure.
_SURE, _SURE_OF_BOTH = 0.7, 0.85
_AS_LIKELY = 0.05
# What a model says counts no more than this, however sure it is.
CAP = 0.75
MAX_NEEDS = 6
# A model that names more than this was not asked for them, and the rest is not looked at.
_MOST_READ = 60
# A shorter quote than this stands in every text; a longer one is not what was asked for.
_SHORTEST_QUOTE, _LONGEST_QUOTE = 4, 400
_MAX_WHY = 200
_MAX_EVIDENCE = 8


class SaidNeed(msgspec.Struct, frozen=True):
    """A need as a model said it."""

    quote: str
    why: str
    technology: str
    confidence: float


class Said(msgspec.Struct, frozen=True):
    """An answer as a model said it; the shape is `asking.SCHEMA`."""

    kind: Literal["failure", "request", "nothing"]
    needs: list[SaidNeed]


@dataclass(frozen=True, slots=True)
class Finding:
    """A need that a model sees and that stands the test: a known technology, with its place in the text.

    `why` is one plain line for a person; it is never shown to a model.
    """

    technology: str
    confidence: float
    span: Span
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model's answer is worth."""

    kind: ProblemKind
    findings: tuple[Finding, ...] = ()

    def said(self, text: str) -> Said:
        """The answer again, without what was dropped from it."""
        needs = [
            SaidNeed(text[each.span.start : each.span.end], each.why, each.technology, each.confidence)
            for each in self.findings
        ]
        return Said(self.kind.value, needs)


def is_unsure(analysis: Analysis) -> bool:
    """Whether the patterns found nothing certain: no need, none that is sure, or two that are as likely."""
    confidences = sorted((need.confidence for need in analysis.needs), reverse=True)
    if not confidences:
        return analysis.kind is not ProblemKind.NOTHING
    best = confidences[0]
    if best < _SURE:
        return True
    return best < _SURE_OF_BOTH and any(round(best - each, 3) <= _AS_LIKELY for each in confidences[1:])


def judged(said: Said, text: str) -> Reading:
    """What stands the test: known technologies with a quote from the text, the surest six, one of each."""
    kind = ProblemKind(said.kind)
    if kind is ProblemKind.NOTHING:
        return Reading(kind)
    found: dict[str, Finding] = {}
    for each in said.needs[:_MOST_READ]:
        span = _place(each.quote, text)
        if each.technology not in library().technologies or span is None:
            continue
        confidence = min(max(each.confidence, 0.0), 1.0)
        if each.technology not in found or found[each.technology].confidence < confidence:
            found[each.technology] = Finding(each.technology, confidence, span, _one_line(each.why))
    surest = sorted(found.values(), key=lambda finding: -finding.confidence)
    return Reading(kind, tuple(surest[:MAX_NEEDS]))


def _place(quote: str, text: str) -> Span | None:
    quote = quote.strip()
    if not _SHORTEST_QUOTE <= len(quote) <= _LONGEST_QUOTE:
        return None
    start = text.find(quote)
    return None if start < 0 else Span(start, start + len(quote))


def _one_line(text: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in text[: 4 * _MAX_WHY])
    return " ".join(plain.split())[:_MAX_WHY].rstrip()


def merge(analysis: Analysis, reading: Reading) -> Analysis:
    """The analysis with what the model sees as well; the same one when that is nothing.

    What both see is surer than either; what the model alone sees is capped. Needs that only the patterns
    see, parameters, signals and severity stay as they are, and so does the kind, except that a text which
    needs something is not one that needs nothing.
    """
    needs = _needs(analysis, reading.findings)
    if needs == analysis.needs:
        return analysis
    subject = Subject.of(focus_on(analysis.text).text)
    kind = reading.kind if analysis.kind is ProblemKind.NOTHING else analysis.kind
    generic = generic_words(subject)
    # What the patterns wanted to look for by its words is looked for, whatever a model sees.
    requests = analysis.plan.requests or requests_of(subject, kind, needs)
    return replace(
        analysis,
        needs=needs,
        keywords=keywords(needs, generic),
        plan=search_plan(needs, generic, requests),
        kind=kind,
        why_nothing="",
    )


def _needs(analysis: Analysis, findings: Sequence[Finding]) -> tuple[Need, ...]:
    needs = {need.technology: need for need in analysis.needs}
    hints = _hints(analysis)
    for finding in findings:
        own = needs.get(finding.technology)
        hint = own.confidence if own else hints.get(finding.technology, 0.0)
        confidence = round(1 - (1 - hint) * (1 - min(finding.confidence, CAP)), 3)
        # Hints that the patterns made no need of had their reasons not to be one.
        confidence = confidence if own else min(confidence, CAP)
        if confidence < THRESHOLD and own is None:
            continue
        capabilities = library().technologies[finding.technology].capabilities
        need = own or Need(finding.technology, capabilities, confidence)
        evidence = _with(need.evidence, finding.span)
        needs[finding.technology] = replace(need, confidence=confidence, evidence=evidence)
    if not findings:
        return analysis.needs
    # Stable: of two that are as likely, the one that the patterns put first stays first.
    return tuple(sorted(needs.values(), key=lambda need: (-need.confidence, _is_below(need.technology))))


def _hints(analysis: Analysis) -> Mapping[str, float]:
    """How strong the strongest signal of each technology is, need or not."""
    hints: dict[str, float] = {}
    for signal in analysis.signals:
        if signal.technology is not None:
            hints[signal.technology] = max(signal.weight, hints.get(signal.technology, 0.0))
    return hints


def _with(evidence: Sequence[Span], span: Span) -> tuple[Span, ...]:
    if any(each.start <= span.start and span.end <= each.end for each in evidence):
        return tuple(evidence)
    return tuple(sorted([*evidence[: _MAX_EVIDENCE - 1], span], key=lambda each: (each.start, each.end)))


def _is_below(technology: str) -> bool:
    known = library()
    return technology in known.technologies and known.is_a(technology, Role.LAYER, Role.RUNTIME)
