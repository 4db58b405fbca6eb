"""Other words for the same thing: what a request calls by one word and a description by another."""

from collections.abc import Mapping
from functools import cache

from warroom_mcp.lexicon.stems import stem_of

# How far another word of its group stands for a word: it is another word after all.
SHARE = 0.45


@cache
def synonyms() -> Mapping[str, tuple[str, ...]]:
    """The other stems of each stem's groups."""
    from importlib.resources import files

    text = files("warroom_mcp.lexicon").joinpath("synonyms.txt").read_text("utf-8")
    found: dict[str, dict[str, None]] = {}
    for line in text.splitlines():
        group = [] if line.startswith("#") else [stem_of(word) for word in line.split()]
        for word in group:
            found.setdefault(word, {}).update(dict.fromkeys(group))
    return {word: tuple(other for other in others if other != word) for word, others in found.items()}


@cache
def expanded(word: str) -> Mapping[str, float]:
    """A stem and those that stand for it, each with how far it does (0..1)."""
    return {**dict.fromkeys(synonyms().get(word, ()), SHARE), word: 1.0}
