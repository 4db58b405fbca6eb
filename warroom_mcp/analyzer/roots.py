"""Where a stack trace says its cause: the part of the text that weighs more than the symptoms around it."""

import re

from warroom_mcp.analyzer.subject import Subject

_FRAME = re.compile(r"[ \t]{0,40}(?:at |\.\.\. |\t)")
_JAVA = "caused by:"
_DOTNET = "---> "
_PYTHON = (
    "\nthe above exception was the direct cause of the following exception",
    "\nduring handling of the above exception, another exception occurred",
)
_TRACEBACK = "traceback (most recent call last)"
# A cause with its frames is not longer than this.
_REACH = 4_000


def root_of(subject: Subject) -> tuple[int, int] | None:
    """The span of the innermost cause, or None when the text does not chain causes."""
    lowered = subject.lowered
    at = _last_line_with(lowered, _JAVA)
    if at >= 0:
        return at, _end_of_frames(lowered, at)
    at = lowered.rfind(_DOTNET)
    if at >= 0 and "\n" in lowered[at:]:
        return at, _end_of_frames(lowered, at)
    chain = [found for marker in _PYTHON if (found := lowered.find(marker)) >= 0]
    if chain:
        end = min(chain)
        start = lowered.rfind(_TRACEBACK, max(0, end - _REACH), end)
        return max(start, 0, end - _REACH), end
    return None


def _last_line_with(lowered: str, marker: str) -> int:
    """The last place where a line begins with the marker."""
    at = lowered.rfind(marker)
    while at > 0:
        first = lowered.rfind("\n", 0, at) + 1
        if not lowered[first:at].strip():
            return at
        at = lowered.rfind(marker, 0, at)
    return at


def _end_of_frames(lowered: str, at: int) -> int:
    end = lowered.find("\n", at)
    while 0 <= end < at + _REACH and _FRAME.match(lowered, end + 1):
        end = lowered.find("\n", end + 1)
    return len(lowered) if end < 0 else end
