"""What a line of a peer's output is: a message, rubbish, or a broken answer, and nothing makes it fail."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.wire.codec import Envelope
from warroom_mcp.wire.lines import MAX_DEPTH, SHOWN, Broken, Rubbish, find_id, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(line: bytes) -> None:
    assert isinstance(parse(line), Rubbish | Broken | Envelope)


@given(
    st.lists(
        st.sampled_from(
            [
                b'{"jsonrpc":"2.0",',
                b'"id":1,',
                b'"id":"x",',
                b'"id":null,',
                b'"method":"a"',
                b'"result":',
                b'"error":',
                b'"params":',
                b"{}",
                b"[",
                b"}",
                b"9" * 5000,
                b"1e999",
                b"NaN",
                b'"\\ud800"',
                b"\xff",
                b",",
                b" ",
            ]
        ),
        max_size=14,
    )
)
def test_no_mixture_of_the_parts_of_messages_makes_the_reader_fail(parts: list[bytes]) -> None:
    assert isinstance(parse(b"".join(parts)), Rubbish | Broken | Envelope)


@given(JSON)
def test_an_answer_of_any_content_comes_through_as_the_bytes_that_came(content: Any) -> None:
    result = json.dumps({"content": content}, ensure_ascii=False)
    try:
        line = f'{{"jsonrpc": "2.0", "id": 1, "result": {result}}}'.encode()
    except UnicodeEncodeError:
        return
    message = parse(line)
    assert isinstance(message, Envelope)
    assert bytes(message.result) == result.encode()


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping"}', Envelope),
        ('{"jsonrpc": "2.0", "method": "notifications/x", "params": {}}', Envelope),
        ('{"jsonrpc": "2.0", "id": "a", "result": {}}', Envelope),
        ('{"jsonrpc": "2.0", "id": null, "error": {"code": 1, "message": "m"}}', Envelope),
        ('{"level": "info", "msg": "a log line"}', Rubbish),
        ('{"jsonrpc": "1.0", "id": 1, "result": {}}', Rubbish),
        ('{"jsonrpc": "2.0", "method": 7}', Rubbish),
        ('{"jsonrpc": "2.0"}', Rubbish),
        ("Server running on stdio", Rubbish),
        ('"text"', Rubbish),
        ("[]", Rubbish),
        ("{", Rubbish),
        ("", Rubbish),
    ],
)
def test_each_line_is_what_it_is(line: str, kind: type) -> None:
    assert isinstance(parse(line.encode()), kind)


DEEP = "[" * 1000 + "]" * 1000
VERY_DEEP = "[" * 100_000 + "]" * 100_000
NUMBER = "9" * 5000


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (f'{{"jsonrpc":"2.0","id":7,"result":{{"a":{DEEP}}}}}', b"7"),
        (f'{{"jsonrpc":"2.0","id":7,"result":{{"a":{VERY_DEEP}}}}}', b"7"),
        (f'{{"jsonrpc":"2.0","id":7,"result":{{"n":{NUMBER},"a":{DEEP}}}}}', b"7"),
        (f'{{"jsonrpc":"2.0","id":"seven","result":{{"id":1,"a":{DEEP}}}}}', b'"seven"'),
        (f'{{"result":{{"id":1,"a":{DEEP}}},"jsonrpc":"2.0","id":7}}', b"7"),
        (f'{{"result":{{"id":1,"a":{DEEP}}},"id":7,"jsonrpc":"2.0"}}', b"7"),
        (f'{{"result":{{"a":{VERY_DEEP},"id":1}},"jsonrpc":"2.0"}}', None),
        ('{"jsonrpc":"2.0","id":7,"result":{"a":', b"7"),
        ('{"jsonrpc":"2.0","result":{"id":7,', None),
        ('{"jsonrpc":"2.0","id":7}', b"7"),
        ('{"jsonrpc":"2.0","id":7,"result":{"a":01}}', b"7"),
        ('{"jsonrpc":"2.0","id":7,"result":{"a":"\x01"}}', b"7"),
    ],
)
def test_an_unreadable_answer_is_still_somebodys(line: str, request_id: bytes | None) -> None:
    message = parse(line.encode())
    assert isinstance(message, Broken)
    assert (message.id, message.asks) == (request_id, False)
    assert message.reason.startswith("sent an answer")


@pytest.mark.parametrize("number", ["1", NUMBER])
def test_as_deep_as_every_host_reads_passes_and_one_level_more_does_not(number: str) -> None:
    for depth, kind in ((MAX_DEPTH, Envelope), (MAX_DEPTH + 1, Broken)):
        inner = depth - 2  # the message, and the object of the result
        line = f'{{"jsonrpc":"2.0","id":7,"result":{{"n":{number},"a":{"[" * inner}{"]" * inner}}}}}'
        assert isinstance(parse(line.encode()), kind)


def test_many_brackets_that_are_not_deep_pass() -> None:
    wide = json.dumps([[{}, "[[[{{{ \\"], []] * 500)
    for number in ("1", NUMBER):
        line = f'{{"jsonrpc":"2.0","id":7,"result":{{"n":{number},"a":{wide}}}}}'
        assert isinstance(parse(line.encode()), Envelope)


@pytest.mark.parametrize("params", [DEEP, DEEP[800:1200], '{"a":'])
def test_an_unreadable_request_is_told_from_an_answer(params: str) -> None:
    message = parse(f'{{"jsonrpc":"2.0","id":7,"method":"a","params":{params}}}'.encode())
    assert isinstance(message, Broken)
    assert (message.id, message.asks) == (b"7", True)
    assert message.reason.startswith("sent a request")


def test_a_notification_that_is_too_deep_is_rubbish() -> None:
    line = f'{{"jsonrpc":"2.0","method":"a","params":{DEEP[800:1200]}}}'
    assert isinstance(parse(line.encode()), Rubbish)


def test_of_rubbish_only_the_beginning_is_kept() -> None:
    message = parse(b"\xff" + "ü".encode() * 5_000)
    assert isinstance(message, Rubbish)
    assert message.text == "\ufffd" + "ü" * (SHOWN - 1)


@pytest.mark.parametrize("bad", [b"\xff", b"\\ud800", b"\\udc00 \\ud800", b"\xed\xa0\x80"])
def test_characters_that_do_not_exist_are_replaced(bad: bytes) -> None:
    message = parse(b'{"jsonrpc":"2.0","id":7,"result":{"n":12345678901234567890123,"a":"x' + bad + b'y"}}')
    assert isinstance(message, Envelope)
    value = json.loads(bytes(message.result))
    assert value["n"] == 12345678901234567890123
    assert value["a"][0] + value["a"][-1] == "xy"
    assert "\ufffd" in value["a"]
    value["a"].encode()


def test_a_pair_of_halves_is_one_character() -> None:
    message = parse(rb'{"jsonrpc":"2.0","id":7,"result":{"a":"\ud83d\ude00"}}')
    assert isinstance(message, Envelope)
    assert json.loads(bytes(message.result)) == {"a": "\N{GRINNING FACE}"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_become_null(number: str) -> None:
    message = parse(f'{{"jsonrpc":"2.0","id":7,"result":{{"a":{number}}}}}'.encode())
    assert isinstance(message, Envelope)
    assert bytes(message.result) == b'{"a":null}'


@given(st.text(max_size=300))
def test_an_id_is_looked_for_in_any_text(text: str) -> None:
    found = find_id(text)
    assert found is None or json.loads(found) is not None
