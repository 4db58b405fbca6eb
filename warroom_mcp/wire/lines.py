"""What a line of a peer's output is: a message, rubbish, or a broken answer or request.

Everything that passes is strict JSON in UTF-8 and no deeper than every host's parser takes: what would
leave the other side waiting for an answer that it cannot read ends here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from warroom_mcp.wire.codec import Envelope, encode

SHOWN = 200
"""Characters of a line that is no message which are kept to be shown."""
SEARCHED = 400
"""Characters at each end of an unreadable answer in which its id is looked for."""
MAX_DEPTH = 180
"""Levels of a message. Parsers of widespread hosts stop at about 200, and then drop the message."""

_ID = r'"id"\s*:\s*(\d{1,18}|"[^"\\]{1,100}")'
_ID_FIRST = re.compile(_ID)
_ID_LAST = re.compile(_ID + r'\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')
_BODY = re.compile(r'"(result|error|params)"\s*:')
_LEVELS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]')
_ENVELOPE = msgspec.json.Decoder(Envelope)
_UNREADABLE = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Rubbish:
    """A line that is no message: a log line, a banner, a stray print."""

    text: str


@dataclass(frozen=True, slots=True)
class Broken:
    """An answer that cannot be used, or a request; `id` is its encoded id, None when it cannot be told."""

    id: bytes | None
    reason: str
    asks: bool = False


def parse(line: bytes) -> Envelope | Rubbish | Broken:
    """What a line is. Never raises, whatever a peer prints."""
    try:
        if not line.isascii():
            line.decode()
        message = _ENVELOPE.decode(line)
    except _UNREADABLE as error:
        return _mend(line, str(error))
    return _checked(message, line)


def _checked(message: Envelope, line: bytes) -> Envelope | Rubbish | Broken:
    if message.jsonrpc != "2.0" or not (message.method or bytes(message.id)):
        return _rubbish(line)
    deep = len(line) > 2 * MAX_DEPTH and line.count(b"[") + line.count(b"{") > MAX_DEPTH
    if deep and _too_deep(line):
        if message.method and not bytes(message.id):
            return _rubbish(line)
        kind = "a request" if message.method else "an answer"
        reason = f"sent {kind} of more than {MAX_DEPTH} levels"
        return Broken(bytes(message.id), reason, asks=bool(message.method))
    if not message.method and not (bytes(message.result) or bytes(message.error)):
        return Broken(bytes(message.id), "sent an answer with neither a result nor an error")
    return message


def _rubbish(line: bytes) -> Rubbish:
    return Rubbish(line[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN])


def _mend(line: bytes, why: str) -> Envelope | Rubbish | Broken:
    """A line that is no strict JSON: with foreign bytes or half characters replaced it may be a message."""
    import json

    text = line.decode("utf-8", "replace")
    if not text.lstrip().startswith("{"):
        return _rubbish(line)
    try:
        value = json.loads(text)
        if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
            return _rubbish(line)
        whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
        mended = encode(json.loads(whole.decode("utf-16", "replace")))
        return _checked(_ENVELOPE.decode(mended), mended)
    except _UNREADABLE:
        body = _BODY.search(text)
        if not body or '"jsonrpc"' not in text:
            return _rubbish(line)
        asks = body[1] == "params"
        reason = f"sent {'a request' if asks else 'an answer'} that cannot be read ({why[:100]})"
        return Broken(find_id(text), reason, asks=asks)


def find_id(text: str) -> bytes | None:
    """The id of an unreadable answer: before its body, or as one of its last two members."""
    body = _BODY.search(text)
    found = _ID_FIRST.search(text[: min(body.start(), SEARCHED)]) if body else None
    found = found or _ID_LAST.search(text[-SEARCHED:])
    return found[1].encode() if found else None


def _is_deep_text(line: bytes) -> bool:
    depth = 0
    for found in _LEVELS.finditer(line):
        if found[0] in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif found[0] in b"]}":
            depth -= 1
    return False


def _too_deep(line: bytes) -> bool:
    """Whether a valid message nests deeper than the limit, looked at level by level."""
    try:
        level = [msgspec.json.decode(line)]
    except RecursionError:
        return True
    except ValueError:  # a number that Python has no room for
        return _is_deep_text(line)
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
