"""The table of everything exposed: names, admission, ranking, change events."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.errors import UnknownTool
from warroom_mcp.events import Events, ToolboxChanged
from warroom_mcp.models import Definitions
from warroom_mcp.toolbox import MAX_NAME, OWN_NAMES, Toolbox, exposed_name


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return {"name": name, "description": description, "inputSchema": schema}


def box(**servers: Definitions) -> Toolbox:
    toolbox = Toolbox(Events())
    for name, definitions in servers.items():
        toolbox.publish(name, definitions)
    return toolbox


def test_a_tool_is_exposed_under_its_servers_name_with_every_field_kept() -> None:
    definition = {**tool("info"), "annotations": {"readOnlyHint": True}, "x-vendor": [1]}
    toolbox = box(redis=Definitions(tools=(definition,)))
    (exposed,) = toolbox.tools()
    assert exposed.definition == {**definition, "name": "redis__info"}


def test_a_withdrawn_server_leaves_nothing_that_can_be_called() -> None:
    toolbox = box(redis=Definitions(tools=(tool("info"),)))
    toolbox.withdraw("redis")
    with pytest.raises(UnknownTool):
        toolbox.resolve("redis__info")


def test_an_unknown_name_is_refused_with_close_names_in_the_hint() -> None:
    toolbox = box(redis=Definitions(tools=(tool("info"),)))
    with pytest.raises(UnknownTool) as caught:
        toolbox.resolve("redis__inof")
    assert "redis__info" in caught.value.hint


def test_a_bare_tool_name_works_only_while_one_server_has_it() -> None:
    toolbox = box(redis=Definitions(tools=(tool("info"),)))
    assert toolbox.resolve("info").server == "redis"
    toolbox.publish("kafka", Definitions(tools=(tool("info"),)))
    with pytest.raises(UnknownTool):
        toolbox.resolve("info")


def test_plain_names_stay_where_they_are_free_and_never_take_one_of_ours() -> None:
    toolbox = Toolbox(Events(), plain=True)
    toolbox.publish("redis", Definitions(tools=(tool("info"), tool("use_tool"))))
    toolbox.publish("kafka", Definitions(tools=(tool("info"), tool("topics"))))
    assert [t.name for t in toolbox.tools()] == ["info", "redis__use_tool", "kafka__info", "topics"]
    assert toolbox.resolve("info").server == "redis"
    toolbox.withdraw("redis")
    assert toolbox.resolve("info").server == "kafka"


def test_the_names_that_are_ours_are_those_of_our_tools() -> None:
    from warroom_mcp.server.tools import OWN_TOOLS

    assert set(OWN_TOOLS) == OWN_NAMES


def test_a_prefixed_name_of_a_removed_server_does_not_reach_anothers_tool() -> None:
    toolbox = box(redis=Definitions(tools=(tool("info"),)), evil=Definitions(tools=(tool("redis__info"),)))
    toolbox.withdraw("redis")
    with pytest.raises(UnknownTool):
        toolbox.resolve("redis__info")


def test_a_template_of_many_expressions_costs_no_time() -> None:
    many = "x://" + "/".join("{a}{b}{c}" for _ in range(20))
    toolbox = box(a=Definitions(templates=({"uriTemplate": many, "name": "many"},)))
    assert toolbox.resource_server("x://" + "y" * 4000) is None


def test_servers_are_appended_and_never_reordered() -> None:
    toolbox = box(b=Definitions(tools=(tool("x"),)), a=Definitions(tools=(tool("y"),)))
    toolbox.publish("b", Definitions(tools=(tool("z"),)))
    assert [t.name for t in toolbox.tools()] == ["b__z", "a__y"]


def test_only_a_real_change_is_told_and_by_kind() -> None:
    events = Events()
    told: list[ToolboxChanged] = []
    events.subscribe(lambda e: told.append(e) if isinstance(e, ToolboxChanged) else None)
    toolbox = Toolbox(events)
    definitions = Definitions(tools=(tool("x"),), resources=({"uri": "a://b", "name": "b"},))
    toolbox.publish("s", definitions)
    toolbox.publish("s", definitions)
    toolbox.withdraw("s")
    toolbox.withdraw("s")
    assert told == [ToolboxChanged("s", frozenset({"tools", "resources"}))] * 2


def test_a_resource_is_routed_by_its_uri_and_then_by_template() -> None:
    toolbox = box(
        a=Definitions(templates=({"uriTemplate": "db://{table}/rows{?limit}", "name": "rows"},)),
        b=Definitions(resources=({"uri": "db://users/rows", "name": "users"},)),
    )
    assert toolbox.resource_server("db://users/rows") == "b"
    assert toolbox.resource_server("db://orders/rows?limit=3") == "a"
    assert toolbox.resource_server("db://orders/x/rows") is None


def test_a_search_weighs_names_over_descriptions_over_arguments() -> None:
    toolbox = box(
        k=Definitions(
            tools=(
                tool("scale", "Scale a deployment"),
                tool("listContainers", "Everything that runs"),
                tool("logs", "Read the logs", container={"type": "string"}),
            )
        )
    )
    assert [t.original for t in toolbox.search(["containers"])] == ["listContainers", "logs"]
    assert toolbox.search(["weather"]) == ()


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-z][a-z0-9-]{0,19}", fullmatch=True), st.text(min_size=1)), unique=True
    )
)
def test_exposed_names_are_unique_and_fit_every_host(pairs: list[tuple[str, str]]) -> None:
    taken: list[str] = []
    for server, original in pairs:
        name = exposed_name(server, original, taken)
        assert name not in taken
        assert re.fullmatch(rf"[A-Za-z0-9_-]{{1,{MAX_NAME}}}", name)
        taken.append(name)
