"""Values as JSON, and back."""

import dataclasses
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.examples import ANALYSIS, CANDIDATE, PLAN, REMOTE, ticket
from warroom_mcp.models import Analysis, Candidate, Definitions, LaunchPlan, Ticket
from warroom_mcp.store.plain import decode, encode, plain


def test_what_is_encoded_decodes_to_an_equal_value() -> None:
    assert decode(Candidate, encode(CANDIDATE)) == CANDIDATE
    assert decode(Analysis, encode(ANALYSIS)) == ANALYSIS
    assert decode(Ticket, encode(ticket())) == ticket()
    assert decode(LaunchPlan, encode(REMOTE)) == REMOTE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_definitions_keep_every_field_as_it_was_listed(tool: dict[str, object]) -> None:
    definitions = Definitions(tools=(tool,), instructions="read me")
    assert decode(Definitions, encode(definitions)) == definitions


@given(st.text(st.characters(), max_size=20))
def test_any_text_a_registry_may_send_can_be_encoded(text: str) -> None:
    candidate = dataclasses.replace(CANDIDATE, description=text)
    expected = text.encode("utf-8", "replace").decode("utf-8")
    assert decode(Candidate, encode(candidate)).description == expected


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    candidate = dataclasses.replace(CANDIDATE, description="a\ud800b")
    assert decode(Candidate, encode(candidate)).description == "a?b"


def test_read_only_mappings_are_objects() -> None:
    plan = dataclasses.replace(PLAN, environment=MappingProxyType({"A": "1"}))
    assert plain(plan)["environment"] == {"A": "1"}


def test_sets_have_one_order() -> None:
    assert plain(frozenset({"b", "a"})) == ["a", "b"]


def test_what_json_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        plain({"a": b"x"})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}', "null"])
def test_text_that_is_no_such_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode(Candidate, text)
