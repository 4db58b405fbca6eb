"""A redacted text prepared for searching: what was redacted is blanked out, positions stay the same."""

import re
from dataclasses import dataclass
from functools import cached_property

# A problem holds no NUL characters, so this one marks what was redacted and matches nothing by chance.
BLANK = "\0"

_REDACTED = re.compile(r"\[redacted:[a-z0-9-]{1,60}\]")
_LETTERS = re.compile(r"[a-z]{2,}")
# Lines of logs can be megabytes long; context reaches no further than this many characters.
_REACH = 400
# From this size on it pays to know the words of the text before each literal is looked for.
_LARGE = 32 * 1024


@dataclass(frozen=True)
class Subject:
    """The text in the three forms that the searches need; all have the same positions."""

    text: str
    masked: str
    lowered: str

    @classmethod
    def of(cls, text: str) -> "Subject":
        """Prepare a redacted text."""
        masked = _REDACTED.sub(lambda match: BLANK * len(match[0]), text)
        return cls(text, masked, _lower(masked))

    @cached_property
    def _vocabulary(self) -> str:
        return "\n".join(set(_LETTERS.findall(self.lowered)))

    def may_contain(self, literal: str) -> bool:
        """False only when the lower-case `literal` is surely not in the text."""
        if len(self.lowered) < _LARGE:
            return literal in self.lowered
        return all(run in self._vocabulary for run in _LETTERS.findall(literal))

    def line(self, start: int, end: int) -> tuple[int, int]:
        """Where the line around a span begins and ends, at most 400 characters to each side."""
        first = self.lowered.rfind("\n", max(0, start - _REACH), start) + 1 or max(0, start - _REACH)
        last = self.lowered.find("\n", end, end + _REACH)
        return first, min(end + _REACH, len(self.lowered)) if last < 0 else last

    def around(self, start: int, end: int) -> str:
        """The lower-case line around a span."""
        first, last = self.line(start, end)
        return self.lowered[first:last]


def _lower(text: str) -> str:
    # One character (a Turkish capital) lowers to two; positions must stay those of the text.
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text.replace("\u0130", "i").lower()
