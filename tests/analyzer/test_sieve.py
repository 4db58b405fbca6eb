"""The sieve never loses a literal that is in the text."""

from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.analyzer.sieve import Sieve, filed

LITERALS = ("redis", "redis.exceptions.", "6379", "s3", "err", "레디스", "exceptions", "e11000 duplicate")


def test_only_literals_that_may_occur_are_left() -> None:
    assert set(Sieve(filed(LITERALS)).candidates("redis.exceptions: nothing")) == {"redis", "exceptions"}


@given(st.lists(st.sampled_from((*LITERALS, "a", "12", "quiet", "\n", "é"))), st.sampled_from((0, 40_000)))
def test_what_occurs_is_always_a_candidate(pieces: list[str], padding: int) -> None:
    text = " ".join(pieces) + " " * padding
    found = set(Sieve(filed(LITERALS)).candidates(text))
    assert {literal for literal in LITERALS if literal in text} <= found


def test_large_texts_are_sieved_by_their_words() -> None:
    text = "all is quiet 1234 " * 4000
    assert set(Sieve(filed(LITERALS)).candidates(text)) <= {"6379", "s3", "레디스"}
    assert "redis" in Sieve(filed(LITERALS)).candidates(text + "ioredis")
