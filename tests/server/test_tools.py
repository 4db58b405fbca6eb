"""The nine definitions: what they cost, what they say, what they take."""

import json

import pytest
from mcp_types import Tool
from pydantic import ValidationError

from warroom_mcp.server import tools

DEFINITIONS = {one["name"]: one for one in tools.own_definitions()}


def test_all_definitions_together_stay_below_two_thousand_tokens() -> None:
    text = json.dumps(tools.own_definitions(), ensure_ascii=False, separators=(",", ":"))
    assert len(text) / 4 < 2000
    assert 200 < len(tools.INSTRUCTIONS.encode()) < 2048
    assert "\n\n" not in tools.INSTRUCTIONS


@pytest.mark.parametrize("name", list(tools.OWN_TOOLS))
def test_a_definition_is_valid_described_and_closed(name: str) -> None:
    tool = DEFINITIONS[name]
    Tool.model_validate(tool, by_name=False)
    assert 20 < len(tool["description"]) < 2048
    schema = tool["inputSchema"]
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert "title" not in json.dumps(schema)
    assert tool["_meta"] == {"anthropic/alwaysLoad": True}


def test_annotations_tell_readers_from_those_that_change_things() -> None:
    reading = {name for name, tool in DEFINITIONS.items() if tool["annotations"]["readOnlyHint"]}
    destructive = {name for name, tool in DEFINITIONS.items() if tool["annotations"].get("destructiveHint")}
    assert reading == {"list_servers", "analyze_problem", "find_servers", "find_tools"}
    assert destructive == {"remove_server", "optimize", "use_tool"}


def test_the_first_tool_needs_no_arguments() -> None:
    first = next(iter(tools.OWN_TOOLS))
    tools.OWN_TOOLS[first].model_validate({})
    assert first == tools.own_definitions()[0]["name"]


@pytest.mark.parametrize("name", list(tools.OWN_TOOLS))
@pytest.mark.parametrize(
    "forged", ["approved", "approve", "decision", "ticket", "answered_by", "administrator"]
)
def test_no_tool_takes_an_approval(name: str, forged: str) -> None:
    assert forged not in DEFINITIONS[name]["inputSchema"].get("properties", {})
    with pytest.raises(ValidationError, match=forged):
        tools.OWN_TOOLS[name].model_validate({forged: True})


def test_the_instructions_name_only_tools_that_exist() -> None:
    for name in ("handle_incident", "use_tool", "add_server"):
        assert name in tools.INSTRUCTIONS
        assert name in tools.OWN_TOOLS
