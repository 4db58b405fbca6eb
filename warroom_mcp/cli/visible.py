"""Makes foreign text harmless for a terminal: what would move the cursor or hide text is spelled out."""

import re

# Controls (C0 without tab and line feed, DEL, C1), bidirectional and zero-width characters, separators
# that terminals break lines at, half surrogates, tag characters.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """The text with every character that a terminal would act on, or not show, as an escape."""
    return _HIDDEN.sub(_escaped, text)


def one_line(text: str) -> str:
    """As `visible`, on one line."""
    return visible(text).replace("\n", " ").replace("\t", " ")


def json_safe(text: str) -> str:
    """JSON text in which the same characters are JSON escapes; it stays the same JSON."""
    return _HIDDEN.sub(_json_escape, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
