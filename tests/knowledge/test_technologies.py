"""The data as a whole: complete, unambiguous, safe to run, and recognised from its own examples."""

from collections import Counter

import pytest

from warroom_mcp.analyzer import analyze, capabilities_of, technologies
from warroom_mcp.analyzer.patterns import faults, library
from warroom_mcp.knowledge import Kind, Role, Technology, known_technologies

_LEAST_TECHNOLOGIES = 200
# A technology that is known by less than this is known by its name alone.
_LEAST_KINDS = 4
_LEAST_EXAMPLES = 3
_KNOWN = known_technologies()


def test_hundreds_of_technologies_are_known() -> None:
    assert len(technologies()) >= _LEAST_TECHNOLOGIES


def test_expressions_compile_and_neither_capture_nor_repeat_without_bound() -> None:
    assert faults(_KNOWN) == []


def test_every_expression_has_a_literal_that_it_is_found_by() -> None:
    assert [(shape.technology, shape.expression) for shape in library().loose] == []


def test_a_name_belongs_to_one_technology() -> None:
    owners = Counter(name.lower() for each in _KNOWN for name in {each.name, *each.names})

    assert [name for name, count in owners.items() if count > 1] == []


def test_a_technology_leaves_more_traces_than_its_name() -> None:
    thin = [each.name for each in _KNOWN if sum(bool(each.patterns(kind)) for kind in Kind) < _LEAST_KINDS]

    assert thin == []


def test_capabilities_are_single_lower_case_words() -> None:
    words = [word for name in technologies() for word in capabilities_of(name)]

    assert [word for word in words if word != word.lower() or " " in word] == []


def test_those_that_help_are_known_and_nobody_helps_itself() -> None:
    known = {each.name for each in _KNOWN}

    assert [(each.name, other) for each in _KNOWN for other in each.helped_by if other not in known] == []
    assert [each.name for each in _KNOWN if each.name in each.helped_by] == []


def test_every_role_is_taken() -> None:
    assert {each.role for each in _KNOWN} == set(Role)


@pytest.mark.parametrize("technology", _KNOWN, ids=lambda technology: technology.name)
def test_a_technology_is_recognised_from_its_own_examples(technology: Technology) -> None:
    assert len(technology.examples) >= _LEAST_EXAMPLES
    for example in technology.examples:
        assert [need.technology for need in analyze(example).needs][:1] == [technology.name], example
