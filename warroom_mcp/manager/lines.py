"""What a line of a child's output is: a message, rubbish, or a broken answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from pydantic import ValidationError
from pydantic_core import from_json

SHOWN = 200
"""Characters of a line that is no message which are kept to be shown."""
SEARCHED = 400
"""Characters at each end of an unreadable answer in which its id is looked for."""

_ID = r'"id"\s*:\s*(\d{1,18}|"[^"\\]{1,100}")'
_ID_FIRST = re.compile(_ID)
_ID_LAST = re.compile(_ID + r'\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')
_BODY = re.compile(r'"(?:result|error|params)"\s*:')


@dataclass(frozen=True, slots=True)
class Rubbish:
    """A line that is no message: a log line, a banner, a stray print."""

    text: str


@dataclass(frozen=True, slots=True)
class Broken:
    """An answer that cannot be used; `id` is None when it cannot be told which request it is for."""

    id: int | str | None
    reason: str


def parse(line: bytes) -> JSONRPCMessage | Rubbish | Broken:
    """What a line is. Never raises, whatever a child prints."""
    try:
        value = from_json(line)
    except ValueError as error:
        return _mend(line, str(error))
    return _message(value, line)


def _message(value: Any, line: bytes) -> JSONRPCMessage | Rubbish | Broken:
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        return _rubbish(line)
    try:
        if "method" in value:
            kind = JSONRPCRequest if "id" in value else JSONRPCNotification
            return kind.model_validate(value)
        if "error" in value:
            return JSONRPCError.model_validate(value)
        return JSONRPCResponse.model_validate(value)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        reason = f"sent a message that is not JSON-RPC ({where or 'whole'}: {error.errors()[0]['msg']})"
        return _rubbish(line) if "method" in value else Broken(_id_of(value), reason)


def _rubbish(line: bytes) -> Rubbish:
    return Rubbish(line[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN])


def _mend(line: bytes, why: str) -> JSONRPCMessage | Rubbish | Broken:
    """A line that is no strict JSON: with foreign bytes or half characters replaced it may be a message."""
    text = line.decode("utf-8", "replace")
    if not text.lstrip().startswith("{"):
        return _rubbish(line)
    try:
        value = json.loads(text)
        mended = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
        return _message(from_json(mended.decode("utf-16", "replace")), line)
    except (ValueError, RecursionError):
        if not _BODY.search(text) or '"jsonrpc"' not in text:
            return _rubbish(line)
        return Broken(_find_id(text), f"sent an answer that cannot be read ({why[:100]})")


def _id_of(value: dict[str, Any]) -> int | str | None:
    found = value.get("id")
    return found if isinstance(found, int | str) and not isinstance(found, bool) else None


def _find_id(text: str) -> int | str | None:
    """The id of an unreadable answer: before its body, or as one of its last two members."""
    body = _BODY.search(text)
    found = _ID_FIRST.search(text[: min(body.start(), SEARCHED)]) if body else None
    found = found or _ID_LAST.search(text[-SEARCHED:])
    if found is None:
        return None
    return int(found[1]) if found[1].isdecimal() else found[1].strip('"')
