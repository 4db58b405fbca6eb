"""What a problem has to be before it is read: text, not empty, not binary, not too large."""

import re

from warroom_mcp.errors import InvalidProblem

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,40}[ -/]{0,8}[@-~]"  # colours, movements of the cursor
    r"|\x1b[\]PX^_][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)"  # titles, hyperlinks
    r"|\x1b[ -/]{1,8}[0-~]"  # character sets
    r"|\x1b[0-~]?"
)
_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029\x85]")
_CONTROLS = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_UNDECODABLE = re.compile("[\ud800-\udfff\ufffd]")
# Logs hold stray bytes; a text of which every fourth character is one is no text.
_MAX_ODD_SHARE = 0.25

_SEND_TEXT = "Send the error lines as text, with a few lines around them."


def clean(problem: str | bytes, max_bytes: int) -> str:
    """The problem as plain text: decoded, without terminal escapes and control characters.

    Raises:
        InvalidProblem: it is empty, binary, or larger than `max_bytes`.
    """
    _check_size(problem, max_bytes)
    text = problem if isinstance(problem, str) else _decode(problem)
    if "\0" in text:
        raise InvalidProblem("The problem is binary: it contains NUL bytes.", hint=_SEND_TEXT)
    text = _LINE_ENDS.sub("\n", _ESCAPES.sub("", text))
    odd = len(_CONTROLS.findall(text)) + len(_UNDECODABLE.findall(text))
    if odd > _MAX_ODD_SHARE * len(text):
        raise InvalidProblem(
            f"The problem is binary: {odd} of its {len(text)} characters are control characters or "
            "could not be decoded.",
            hint=_SEND_TEXT,
        )
    text = _UNDECODABLE.sub("\ufffd", _CONTROLS.sub("", text))
    if not text.strip():
        raise InvalidProblem(
            "The problem is empty." if not problem else "The problem holds nothing but white space.",
            hint="Describe what went wrong, or send the error lines.",
        )
    return text


def _check_size(problem: str | bytes, max_bytes: int) -> None:
    # A character is at least one byte, so a text far too long need not be encoded to know it.
    size = len(problem)
    if isinstance(problem, str) and size <= max_bytes:
        size = len(problem.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        raise InvalidProblem(
            f"The problem is too large: {size:,} bytes, and at most {max_bytes:,} are read.",
            hint="Send the part around the first error and the last lines.",
            details={"bytes": size, "max_bytes": max_bytes},
        )


def _decode(data: bytes) -> str:
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    return data.decode("utf-8", "replace")
