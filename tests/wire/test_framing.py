"""The splitter: the same lines whatever the chunks, and never more kept than allowed."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.wire.framing import LineSplitter, LineTooLong


def _chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b)), st.lists(st.integers(0, 500)))
def test_the_lines_do_not_depend_on_where_the_chunks_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    splitter = LineSplitter(limit=100)
    data = b"".join(line + b"\n" for line in lines)
    found = [line for chunk in _chunks(data, cuts) for line in splitter.feed(chunk)]
    assert found == lines


@given(st.integers(11, 400), st.lists(st.integers(0, 500)))
def test_a_line_over_the_limit_is_told_once_and_the_next_one_arrives(size: int, cuts: list[int]) -> None:
    splitter = LineSplitter(limit=10)
    found = [line for chunk in _chunks(b"x" * size + b"\nnext\n", cuts) for line in splitter.feed(chunk)]
    assert [type(line) for line in found] == [LineTooLong, bytes]
    assert found[1] == b"next"


def test_an_endless_line_is_not_kept() -> None:
    splitter = LineSplitter(limit=1000)
    told = sum(len(splitter.feed(b"x" * 400)) for _ in range(1000))
    assert told == 1
    assert sum(map(len, splitter._parts)) == 0


@given(st.integers(0, 40), st.integers(1, 30))
def test_a_line_of_the_limit_passes_and_a_longer_one_does_not(length: int, chunk: int) -> None:
    splitter = LineSplitter(20)
    data = b"x" * length + b"\n"
    found = [line for at in range(0, len(data), chunk) for line in splitter.feed(data[at : at + chunk])]
    if length > 20:
        assert [type(line) for line in found] == [LineTooLong]
    else:
        assert found == [b"x" * length]


def test_a_large_line_costs_no_more_than_its_length() -> None:
    splitter = LineSplitter(64 * 1024 * 1024)
    for _ in range(900):  # quadratic splitting would copy 26 GB here
        assert splitter.feed(b"x" * 65536) == []
    (line,) = splitter.feed(b"\n")
    assert isinstance(line, bytes)
    assert len(line) == 900 * 65536
