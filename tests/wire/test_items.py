"""Listed items, compared with the SDK's own models: what hosts take is passed on, what they refuse is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import _v2025_11_25 as legacy
from mcp_types import _v2026_07_28 as modern
from pydantic import BaseModel, ValidationError

from warroom_mcp.wire.items import fit

NAMES = {"tool": "Tool", "prompt": "Prompt", "resource": "Resource", "template": "ResourceTemplate"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 7, 1.5, "text", "true", [], ["a"], {}, [{}], {"a": 1}, [1]]
)


def model(kind: str, era: bool) -> type[BaseModel]:
    found: type[BaseModel] = getattr(modern if era else legacy, NAMES[kind])
    return found


def faults(kind: str, item: Any, era: bool) -> list[str]:
    """Why a host that parses with the SDK refuses it; none if it takes it."""
    try:
        model(kind, era).model_validate(item, by_name=False)
    except ValidationError as error:
        return [one["type"] for one in error.errors()]
    return []


def accepted(kind: str, item: Any, era: bool) -> bool:
    """Whether a host that parses with the SDK takes it."""
    return not faults(kind, item, era)


def objects(needed: dict[str, Any], /, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose members are now and then something else."""
    return st.fixed_dictionaries(
        {name: value | ODD for name, value in needed.items()},
        optional={name: value | ODD for name, value in optional.items()},
    )


ICONS = st.lists(
    objects({"src": TEXT}, mimeType=TEXT, sizes=st.lists(TEXT), theme=st.sampled_from(["light", "dark"])),
    max_size=2,
)
NOTES = objects(
    {},
    audience=st.lists(st.sampled_from(["user", "assistant", "x"])),
    priority=st.floats(0, 1),
    lastModified=TEXT,
)
HINTS = objects(
    {},
    title=TEXT,
    readOnlyHint=st.booleans(),
    destructiveHint=st.booleans(),
    idempotentHint=st.booleans(),
    openWorldHint=st.booleans(),
)
SCHEMA = st.fixed_dictionaries(
    {"type": st.just("object") | ODD},
    optional={
        "$schema": TEXT | ODD,
        "properties": st.dictionaries(TEXT, st.just({"type": "string"}) | ODD) | ODD,
        "required": st.lists(TEXT) | ODD,
        "anyOf": JSON,
    },
)
MORE: dict[str, Any] = {
    "title": TEXT,
    "description": TEXT,
    "icons": ICONS,
    "_meta": st.just({}),
    "x-own": JSON,
}
ARGUMENTS = st.lists(objects({"name": TEXT}, description=TEXT, required=st.booleans()), max_size=2)
ITEMS = {
    "tool": objects({"name": TEXT, "inputSchema": SCHEMA}, outputSchema=SCHEMA, annotations=HINTS, **MORE),
    "prompt": objects({"name": TEXT}, arguments=ARGUMENTS, **MORE),
    "resource": objects(
        {"name": TEXT, "uri": TEXT}, mimeType=TEXT, annotations=NOTES, size=st.integers(), **MORE
    ),
    "template": objects({"name": TEXT, "uriTemplate": TEXT}, mimeType=TEXT, annotations=NOTES, **MORE),
}
ERAS = pytest.mark.parametrize("era", [False, True], ids=["legacy", "modern"])


@ERAS
@pytest.mark.parametrize("kind", list(ITEMS))
@given(data=st.data())
def test_what_a_host_takes_is_passed_on_as_it_is(kind: str, era: bool, data: st.DataObject) -> None:
    item = data.draw(ITEMS[kind])
    if accepted(kind, item, era):
        assert fit(kind, item, modern=era) is item


@ERAS
@pytest.mark.parametrize("kind", list(ITEMS))
@given(data=st.data())
def test_what_is_passed_on_is_taken_but_for_words_in_the_place_of_numbers(
    kind: str, era: bool, data: st.DataObject
) -> None:
    passed = fit(kind, data.draw(ITEMS[kind]), modern=era)
    if passed is None:
        return
    # Parsers differ in what they take for a flag or a number; no other difference is let through.
    assert {fault.partition("_")[0] for fault in faults(kind, passed, era)} <= {"bool", "int", "float"}


@ERAS
@given(item=JSON)
def test_nothing_that_is_listed_makes_the_check_fail(era: bool, item: Any) -> None:
    for kind in ITEMS:
        if isinstance(item, dict):
            assert fit(kind, item, modern=era) in (None, item)


OBJECT = {"type": "object"}


@ERAS
@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("tool", {"name": "a"}),
        ("tool", {"inputSchema": OBJECT}),
        ("tool", {"name": 7, "inputSchema": OBJECT}),
        ("tool", {"name": "a", "inputSchema": {}}),
        ("tool", {"name": "a", "inputSchema": {"type": "string"}}),
        ("tool", {"name": "a", "inputSchema": True}),
        ("tool", {"name": "a", "inputSchema": OBJECT, "description": ["a"]}),
        ("tool", {"name": "a", "inputSchema": OBJECT, "icons": [{}]}),
        ("tool", {"name": "a", "inputSchema": OBJECT, "icons": "x.png"}),
        ("tool", {"name": "a", "inputSchema": OBJECT, "annotations": {"readOnlyHint": [True]}}),
        ("tool", {"name": "a", "inputSchema": OBJECT, "_meta": []}),
        ("prompt", {"title": "nameless"}),
        ("prompt", {"name": "a", "arguments": [{}]}),
        ("prompt", {"name": "a", "arguments": {"b": {}}}),
        ("resource", {"uri": "a://b"}),
        ("resource", {"name": "a"}),
        ("resource", {"uri": "a://b", "name": "a", "size": [1]}),
        ("resource", {"uri": "a://b", "name": "a", "annotations": {"audience": ["everybody"]}}),
        ("template", {"name": "a"}),
        ("template", {"name": "a", "uriTemplate": None}),
    ],
)
def test_what_would_cost_a_host_its_whole_list_is_left_out(kind: str, item: Any, era: bool) -> None:
    assert not accepted(kind, item, era)
    assert fit(kind, item, modern=era) is None


@pytest.mark.parametrize("output", [{"type": "array"}, {}, {"type": "object", "required": "a"}])
def test_an_output_schema_that_older_hosts_refuse_is_left_out_for_them_and_the_tool_stays(
    output: dict[str, Any],
) -> None:
    tool = {"name": "a", "inputSchema": OBJECT, "outputSchema": output, "x-own": 1}
    assert fit("tool", tool, modern=True) is tool
    assert fit("tool", tool, modern=False) == {"name": "a", "inputSchema": OBJECT, "x-own": 1}
    assert "outputSchema" in tool
