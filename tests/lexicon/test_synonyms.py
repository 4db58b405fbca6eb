"""Other words for the same thing."""

from warroom_mcp.lexicon.stems import stem_of
from warroom_mcp.lexicon.synonyms import SHARE, expanded, synonyms


def test_a_word_stands_for_itself_entirely_and_others_stand_for_it_in_part() -> None:
    found = expanded(stem_of("folder"))
    assert found[stem_of("folder")] == 1.0
    assert found[stem_of("directory")] == SHARE < 1


def test_an_unknown_word_stands_alone() -> None:
    assert expanded("zyx") == {"zyx": 1.0}


def test_standing_for_one_another_goes_both_ways() -> None:
    known = synonyms()
    assert all(word in known[other] for word, others in known.items() for other in others)


def test_no_word_is_its_own_synonym() -> None:
    assert [word for word, others in synonyms().items() if word in others] == []
