"""A log as events, and which of them fail: evidence in a line that merely reports counts less."""

import re
from bisect import bisect_right
from dataclasses import dataclass

from warroom_mcp.analyzer.subject import Subject

# How the first line of an event begins in most logs; other lines continue the event before.
_BEGINS = re.compile(
    r"^(?:\[?\d{4}[-/.]\d\d[-/.]\d\d[T _]\d\d[:.]\d\d|\[?\d\d[-/.]\w{2,3}[-/.]\d{4}[: ]\d\d"
    r"|\w{3} {1,2}\d{1,2} \d\d:\d\d:\d\d|\[?\d\d:\d\d:\d\d|[IWEF]\d{4} \d\d:\d\d|<\d{1,3}>"
    r"|\[ {0,8}\d+\.\d+\]|\d+:[A-Z] \d\d \w{3} |\{\"|\d{10,13}[ .]|(?:\S{1,60} {1,3}\| )"
    r"|\[?(?:ERROR|WARN|WARNING|INFO|DEBUG|TRACE|FATAL|CRITICAL|NOTICE|SEVERE)\]?[: ])",
    re.MULTILINE,
)
_FAILING = re.compile(
    r"\b(?:[Ee]rror|ERROR|[Ff]atal|FATAL|[Cc]ritical|CRITICAL|[Ss]evere|SEVERE|[Pp]anic|PANIC|EMERG|emerg|ALERT"
    r"|CRIT|ERR|[Ff]ailed|[Ff]ailure"
    r"|refused|denied|timed out|timeout|[Cc]annot|[Cc]ould not|[Uu]nable(?: to)?"
    r"|[Kk]illed|crash\w{0,3}|[Ee]xception|unreachable|Traceback|OOMKilled|Back-off|BackOff|rejected"
    r"|not found"
    r"|unavailable|expired)\b|\b[A-Z]\w{2,60}(?:Error|Exception)\b|^[EF]\d{4} \d\d:"
    r"|\" [45]\d\d |\bE[A-Z]{5,12}\b",
    re.MULTILINE,
)
_CALM = re.compile(r"\b(?:INFO|DEBUG|TRACE|NOTICE|info|debug|trace|notice)\b|^I\d{4} \d\d:", re.MULTILINE)
_SURELY = re.compile(r"\b(?:ERROR|FATAL|Exception|error:)")
# From so many events on a text is a log in which most lines say nothing of the failure.
_MANY = 4
# What evidence outside of the failing events keeps.
ASIDE = 0.45


@dataclass(frozen=True, slots=True)
class Events:
    """Where the events of a text begin, and which of them fail."""

    starts: tuple[int, ...]
    failing: tuple[bool, ...]

    def share(self, at: int) -> float:
        """What evidence at a place keeps of its weight."""
        if len(self.starts) < _MANY or not any(self.failing) or all(self.failing):
            return 1.0
        event = bisect_right(self.starts, at) - 1
        return 1.0 if event < 0 or self.failing[event] else ASIDE


def events_of(subject: Subject) -> Events:
    """The events of a text, one for all of a text that is no log."""
    text = subject.masked
    starts = [match.start() for match in _BEGINS.finditer(text)]
    if not starts or starts[0] > 0:
        starts.insert(0, 0)
    ends = [*starts[1:], len(text)]
    return Events(tuple(starts), tuple(_fails(text[a:b]) for a, b in zip(starts, ends, strict=True)))


def _fails(event: str) -> bool:
    head = event[:200]
    calm = _CALM.search(head) is not None
    found = _FAILING.search(event[:2000])
    return found is not None and not (calm and not _SURELY.search(event[:2000]))
