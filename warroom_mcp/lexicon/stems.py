"""Words of a text as stems: one form for `containers`, `listContainers` and `list_container`."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache

# Words of prose, of snake_case and of camelCase alike; scripts without capital letters stay whole.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_a-zA-Z]+")
_PUNCTUATED = {"c++": "cpp", "c#": "csharp", ".net": "dotnet", "node.js": "nodejs", "next.js": "nextjs"}
_VOWEL = re.compile(r"[aeiouy]")
# Longer runs are keys and blobs, not words.
_LONGEST = 40


def stems(text: str) -> list[str]:
    """The stems of a text in their order, without words that only join, unless there are no others."""
    words = list(_words(text))
    return [stem_of(word) for word in words if word not in _listed("joining")] or [stem_of(w) for w in words]


def _words(text: str) -> Iterator[str]:
    lowered = text.lower()
    for written, word in _PUNCTUATED.items():
        if written in lowered:
            text = re.sub(re.escape(written), f" {word} ", text, flags=re.IGNORECASE)
    for found in _WORD.findall(text):
        if len(found) <= _LONGEST:
            yield found.lower()


@lru_cache(maxsize=65_536)
def stem_of(word: str) -> str:
    """A lower-case word without its grammatical ending.

    A shortened Porter (1980): plurals, -ed and -ing with the repair of what they leave, -ation and its
    kin, final -e and -y. Only what keeps two letters and a vowel is cut.
    """
    if len(word) <= 3 or not word.isascii():
        return word
    word = _plural(word)
    word = _verb(word)
    for ending, instead in _NOUNS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)] + instead
            break
    if word.endswith("e") and len(word) > 4:
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


_NOUNS = (
    ("ization", ""), ("ational", ""), ("fulness", "ful"), ("iveness", "ive"), ("ousness", "ous"),
    ("ation", ""), ("ition", "it"), ("ator", ""), ("ction", "ct"), ("ment", ""), ("ness", ""),
    ("ance", ""), ("ence", ""), ("able", ""), ("ible", ""), ("ical", "ic"), ("ally", "al"), ("er", ""),
    ("or", ""), ("ly", ""), ("al", ""), ("ion", ""), ("ive", ""), ("ize", ""), ("ise", ""), ("ate", ""),
)  # fmt: skip


def _plural(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if word.endswith(("ches", "shes", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _verb(word: str) -> str:
    for ending in ("ing", "ed"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) >= 3 and _VOWEL.search(rest):
            if rest[-1] == rest[-2] and rest[-1] not in "lsz":
                return rest[:-1]
            return rest + "e" if rest.endswith(("at", "bl", "iz")) else rest
    return word


@cache
def _listed(kind: str) -> frozenset[str]:
    """The words of one part of `plain_words.txt`: joining, asking."""
    from importlib.resources import files

    text = files("warroom_mcp.lexicon").joinpath("plain_words.txt").read_text("utf-8")
    parts = dict(part.split("\n", 1) for part in text.split("# ")[1:])
    return frozenset(parts[kind].split())


# What a word in which anything is asked for weighs beside one that tells something.
PLEA = 0.5
PLEAS = frozenset(stem_of(word) for word in _listed("asking"))
