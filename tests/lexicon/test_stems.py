"""Words become stems: one form for every way to write the same thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.lexicon.stems import PLEAS, stem_of, stems


@pytest.mark.parametrize(
    "written",
    ["containers", "listContainers", "list_container", "list-containers", "Container", "LIST_CONTAINERS"],
)
def test_one_thing_has_one_stem_however_it_is_written(written: str) -> None:
    assert stem_of("container") in stems(written)


@pytest.mark.parametrize(
    ("words", "stem"),
    [
        (("query", "queries"), "queri"),
        (("summarize", "summarizing", "summarized"), "summar"),
        (("process", "processes"), "process"),
        (("run", "running"), "run"),
        (("redis",), "redis"),
        (("status",), "status"),
        (("aws",), "aws"),
    ],
)
def test_grammatical_endings_are_cut(words: tuple[str, ...], stem: str) -> None:
    assert {stem_of(word) for word in words} == {stem}


def test_punctuated_names_are_words() -> None:
    assert stems("C++ and Node.js") == ["cpp", "nodej"]


def test_words_that_only_join_are_left_out_unless_there_are_no_others() -> None:
    assert stems("what is in the pods") == ["pod"]
    assert stems("what is it") == ["what", "is", "it"]


def test_other_scripts_stay_whole() -> None:
    assert stems("파드 재시작 Kubernetes") == ["파드", "재시작", stem_of("kubernetes")]


def test_what_everybody_asks_with_is_known() -> None:
    assert {stem_of("help"), stem_of("please"), stem_of("provide")} <= PLEAS


@given(st.text(max_size=200))
def test_any_text_has_stems_that_are_words(text: str) -> None:
    assert all(stem and stem == stem.lower() and " " not in stem for stem in stems(text))


@given(st.from_regex(r"[a-z]{1,20}", fullmatch=True))
def test_a_stem_keeps_its_beginning_and_is_never_empty(word: str) -> None:
    stem = stem_of(word)
    assert stem
    assert word.startswith(stem[:-1])
