"""A redacted text prepared for searching: secrets and blobs are blanked out, positions stay the same."""

import re
from dataclasses import dataclass

# A problem holds no NUL characters, so this one marks what was redacted and matches nothing by chance.
BLANK = "\0"

_REDACTED = re.compile(r"\[redacted:[a-z0-9-]{1,60}\]")
# Keys, images and other blobs; `(?<!)` and the possessive repeat read each of them once.
_BLOB = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{256,}+")
# Lines of logs can be megabytes long; context reaches no further than this many characters.
_REACH = 400


@dataclass(frozen=True, slots=True)
class Subject:
    """The text in the three forms that the searches need; all have the same positions."""

    text: str
    masked: str
    lowered: str

    @classmethod
    def of(cls, text: str) -> "Subject":
        """Prepare a redacted text."""
        masked = _BLOB.sub(_blank, _REDACTED.sub(_blank, text))
        return cls(text, masked, _lower(masked))

    def line(self, start: int, end: int) -> tuple[int, int]:
        """Where the line around a span begins and ends, at most 400 characters to each side."""
        first = self.lowered.rfind("\n", max(0, start - _REACH), start) + 1 or max(0, start - _REACH)
        last = self.lowered.find("\n", end, end + _REACH)
        return first, min(end + _REACH, len(self.lowered)) if last < 0 else last

    def around(self, start: int, end: int) -> str:
        """The lower-case line around a span."""
        first, last = self.line(start, end)
        return self.lowered[first:last]


def _blank(match: re.Match[str]) -> str:
    return BLANK * len(match[0])


def _lower(text: str) -> str:
    # One character (a Turkish capital) lowers to two; positions must stay those of the text.
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text.replace("\u0130", "i").lower()
