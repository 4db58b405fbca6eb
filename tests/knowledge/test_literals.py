"""The literals that an expression cannot match without."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warroom_mcp.analyzer.patterns import library
from warroom_mcp.knowledge.literals import required


@pytest.mark.parametrize(
    ("expression", "literals"),
    [
        ("plain text", ("plain text",)),
        ("Back-?off", ("back",)),
        (r"ORA-\d{5}", ("ora-",)),
        ("(?:alpha|beta) gone", (" gone",)),
        ("(?:alpha|betas)", ("alpha", "betas")),
        ("one|two more", ("one", "two more")),
        ("one|[0-9]+", ()),
        (r"[a-z]+\d", ()),
        ("x", ()),
        ("colou?r changed", ("r changed",)),
        ("(?:maybe )?there", ("there",)),
        ("(?:never){0,3}there", ("there",)),
        ("(?:often){2,3}t", ("often",)),
        (r"a\.b\(c", ("a.b(c",)),
        (r"\bword\b", ("word",)),
        (r"\x41bcd", ("bcd",)),
        (r"[^\]x]tail", ("tail",)),
        ("(?!not)this", ("this",)),
        ("(?<=before)this", ("this",)),
        ("(?<!before)this", ("this",)),
        ("go+gle", ("gle",)),
        ("ab{2}cde", ("cde",)),
        (".{0,40}?behind", ("behind",)),
    ],
)
def test_the_longest_literal_that_must_occur_is_found(expression: str, literals: tuple[str, ...]) -> None:
    assert (required(expression) or ((),))[0] == literals


def test_every_other_literal_is_a_group_of_its_own() -> None:
    assert required("(?:a|b)role .{0,9}(?:gone|lost)x{0,3} today") == (
        (" today",),
        ("role ",),
        ("gone", "lost"),
    )
    assert required("this|that") == (("that", "this"),)


_CORE = ("docker", "kubernetes", "postgres", "redis", "kafka", "mysql", "mongodb", "java", "python", "node")
_EXPRESSIONS = [
    expression
    for name in _CORE
    for technology in (library().technologies[name],)
    for expression in (*technology.errors, *technology.weak, *technology.codes)
]


@pytest.mark.parametrize("expression", _EXPRESSIONS[::6])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_match_holds_one_of_the_literals(expression: str, data: st.DataObject) -> None:
    match = data.draw(st.from_regex(re.compile(expression, re.ASCII), fullmatch=True))
    assert required(expression)
    assert all(any(literal in match.lower() for literal in group) for group in required(expression))
