"""Of a long text the beginning, the end and the lines around what fails are read, in their own places."""

from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.analyzer import analyze
from warroom_mcp.analyzer.focus import WHOLE, focus_on
from warroom_mcp.models import Span

NOISE = "INFO request done in 3 ms\n"


def test_a_short_text_is_read_whole() -> None:
    assert focus_on("x" * WHOLE).text == "x" * WHOLE


def test_what_fails_in_the_middle_of_a_long_log_is_read() -> None:
    text = NOISE * 20_000 + 'FATAL: password authentication failed for user "app"\n' + NOISE * 20_000
    focus = focus_on(text)
    assert "password authentication failed" in focus.text
    assert len(focus.text) < len(text) / 4


def test_spans_point_into_the_whole_text() -> None:
    text = NOISE * 20_000 + 'FATAL: password authentication failed for user "app"\n' + NOISE * 20_000
    analysis = analyze(text)
    assert analysis.text == text
    assert analysis.needs[0].technology == "postgres"
    for signal in analysis.signals:
        assert text[signal.span.start : signal.span.end] == signal.evidence
    assert any("password" in text[span.start : span.end] for span in analysis.needs[0].evidence)


def test_a_text_that_fails_everywhere_is_read_in_part() -> None:
    assert len(focus_on("ERROR no\n" * 200_000).text) < 4 * WHOLE


def test_one_line_of_a_million_characters_is_no_trap() -> None:
    assert len(focus_on("word " * 200_000 + "error " + "word " * 200_000).text) < 2 * WHOLE


@given(
    st.lists(st.sampled_from(["error: x", "calm", "\n", " " * 700, "failed"]), min_size=1, max_size=30),
    st.data(),
)
def test_every_place_that_is_read_is_told_by_its_place_in_the_whole(
    pieces: list[str], data: st.DataObject
) -> None:
    text = "".join(pieces) * (WHOLE // max(1, sum(map(len, pieces))) + 2)
    focus = focus_on(text)
    at = data.draw(st.integers(0, len(focus.text) - 2))
    if focus.text[at] != "\n":
        span = focus.span(Span(at, at + 1))
        assert text[span.start : span.end] == focus.text[at]
