"""What a child lists: every page, every field, and one bad item spoils nothing."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import Raw

from warroom_mcp.errors import ChildProtocolError
from warroom_mcp.manager import listing
from warroom_mcp.manager.listing import KINDS, Listing, list_offers
from warroom_mcp.models import Definitions
from warroom_mcp.wire.codec import RpcError, encode
from warroom_mcp.wire.peer import ConnectionLost

OBJECT = {"type": "object"}
ALL: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": OBJECT, **more}


class Answers:
    """A child's answers by method: pages in their order, or an error; remembers what it was asked."""

    def __init__(self, answers: Mapping[str, list[Any] | Exception]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, Any]] = []

    async def __call__(self, method: str, params: Mapping[str, Any]) -> Raw:
        self.asked.append((method, dict(params)))
        answer = self._answers.get(method, [{}])
        if isinstance(answer, Exception):
            raise answer
        page = sum(asked == method for asked, _ in self.asked) - 1
        return Raw(encode(answer[min(page, len(answer) - 1)]))


async def listed(
    answers: Mapping[str, list[Any] | Exception], offered: Mapping[str, Any] | None = None
) -> tuple[Listing, Answers]:
    ask = Answers(answers)
    return await list_offers(ask, offered or {"tools": {}}, KINDS, Definitions(instructions="kept")), ask


async def test_only_what_a_child_offers_is_asked_for() -> None:
    found, ask = await listed({"tools/list": [{"tools": [tool("a", **{"x-own": [1.0]})]}]})
    assert ask.asked == [("tools/list", {})]
    assert found.definitions == Definitions(tools=(tool("a", **{"x-own": [1.0]}),), instructions="kept")
    assert found.notes == ()
    _, nothing = await listed({}, {"logging": {}})
    assert nothing.asked == []


async def test_kinds_that_are_not_asked_for_stay_as_they_were() -> None:
    before = Definitions(tools=(tool("old"),), prompts=({"name": "old"},))
    ask = Answers({"prompts/list": [{"prompts": [{"name": "new"}]}]})
    found = await list_offers(ask, ALL, {"prompts"}, before)
    assert found.definitions == Definitions(tools=(tool("old"),), prompts=({"name": "new"},))


async def test_pages_are_followed_with_the_cursor_that_was_given() -> None:
    pages = [
        {"tools": [tool("a")], "nextCursor": "two"},
        {"tools": [tool("b")], "nextCursor": ""},
        {"tools": [tool("c")]},
    ]
    found, ask = await listed({"tools/list": pages})
    assert [one["name"] for one in found.definitions.tools] == ["a", "b", "c"]
    assert [params for _, params in ask.asked] == [{}, {"cursor": "two"}, {"cursor": ""}]


async def test_a_list_without_an_end_is_cut() -> None:
    found, ask = await listed({"tools/list": [{"tools": [tool("a")], "nextCursor": "same"}]})
    assert len(ask.asked) == 2
    assert any("no end" in note for note in found.notes)
    endless = [{"tools": [tool(f"t{n}")], "nextCursor": str(n)} for n in range(200)]
    found, ask = await listed({"tools/list": endless})
    assert len(ask.asked) == len(found.definitions.tools) == listing.PAGES


async def test_a_list_of_very_many_items_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "ITEMS", 10)
    pages = [{"tools": [tool(f"t{n}.{i}") for i in range(7)], "nextCursor": str(n)} for n in range(9)]
    found, ask = await listed({"tools/list": pages})
    assert len(ask.asked) == 2
    assert len(found.definitions.tools) == 10


async def test_ten_thousand_tools_are_taken() -> None:
    found, _ = await listed({"tools/list": [{"tools": [tool(f"t{n}") for n in range(10_000)]}]})
    assert len(found.definitions.tools) == 10_000
    assert found.notes == ()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("text", "no name"),
        (None, "no name"),
        ({"inputSchema": OBJECT}, "no name"),
        ({"name": 7, "inputSchema": OBJECT}, "no name"),
        ({"name": "", "inputSchema": OBJECT}, "no name"),
        ({"name": "bare"}, "no inputSchema"),
        ({"name": "bare", "inputSchema": True}, "no inputSchema"),
        ({"name": "list", "inputSchema": {"type": "array"}}, "not that of an object"),
        (tool("good", title="another"), "twice"),
    ],
)
async def test_a_bad_item_is_left_out_with_a_note_and_the_others_stay(bad: Any, said: str) -> None:
    found, _ = await listed({"tools/list": [{"tools": [tool("good"), bad, tool("fine")]}]})
    assert [one["name"] for one in found.definitions.tools] == ["good", "fine"]
    assert said in found.notes[0]


async def test_there_are_not_more_notes_than_can_be_shown() -> None:
    found, _ = await listed({"tools/list": [{"tools": [{}] * 1000}]})
    assert len(found.notes) == listing.SHOWN_NOTES


@pytest.mark.parametrize("answer", [[{}], [{"tools": {}}], [[]], ["text"], [None]])
async def test_an_answer_that_is_no_list_is_refused(answer: list[Any]) -> None:
    with pytest.raises(ChildProtocolError, match="no list of tools"):
        await listed({"tools/list": answer})


async def test_without_its_tools_a_child_is_of_no_use_and_without_the_rest_it_is() -> None:
    error = RpcError(-32603, "the list is lost")
    with pytest.raises(ChildProtocolError, match="the list is lost"):
        await listed({"tools/list": error})
    found, _ = await listed(
        {
            "tools/list": [{"tools": [tool("a")]}],
            "prompts/list": error,
            "resources/list": [{"resources": [{"uri": "a://b", "name": "b"}, {"name": "lost"}]}],
            "resources/templates/list": RpcError(-32601, "Method not found"),
        },
        ALL,
    )
    assert found.definitions.tools == (tool("a"),)
    assert found.definitions.prompts == found.definitions.templates == ()
    assert found.definitions.resources == ({"uri": "a://b", "name": "b"},)
    assert found.notes == (
        "its prompts cannot be listed: the list is lost",
        "one of its resources was left out: it has no uri",
    )


async def test_the_end_of_the_connection_comes_out_as_it_is() -> None:
    with pytest.raises(ConnectionLost):
        await listed({"tools/list": ConnectionLost("gone")})


async def test_tools_can_be_left_out_afterwards() -> None:
    found, _ = await listed({"tools/list": [{"tools": [tool("a"), tool("b")]}]})
    assert found.without_tools({"a"}).tools == (tool("b"),)
