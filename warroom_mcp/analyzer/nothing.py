"""Texts that no server helps with: thanks, greetings, arithmetic, talk, and mistakes in one's own code.

Asked only where no technology is sure, or none but runtimes: each rule is one reason in words.
"""

import re

from warroom_mcp.analyzer.severity import severity_of
from warroom_mcp.analyzer.subject import Subject
from warroom_mcp.knowledge.speech import speech
from warroom_mcp.models import ProblemKind, Severity

_REPORTS = re.compile(
    r"\b(?:INFO|OK|PASS(?:ED)?|DONE|SUCCESS(?:FUL(?:LY)?)?|finished|completed?|succeeded|up to date"
    r"|0 errors|0 failed)\b",
    re.IGNORECASE,
)
# Longer texts than this say more than thanks or a sum.
_SHORT = 160


def why_nothing(subject: Subject, kind: ProblemKind, *, known: bool) -> str:
    """Why no server is needed for a text in which no technology is sure; empty when one may be.

    `known` tells that a technology was found in it at all, if only the language of a program.
    """
    text = subject.masked.strip()
    if speech("own_code").search(text):
        return "it is a mistake in one's own code, which is mended by reading the code"
    if len(text) <= _SHORT and not _fails(text):
        if _is_thanks(text):
            return "it is thanks, a greeting or an answer, and asks for nothing"
        if speech("arithmetic").search(text):
            return "it is arithmetic, which needs no tool"
    if known and kind is ProblemKind.FAILURE:
        return ""
    if kind is ProblemKind.FAILURE:
        calm = severity_of(subject) is Severity.INFO
        return "it reports that all went well, and nothing failed" if calm and _REPORTS.search(text) else ""
    if speech("writing").search(text):
        return "it asks for words or code, which a model writes by itself"
    return ""


def _fails(text: str) -> bool:
    return bool(speech("printed").search(text) or speech("fails").search(text))


def _is_thanks(text: str) -> bool:
    """Whether it is thanks or a greeting with nothing behind it but small talk."""
    greeting = speech("thanks").match(text)
    if greeting is None:
        return False
    rest = speech("small_talk").sub("", text[greeting.end() :])
    return not speech("pleads").search(rest) and not speech("opens").match(rest.strip(" ,.!?-"))
