"""What the host's model reads: short, complete, and with a next step."""

import json

from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.errors import ApprovalRequired
from warroom_mcp.hosts.route import Route
from warroom_mcp.models import FindResult, SourceReport, SourceState
from warroom_mcp.server import answers
from warroom_mcp.server.answers import Reach
from warroom_mcp.toolbox import Exposed


def exposed(name: str, description: str = "", size: int = 0) -> Exposed:
    definition = {
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "x": "y" * size},
    }
    return Exposed(f"s__{name}", "s", name, definition)


def test_a_result_says_the_same_twice() -> None:
    result = answers.result({"a": "ü", "b": [1]})
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"] == {"a": "ü", "b": [1]}
    assert (result["isError"], result["resultType"]) == (False, "complete")


def test_a_failure_has_code_message_hint_and_details() -> None:
    failed = answers.failure(ApprovalRequired("wait", hint="ask", details={"ticket": "t-1"}))
    assert failed["isError"] is True
    assert failed["structuredContent"]["error"] == {
        "code": "approval_required",
        "message": "wait",
        "hint": "ask",
        "retryable": True,
        "details": {"ticket": "t-1"},
    }


def test_schemas_are_given_until_the_budget_is_spent_and_the_rest_is_named() -> None:
    many = [exposed(f"t{n}", f"Number {n}\nmore", size=answers.SCHEMA_BUDGET // 4) for n in range(6)]
    cards, named = answers.tool_cards(many)
    assert [card["name"] for card in cards] == ["s__t0", "s__t1", "s__t2"]
    assert named == ["s__t3: Number 3", "s__t4: Number 4", "s__t5: Number 5"]


@given(st.lists(st.tuples(st.text(max_size=40), st.integers(0, 30_000)), max_size=12))
def test_every_tool_is_named_whatever_its_size(tools: list[tuple[str, int]]) -> None:
    many = [exposed(f"t{n}", text, size) for n, (text, size) in enumerate(tools)]
    cards, named = answers.tool_cards(many)
    names = [card["name"] for card in cards] + [line.split(":", 1)[0] for line in named]
    assert sorted(names) == sorted(tool.name for tool in many)
    assert len(json.dumps(cards, ensure_ascii=False)) < answers.SCHEMA_BUDGET * 1.1


def test_a_search_names_the_sources_that_did_not_answer() -> None:
    down = SourceReport("npm", SourceState.DOWN, reason="timed out")
    found = answers.found(FindResult((), (down, SourceReport("curated", SourceState.OK, found=3))))
    (row,) = found["sources_not_fresh"]
    assert "npm" in row.values()
    assert "timed out" in json.dumps(row)
    assert "other words" in found["next"]


def test_the_way_to_a_tool_names_a_tool() -> None:
    native = answers.reach([exposed("look")], Reach(Route.NATIVE))
    assert "s__look" in native["how_to_call"]
    other = answers.reach([], Reach())
    assert other["route"] == "use_tool"
    assert "use_tool" in other["how_to_call"]


def test_a_tool_that_the_host_does_not_list_is_not_called_by_its_name() -> None:
    two = [exposed("look"), exposed("see")]
    some = answers.reach(two, Reach(Route.NATIVE, frozenset({"s__look"})))
    assert (some["route"], some["use_tool_only"]) == ("native", ["s__look"])
    assert "call s__see directly" in some["how_to_call"]
    none = answers.reach(two, Reach(Route.NATIVE, frozenset({"s__look", "s__see"})))
    assert none["route"] == "use_tool"
    assert 'tool="s__look"' in none["how_to_call"]
