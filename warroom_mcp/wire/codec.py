"""JSON-RPC messages as lines: the envelope is read, what is inside stays the bytes that came.

Numbers keep their digits, unknown fields stay, and a payload of megabytes is copied and never built up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from warroom_mcp.wire.protocol import INTERNAL_ERROR

__all__ = [
    "Envelope",
    "Fields",
    "RpcError",
    "encode",
    "error_line",
    "fields_of",
    "message_line",
    "result_line",
    "value_of",
]

Fields = dict[str, Raw]
"""The members of a JSON object, each still encoded."""


class Envelope(msgspec.Struct, gc=False):
    """One message; members that are not there are empty."""

    jsonrpc: str = ""
    id: Raw = Raw()
    method: str = ""
    params: Raw = Raw()
    result: Raw = Raw()
    error: Raw = Raw()


class RpcError(Exception):
    """A JSON-RPC error: a peer's own as it came, or one for a peer. `data` is JSON-ready or None."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    @classmethod
    def read(cls, raw: Raw) -> RpcError:
        """The error of a response; one without code or message still is one."""
        try:
            value = msgspec.json.decode(raw)
        except ValueError:
            value = None
        if not isinstance(value, Mapping):
            return cls(INTERNAL_ERROR, "The peer answered with an error that says nothing")
        code, message = value.get("code"), value.get("message")
        return cls(
            code if isinstance(code, int) else INTERNAL_ERROR,
            message if isinstance(message, str) else "The peer answered with an error",
            value.get("data"),
        )

    def to_dict(self) -> dict[str, Any]:
        """The `error` member of a response."""
        shape: dict[str, Any] = {"code": self.code, "message": self.message}
        return shape if self.data is None else {**shape, "data": self.data}


encode = msgspec.json.Encoder().encode
"""Any JSON-ready value, among them `Raw` and what holds some, as bytes."""

_NOTHING = (b"", b"null")
_FIELDS = msgspec.json.Decoder(Fields)


def fields_of(raw: Raw | bytes) -> Fields:
    """The members of an encoded object; nothing and null have none.

    Raises: msgspec.MsgspecError: it is none.
    """
    return {} if bytes(raw) in _NOTHING else _FIELDS.decode(raw)


def value_of(raw: Raw | bytes | None) -> Any:
    """What a few bytes of JSON say; None when they say nothing or cannot be read."""
    if raw is None or not bytes(raw):
        return None
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None


def message_line(method: str, params: bytes | Raw = b"", request_id: int | None = None) -> bytes:
    """A request, or a notification when it has no id. `params` is an encoded object, or nothing."""
    head = b'{"jsonrpc":"2.0",' if request_id is None else b'{"jsonrpc":"2.0","id":%d,' % request_id
    body = b'"method":' + encode(method)
    return b"".join((head, body, b',"params":', bytes(params), b"}\n") if params else (head, body, b"}\n"))


def result_line(request_id: bytes, result: bytes | Raw) -> bytes:
    """The answer to a request; id and result are encoded."""
    return b"".join((b'{"jsonrpc":"2.0","id":', request_id, b',"result":', bytes(result), b"}\n"))


def error_line(request_id: bytes, error: RpcError) -> bytes:
    """The error for a request; data that is not JSON is left out."""
    try:
        body = encode(error.to_dict())
    except (TypeError, ValueError):
        body = encode({"code": error.code, "message": error.message.encode("utf-8", "replace").decode()})
    return b"".join((b'{"jsonrpc":"2.0","id":', request_id or b"null", b',"error":', body, b"}\n"))
