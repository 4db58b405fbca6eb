"""Results on their way: looked at, put into the other era's shape, and otherwise left as they are."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import _v2025_11_25 as legacy
from mcp_types import _v2026_07_28 as modern
from msgspec import Raw
from pydantic import BaseModel, ValidationError

from tests.wire.test_lines import JSON
from warroom_mcp.wire.codec import encode
from warroom_mcp.wire.results import Look, look, translate

METHODS = {
    "tools/call": "CallToolResult",
    "prompts/get": "GetPromptResult",
    "resources/read": "ReadResourceResult",
    "completion/complete": "CompleteResult",
}
CONTENT = [{"type": "text", "text": "hello"}]
GOOD: dict[str, dict[str, Any]] = {
    "tools/call": {"content": CONTENT},
    "prompts/get": {"messages": [{"role": "user", "content": CONTENT[0]}]},
    "resources/read": {"contents": [{"uri": "a://b", "text": "hello"}]},
    "completion/complete": {"completion": {"values": ["a"]}},
}


def raw(value: Any) -> Raw:
    return Raw(encode(value))


def translated(method: str, result: bytes | Raw, era: bool) -> bytes:
    given = Raw(bytes(result))
    return bytes(translate(method, given, look(method, given), modern=era))


def model(method: str, era: bool) -> type[BaseModel]:
    found: type[BaseModel] = getattr(modern if era else legacy, METHODS[method])
    return found


# --- looking -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*GOOD, "tools/list"])
def test_a_usual_result_is_complete_and_without_fault(method: str) -> None:
    assert look(method, raw(GOOD.get(method, {"tools": []}))) == Look()
    told = look(method, raw({**GOOD.get(method, {}), "resultType": "complete"}))
    assert told == Look(told_kind=True)


@pytest.mark.parametrize(
    ("result", "seen"),
    [
        ({"content": [], "isError": True}, Look(error=True)),
        ({"content": [], "isError": None}, Look()),
        ({"content": [], "structuredContent": {"a": 1}}, Look()),
        ({"content": [], "structuredContent": [1]}, Look(odd_structure=True)),
        ({"content": [], "structuredContent": None}, Look(odd_structure=True)),
        ({"structuredContent": {"a": 1}}, Look(lacks_content=True)),
        ({}, Look(lacks_content=True)),
        ({"resultType": "input_required", "inputRequests": {}}, Look("input_required", told_kind=True)),
        ({"resultType": "task", "task": {}}, Look("task", told_kind=True)),
        ({"task": {"taskId": "a"}}, Look("task")),
        ({"resultType": "of tomorrow"}, Look("of tomorrow", told_kind=True)),
        ({"content": [{"type": "of tomorrow"}]}, Look()),
    ],
)
def test_a_result_of_a_call_is_seen_as_what_it_is(result: dict[str, Any], seen: Look) -> None:
    assert look("tools/call", raw(result)) == seen


@pytest.mark.parametrize("gap", [b"", b" ", b"\n\t "])
def test_white_space_makes_no_difference(gap: bytes) -> None:
    text = b'{ "content" :%s[] , "structuredContent" :%s{} }' % (gap, gap)
    assert look("tools/call", Raw(text)) == Look()


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("tools/call", []),
        ("tools/call", "text"),
        ("tools/call", None),
        ("tools/call", {"content": "text"}),
        ("tools/call", {"content": {}}),
        ("tools/call", {"content": ["text"]}),
        ("tools/call", {"content": [{"text": "no type"}]}),
        ("tools/call", {"content": [{"type": "text"}]}),
        ("tools/call", {"content": [{"type": "text", "text": 7}]}),
        ("tools/call", {"content": [{"type": "text", "text": None}]}),
        ("tools/call", {"content": [{"type": "image", "mimeType": "image/png"}]}),
        ("tools/call", {"content": [{"type": "resource"}]}),
        ("tools/call", {"content": [{"type": "resource", "resource": "a://b"}]}),
        ("tools/call", {"content": [{"type": "resource_link", "name": "a"}]}),
        ("tools/call", {"content": [*CONTENT, {"type": "text"}]}),
        ("prompts/get", {}),
        ("prompts/get", {"messages": "text"}),
        ("prompts/get", {"messages": [{"content": CONTENT[0]}]}),
        ("prompts/get", {"messages": [{"role": "user"}]}),
        ("resources/read", {}),
        ("resources/read", {"contents": [{"text": "of nothing"}]}),
        ("completion/complete", {"completion": []}),
        ("completion/complete", {}),
    ],
)
def test_what_a_host_cannot_read_is_a_fault_in_words(method: str, result: Any) -> None:
    for era in (True, False):
        with pytest.raises(ValidationError):
            model(method, era).model_validate(
                {**result, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
                if isinstance(result, dict)
                else result
            )
    assert look(method, raw(result)).fault


@given(st.binary(max_size=100) | JSON.map(encode))
def test_no_result_makes_the_look_fail(result: bytes) -> None:
    for method in (*METHODS, "tools/list"):
        assert isinstance(look(method, Raw(result)), Look)


def test_a_question_needs_no_contents() -> None:
    asked = raw({"resultType": "input_required", "inputRequests": {}, "requestState": "s"})
    for method in METHODS:
        assert look(method, asked) == Look("input_required", told_kind=True)


# --- translating ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", list(GOOD))
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("era", [True, False], ids=["modern", "legacy"])
def test_a_result_of_either_era_is_one_of_the_hosts_era(method: str, told: bool, era: bool) -> None:
    given = {**GOOD[method], "x-own": {"kept": 1.0}, "_meta": {"mine": 1}}
    if told:
        given |= {"resultType": "complete"}
    result = json.loads(translated(method, raw(given), era))
    model(method, era).model_validate(result, by_name=False)
    assert ("resultType" in result) is era
    for name in (*GOOD[method], "x-own", "_meta"):
        assert result[name] == given[name]


@pytest.mark.parametrize("method", list(GOOD))
def test_a_result_that_needs_nothing_stays_the_bytes_that_came(method: str) -> None:
    text = encode({**GOOD[method], "n": 1.0}).replace(b'"n":1.0', b'"n" : 1.00000000000000000000000001')
    assert translated(method, text, False) == text
    if method != "resources/read":
        told = text[:-1] + b',"resultType":"complete"}'
        assert translated(method, told, True) == told


def test_numbers_keep_their_digits_also_when_something_is_put_in_or_left_out() -> None:
    text = b'{"content":[],"n":1.00000000000000000000000001,"resultType":"complete","structuredContent":[1]}'
    assert b'"n":1.00000000000000000000000001' in translated("tools/call", text, False)
    bare = b'{"content":[],"n":123456789012345678901234567890e999}'
    assert translated("tools/call", bare, True) == b'{"resultType":"complete",' + bare[1:]


@pytest.mark.parametrize("empty", [b"{}", b"{ }", b" {\n} ", b'{ "a":1}'])
def test_a_result_type_can_be_put_into_any_object(empty: bytes) -> None:
    assert json.loads(translated("ping", empty, True)) == {"resultType": "complete", **json.loads(empty)}


@pytest.mark.parametrize("era", [True, False])
def test_content_that_is_missing_is_empty_content(era: bool) -> None:
    result = json.loads(translated("tools/call", raw({"structuredContent": {"a": 1}}), era))
    assert (result["content"], result["structuredContent"]) == ([], {"a": 1})
    model("tools/call", era).model_validate(result, by_name=False)


@pytest.mark.parametrize("structure", [[1], 7, "text", None, True])
def test_structure_that_is_no_object_reaches_modern_hosts_only(structure: object) -> None:
    given = raw({"content": CONTENT, "structuredContent": structure})
    assert json.loads(translated("tools/call", given, True))["structuredContent"] == structure
    assert json.loads(translated("tools/call", given, False)) == {"content": CONTENT}


def test_what_a_child_says_of_how_long_its_resource_holds_is_kept() -> None:
    given = {**GOOD["resources/read"], "resultType": "complete", "ttlMs": 5000, "cacheScope": "public"}
    assert json.loads(translated("resources/read", raw(given), True)) == given


def test_a_question_passes_to_a_modern_host_byte_for_byte() -> None:
    text = b'{"requestState":"a\\u0062c", "resultType":"input_required","inputRequests":{"k":{"n":1.0}}}'
    for method in ("tools/call", "prompts/get", "resources/read"):
        assert translated(method, text, True) == text


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON))
def test_nothing_is_lost_on_the_way_to_a_modern_host(more: dict[str, Any]) -> None:
    given = {**more, "content": CONTENT}
    given.pop("resultType", None)
    given.pop("task", None)
    given.pop("isError", None)
    result = json.loads(translated("tools/call", raw(given), True))
    assert result.pop("resultType") == "complete"
    assert result == given
