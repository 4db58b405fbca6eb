"""BM25F: rare words, heavy fields and short texts count more; documents come and go."""

from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.lexicon.bm25 import Bm25, Field

FIELDS = {"name": Field(3.0, 0.3), "text": Field(1.0, 0.5)}


def made(**documents: tuple[str, str]) -> Bm25[str]:
    index: Bm25[str] = Bm25(FIELDS)
    for key, (name, text) in documents.items():
        index.put(key, {"name": name.split(), "text": text.split()})
    return index


def order(index: Bm25[str], *words: str) -> list[str]:
    scores = index.scores(dict.fromkeys(words, 1.0))
    return sorted(scores, key=lambda key: -scores[key])


def test_a_word_counts_by_its_field() -> None:
    assert order(made(a=("pod", "list"), b=("list", "pod")), "pod") == ["a", "b"]


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    index = made(a=("list pod", ""), b=("list node", ""), c=("list", ""))
    assert order(index, "list", "pod")[0] == "a"
    assert index.rarity("pod") > index.rarity("list") > 0


def test_of_two_texts_with_the_same_word_the_shorter_one_says_more_by_it() -> None:
    assert order(made(a=("", "pod"), b=("", "pod and a lot of other things")), "pod") == ["a", "b"]


def test_nothing_shared_is_nothing_found() -> None:
    assert made(a=("pod", "")).scores({"weather": 1.0}) == {}


def test_a_word_is_also_found_by_what_stands_for_it_and_counted_once() -> None:
    index = made(a=("folder", ""), b=("folder directory", ""))
    scores = index.scores({"directory": 1.0}, lambda word: {"directory": 1.0, "folder": 0.5})
    assert 0 < scores["a"] < scores["b"]
    assert scores["b"] == index.scores({"directory": 1.0})["b"]


Document = tuple[list[str], list[str]] | None
WORDS = st.lists(st.sampled_from("abcd"), max_size=4)
STEPS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.one_of(st.none(), st.tuples(WORDS, WORDS))), max_size=20
)


@given(STEPS)
def test_an_index_that_changed_equals_one_that_was_made_so(steps: list[tuple[str, Document]]) -> None:
    changed: Bm25[str] = Bm25(FIELDS)
    left: dict[str, tuple[list[str], list[str]]] = {}
    for key, document in steps:
        if document is None:
            changed.drop(key)
            left.pop(key, None)
        else:
            name, text = document
            changed.put(key, {"name": name, "text": text})
            left[key] = (name, text)
    fresh: Bm25[str] = Bm25(FIELDS)
    for key, (name, text) in left.items():
        fresh.put(key, {"name": name, "text": text})
    query = dict.fromkeys("abcd", 1.0)
    assert len(changed) == len(fresh) == len(left)
    assert changed.scores(query) == fresh.scores(query)
