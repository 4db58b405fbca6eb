"""The pattern files as a whole: complete, unambiguous, and with expressions that are safe to run."""

from collections import Counter

from tests.analyzer.test_technologies_operations import EXAMPLES as OPERATIONS
from tests.analyzer.test_technologies_services import EXAMPLES as SERVICES
from warroom_mcp.analyzer import capabilities_of, technologies
from warroom_mcp.analyzer.patterns import Kind, faults, library

_LEAST_TECHNOLOGIES = 90
# A technology that is known by less than this is known by its name alone.
_LEAST_KINDS = 3


def test_many_technologies_are_known() -> None:
    assert len(technologies()) >= _LEAST_TECHNOLOGIES


def test_every_technology_has_an_example() -> None:
    assert set(technologies()) == {*SERVICES, *OPERATIONS}


def test_expressions_compile_and_neither_capture_nor_repeat_without_bound() -> None:
    assert faults(library().technologies.values()) == []


def test_every_expression_has_a_literal_that_it_is_found_by() -> None:
    assert [(shape.technology, shape.expression) for shape in library().loose] == []


def test_a_name_belongs_to_one_technology() -> None:
    owners = Counter(
        name.lower() for each in library().technologies.values() for name in {each.name, *each.names}
    )

    assert [name for name, count in owners.items() if count > 1] == []


def test_a_technology_leaves_more_traces_than_its_name() -> None:
    thin = [
        each.name
        for each in library().technologies.values()
        if sum(bool(each.patterns(kind)) for kind in Kind) < _LEAST_KINDS
    ]

    assert thin == []


def test_capabilities_are_single_lower_case_words() -> None:
    words = [word for name in technologies() for word in capabilities_of(name)]

    assert [word for word in words if word != word.lower() or " " in word] == []
