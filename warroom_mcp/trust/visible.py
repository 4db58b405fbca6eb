"""Text of strangers as a person can see it: nothing hidden, nothing that moves the cursor or the line."""

import re
import unicodedata

# Invisible although Unicode calls them letters, marks or symbols: fillers of Hangul and Khmer, the
# joiner of graphemes, Mongolian and other variation selectors, the blank of Braille.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)
# Controls, formats (bidirectional, zero-width, tags), surrogates, private and unassigned characters,
# line and paragraph ends, and every space but the plain one.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}

# Words that every shell and every reader takes as they stand.
_BARE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def escape_visible(text: str) -> str:
    """The text with every hidden character spelled out, as `\\n` or `\\u{202e}`.

    Backslashes are doubled, so that no two texts look the same.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_visible, text))


def quoted(word: str) -> str:
    """One word of a command: as it stands when it is plain, else quoted.

    In single quotes it stands literally, as a shell would take it; in double quotes it is escaped.
    """
    if _BARE.fullmatch(word):
        return word
    escaped = escape_visible(word)
    if escaped == word and "'" not in word:
        return f"'{word}'"
    return '"' + escaped.replace('"', '\\"') + '"'


def ascii_only(word: str) -> str:
    """A word with everything but ASCII spelled out, for telling look-alike letters apart."""
    return "".join(c if ord(c) < 128 else f"\\u{{{ord(c):x}}}" for c in quoted(word))


def _visible(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character == " ":
        return character
    if character in _BLANK or unicodedata.category(character) in _HIDDEN:
        return f"\\u{{{ord(character):x}}}"
    return character
