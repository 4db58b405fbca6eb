"""The part of a long text that is read: its beginning, its end, and the lines around what fails.

A log of megabytes says what went wrong in a few of its lines. They are joined to a text of their own, and
what is found there is told by its place in the whole.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

from warroom_mcp.models import Span

# Up to this many characters all of a text is read.
WHOLE = 48 * 1024
_HEAD, _TAIL = 6 * 1024, 12 * 1024
# How many characters around a failing line belong to it, and how many there may be in all.
_BEFORE, _BEHIND, _MOST = 600, 1_200, 64 * 1024
_FAILING = re.compile(
    r"error|fatal|panic|exception|traceback|caused by|critical|severe|emerg|fail(?:ed|ure)|refused"
    r"|denied|timed? ?out"
    r"|cannot|could not|unable to|killed|crash|unreachable|not found|expired|exceeded|unavailable|rejected"
    r"|\b[45]\d\d\b"
    r"|오류|에러|실패|거부|错误|失败|エラー|失敗|拒否|fehler|erreur|ошибк",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Focus:
    """The text that is read, and where each of its pieces stands in the whole.

    `places` are the pieces' beginnings in the read text, `origins` those in the whole.
    """

    text: str
    places: tuple[int, ...] = (0,)
    origins: tuple[int, ...] = (0,)

    def span(self, span: Span) -> Span:
        """A span of the read text as one of the whole."""
        shift = self._shift(span.start)
        return Span(
            span.start + shift, max(span.end + self._shift(max(span.start, span.end - 1)), span.start + shift)
        )

    def _shift(self, at: int) -> int:
        piece = max(0, bisect_right(self.places, at) - 1)
        return self.origins[piece] - self.places[piece]


def focus_on(text: str) -> Focus:
    """What is read of a text."""
    if len(text) <= WHOLE:
        return Focus(text)
    pieces = _pieces(text)
    read: list[str] = []
    places: list[int] = []
    at = 0
    for start, end in pieces:
        places.append(at)
        # A line end parts the pieces, so that nothing is found across two of them.
        read.append(text[start:end] + "\n")
        at += end - start + 1
    return Focus("".join(read), tuple(places), tuple(start for start, _ in pieces))


def _pieces(text: str) -> list[tuple[int, int]]:
    """The ranges that are read, in their order, none touching another."""
    wanted = [(0, _HEAD), (len(text) - _TAIL, len(text))]
    left = _MOST
    found = [match.start() for match in _FAILING.finditer(text, _HEAD, len(text) - _TAIL)]
    # The first failures say how it began, the last ones how it ended.
    for at in [*found[:400], *found[-400:]]:
        if left <= 0:
            break
        start, end = (
            _line_start(text, max(0, at - _BEFORE), at),
            _line_end(text, at, min(len(text), at + _BEHIND)),
        )
        if not any(low <= start and end <= high for low, high in wanted[-3:]):
            wanted.append((start, end))
            left -= end - start
    joined: list[tuple[int, int]] = []
    for start, end in sorted(wanted):
        if joined and start <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _line_start(text: str, low: int, at: int) -> int:
    """The beginning of the line two before the place, as far as it is near."""
    first = at
    for _ in range(3):
        first = text.rfind("\n", low, first)
        if first < 0:
            return low
    return first + 1


def _line_end(text: str, at: int, high: int) -> int:
    """The end of the line some behind the place, as far as it is near."""
    last = at
    for _ in range(6):
        following = text.find("\n", last + 1, high)
        if following < 0:
            return high
        last = following
    return last
