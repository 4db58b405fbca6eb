"""What a problem has to be before it is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.analyzer.problem import clean
from warroom_mcp.errors import InvalidProblem

LIMIT = 1000


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        ("", "empty"),
        (b"", "empty"),
        (" \n\t ", "white space"),
        ("\x1b[31m\x1b[0m", "white space"),
        ("\u3000\u00a0", "white space"),
        ("abc\0def", "NUL"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "NUL"),
        (bytes(range(128, 256)), "could not be"),
        ("\x01\x02\x03\x04ab", "control characters"),
        ("\ud800\udc00\ud801", "could not be"),
        ("x" * (LIMIT + 1), "1,001 bytes"),
        ("é" * 501, "1,002 bytes"),
        (b"x" * (LIMIT + 1), "at most 1,000"),
    ],
)
def test_what_is_no_problem_is_refused_with_the_reason_and_a_hint(problem: str | bytes, says: str) -> None:
    with pytest.raises(InvalidProblem, match=says) as caught:
        clean(problem, LIMIT)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        ("\x1b[1;31merror\x1b[0m: no", "error: no"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07 end", "link end"),
        ("\x1b]0;title\x1b\\done", "done"),
        ("\x9b31mred", "red"),
        ("\x1b(Bplain\x1b=", "plain"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("bell\x07 and\x7f delete", "bell and delete"),
        (b"5 \xe2\x82\xac \xff crashed", "5 € \ufffd crashed"),
        ("\ufefferror".encode(), "error"),
        ("오류 error".encode("utf-16"), "오류 error"),
        ("half \ud83d a pair", "half \ufffd a pair"),
    ],
)
def test_text_is_decoded_and_rid_of_what_terminals_add(problem: str | bytes, text: str) -> None:
    assert clean(problem, LIMIT) == text


def test_a_problem_of_exactly_the_limit_is_read() -> None:
    assert clean("x" * LIMIT, LIMIT) == "x" * LIMIT


@given(st.one_of(st.text(), st.binary()))
def test_cleaning_again_changes_nothing(problem: str | bytes) -> None:
    try:
        once = clean(problem, LIMIT)
    except InvalidProblem:
        return
    assert clean(once, 4 * LIMIT) == once
