"""Literals that a regular expression cannot match without, so that most expressions need not be run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

# Shorter literals occur in every text and would keep nothing out.
_SHORTEST = 2
_ZERO_WIDTH_OR_CLASS = "dDwWsSbBAZntrfv"
# Characters that stand for themselves, and once: most of an expression.
_PLAIN = re.compile(r"[^\\()\[{.^$|?*+]+(?![?*+{])")
_QUANTIFIER = re.compile(r"[?*+]|\{(?P<least>\d*)(?:,\d*)?\}")
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}


def required(expression: str) -> tuple[tuple[str, ...], ...]:
    """Groups of lower-case literals; every match of `expression` holds one of each group.

    The most telling group comes first. Understands the dialect of the pattern files: no capture
    groups, flags or references.
    """
    groups = [group for group in _Reader(expression).groups() if _shortest(group) >= _SHORTEST]
    groups.sort(key=lambda group: (-_shortest(group), sorted(group)))
    return tuple(dict.fromkeys(tuple(sorted(group)) for group in groups))


def _shortest(group: frozenset[str]) -> int:
    return min(map(len, group), default=0)


@dataclass
class _Branch:
    """One alternative on its way through: sets of literals, of each of which one must occur."""

    run: str = ""
    sets: list[frozenset[str]] = field(default_factory=list)

    def end_run(self) -> None:
        if self.run:
            self.sets.append(frozenset((self.run.lower(),)))
        self.run = ""

    def best(self) -> frozenset[str]:
        return max(self.sets, key=_shortest, default=frozenset())


def _any_of(branches: Sequence[_Branch]) -> frozenset[str]:
    """One literal for each alternative; empty when one alternative needs none."""
    found = [branch.best() for branch in branches]
    return frozenset().union(*found) if all(found) else frozenset()


class _Reader:
    """Walks an expression once, from left to right."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._at = 0

    def groups(self) -> list[frozenset[str]]:
        """What the whole expression needs: one literal of each group."""
        branches = self._branches()
        return branches[0].sets if len(branches) == 1 else [_any_of(branches)]

    def _branches(self) -> list[_Branch]:
        """Read up to the end of the group."""
        branches = [_Branch()]
        while self._at < len(self._text) and self._text[self._at] != ")":
            if self._text[self._at] == "|":
                self._at += 1
                branches.append(_Branch())
            else:
                self._item(branches[-1])
        self._at += 1
        for branch in branches:
            branch.end_run()
        return branches

    def _item(self, branch: _Branch) -> None:
        if plain := _PLAIN.match(self._text, self._at):
            branch.run += plain[0]
            self._at = plain.end()
            return
        if self._text[self._at] == "(":
            self._group(branch)
            return
        character = self._character()
        minimum = self._quantifier()
        if character is not None and minimum in (None, 1):
            branch.run += character
        if character is None or minimum is not None:
            branch.end_run()

    def _group(self, branch: _Branch) -> None:
        head = self._text[self._at : self._at + 4]
        looks = head.startswith(("(?=", "(?!", "(?<"))
        self._at += 3 if head.startswith(("(?:", "(?=", "(?!")) else 4 if looks else 1
        inner = _any_of(self._branches())
        branch.end_run()
        if self._quantifier() != 0 and inner and not looks:
            branch.sets.append(inner)

    def _character(self) -> str | None:
        """The next character if it stands for itself, else None (a class, an anchor, a wild card)."""
        character = self._text[self._at]
        self._at += 1
        if character == "[":
            self._class()
            return None
        if character == "\\":
            return self._escaped()
        return None if character in ".^$" else character

    def _class(self) -> None:
        if self._text[self._at : self._at + 1] == "^":
            self._at += 1
        if self._text[self._at : self._at + 1] == "]":
            self._at += 1
        while self._at < len(self._text) and self._text[self._at] != "]":
            self._at += 2 if self._text[self._at] == "\\" else 1
        self._at += 1

    def _escaped(self) -> str | None:
        character = self._text[self._at]
        self._at += 1
        if character in _HEX_DIGITS:
            self._at += _HEX_DIGITS[character]
            return None
        return None if character in _ZERO_WIDTH_OR_CLASS or character.isdigit() else character

    def _quantifier(self) -> int | None:
        """The least number of repeats, 0 or 1 for "one or more"; None when nothing is repeated."""
        match = _QUANTIFIER.match(self._text, self._at)
        if match is None:
            return None
        minimum = 1 if match[0] == "+" or int(match["least"] or 0) > 0 else 0
        self._at = match.end()
        if self._text[self._at : self._at + 1] in ("?", "+"):
            self._at += 1
        return minimum
