"""What a text is: a failure that something printed, or a request in plain words.

Nine languages are read by the words that requests are made of; a text in another one is a request when
it is prose that holds no sign of a failure.
"""

import re
from functools import cache

from warroom_mcp.analyzer.subject import Subject
from warroom_mcp.knowledge.speech import speech
from warroom_mcp.lexicon.requests import own_words
from warroom_mcp.models import ProblemKind

# Longer texts than this with signs of a failure are logs, whatever else they ask.
_LONG = 1_200
_PROSE = re.compile(r"[^\W\d_]{2,}(?: [^\W\d_]{1,}){2,}|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{4,}")
# People write few of these, programs many.
_SYMBOL = re.compile(r"[{}\[\]()=<>:/\\_\"`|;#@$*~^+]")
_SYMBOLIC = 0.06
_WORDED = 0.8
# What may come before the opening of a request: a greeting, quotation marks, a list's mark.
_BEFORE = (
    r"(?:\A|(?<=[.!?;\n] )|(?<=\n))[\s\"'>*-]{0,4}"
    r"(?:(?:hi|hello|hey|ok|so|now|then|and|also|first)[,! ]{1,2}){0,2}"
)


def kind_of(subject: Subject) -> ProblemKind:
    """What the text is, before anything is known of technologies: a failure or a request."""
    head, tail = subject.masked[:_LONG], subject.masked[-_LONG:]
    opens = _opening().search(head) is not None or _opening().search(tail) is not None
    pleads = speech("pleads").search(head) is not None or speech("pleads").search(tail) is not None
    printed = len(speech("printed").findall(subject.masked[: 4 * _LONG]))
    if printed and (printed > 1 or not (opens or pleads) or len(subject.masked) > _LONG):
        return ProblemKind.FAILURE
    symbolic = _is_symbolic(head)
    if opens and not symbolic:
        return ProblemKind.REQUEST
    fails = any(speech("fails").search(part) for part in (head, tail))
    if printed or fails or symbolic:
        return ProblemKind.REQUEST if pleads and not printed and not symbolic else ProblemKind.FAILURE
    spoken = _PROSE.search(head) is not None or _is_worded(head)
    return ProblemKind.REQUEST if pleads or opens or spoken else ProblemKind.FAILURE


def is_asked(subject: Subject) -> bool:
    """Whether the text opens like a request or pleads, so that what it speaks of is what it is about."""
    parts = (subject.masked[:_LONG], subject.masked[-_LONG:])
    return any(_opening().search(part) or speech("pleads").search(part) for part in parts)


def _is_symbolic(head: str) -> bool:
    words = own_words(head)
    return len(_SYMBOL.findall(words)) > _SYMBOLIC * len(words)


def _is_worded(head: str) -> bool:
    """Whether it is words and little else; a single one in Latin letters is a name that something printed."""
    if head.isascii() and " " not in head.strip():
        return False
    return sum(character.isalpha() or character == " " for character in head) >= _WORDED * len(head)


@cache
def _opening() -> re.Pattern[str]:
    return re.compile(f"{_BEFORE}(?:{speech('opens').pattern})", re.IGNORECASE)
