"""Messages as lines: what is put into one comes out of it, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import MsgspecError, Raw

from tests.wire.test_lines import JSON
from warroom_mcp.wire.codec import (
    Envelope,
    RpcError,
    encode,
    error_line,
    fields_of,
    message_line,
    result_line,
    value_of,
)
from warroom_mcp.wire.lines import parse
from warroom_mcp.wire.protocol import INTERNAL_ERROR

OBJECTS = st.dictionaries(st.text(), JSON)
SCALARS = st.characters(exclude_categories=["Cs"])


def envelope(line: bytes) -> Envelope:
    """The message of one line, which ends where it should."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    message = parse(line[:-1])
    assert isinstance(message, Envelope)
    return message


@given(st.text(SCALARS, min_size=1), OBJECTS, st.integers(1, 2**53))
def test_a_request_comes_out_as_it_went_in(method: str, params: dict[str, Any], number: int) -> None:
    encoded = encode(params)
    message = envelope(message_line(method, encoded, number))
    assert (message.method, bytes(message.params), bytes(message.id)) == (
        method,
        encoded,
        str(number).encode(),
    )
    assert json.loads(message_line(method, encoded, number))["params"] == params


@given(st.text(SCALARS, min_size=1))
def test_a_notification_has_no_id_and_need_not_have_parameters(method: str) -> None:
    message = envelope(message_line(method))
    assert (message.method, bytes(message.id), bytes(message.params)) == (method, b"", b"")


@given(st.integers() | st.text(SCALARS), OBJECTS)
def test_an_answer_comes_out_as_it_went_in(request_id: object, result: dict[str, Any]) -> None:
    encoded = encode(result)
    message = envelope(result_line(encode(request_id), encoded))
    assert bytes(message.result) == encoded
    assert json.loads(bytes(message.id)) == request_id
    assert bytes(message.error) == b""


@given(st.integers(-(2**31), 2**31), st.text(SCALARS), JSON)
def test_an_error_comes_out_as_it_went_in(code: int, text: str, data: Any) -> None:
    read = RpcError.read(envelope(error_line(b"7", RpcError(code, text, data))).error)
    assert (read.code, read.message, read.data) == (code, text, data)


def test_an_error_without_an_id_is_for_nobody() -> None:
    assert bytes(envelope(error_line(b"", RpcError(1, "m"))).id) == b"null"


@pytest.mark.parametrize("data", [object(), "\ud800", {1: object()}])
def test_data_that_is_not_json_is_left_out_of_an_error(data: object) -> None:
    read = RpcError.read(envelope(error_line(b"7", RpcError(-1, "half \ud800 a character", data))).error)
    assert (read.code, read.message, read.data) == (-1, "half ? a character", None)


@pytest.mark.parametrize(
    "raw", [b"null", b"7", b"[]", b"{}", b'{"code":"x","message":7}', b'{"code":' + b"9" * 5000 + b"}", b"{"]
)
def test_an_error_that_says_nothing_still_is_one(raw: bytes) -> None:
    error = RpcError.read(Raw(raw))
    assert error.code == INTERNAL_ERROR
    assert error.message
    assert str(error) == error.message


def test_numbers_keep_their_digits_and_unknown_fields_stay() -> None:
    text = b'{"a":1.0000000000000000000000001,"b":[1e400,123456789012345678901234567890],"x-c":{"d":1.0}}'
    fields = fields_of(text)
    assert encode(fields) == text


@pytest.mark.parametrize("raw", [b"", b"null"])
def test_nothing_and_null_have_no_members(raw: bytes) -> None:
    assert fields_of(raw) == fields_of(Raw(raw)) == {}


@pytest.mark.parametrize("raw", [b"[]", b"7", b'"a"', b"{", b"{]"])
def test_what_is_no_object_has_no_members_to_give(raw: bytes) -> None:
    with pytest.raises(MsgspecError):
        fields_of(raw)


@given(JSON)
def test_a_few_bytes_say_what_was_put_into_them(value: Any) -> None:
    assert value_of(encode(value)) == value


@pytest.mark.parametrize("raw", [None, b"", b"{", b"[" * 100_000, b"9" * 5000, b"\xff"])
def test_what_cannot_be_read_says_nothing(raw: bytes | None) -> None:
    assert value_of(raw) is None
