"""Which tools fit a request."""

from typing import Any

import pytest

from warroom_mcp.toolsearch import ToolSearch, text_of

TOOLS: dict[str, dict[str, Any]] = {
    "fs__list_directory": {"description": "List what is in a directory"},
    "fs__write_file": {"description": "Write text to a file", "inputSchema": {"properties": {"path": {}}}},
    "fs__read_file": {"description": "Read a file"},
    "k8s__pods_list": {"description": "List pods", "inputSchema": {"properties": {"namespace": {}}}},
    "k8s__pods_log": {"description": "Show the log of a pod"},
    "web__fill": {"description": "Type into a field of the page"},
    "web__iframe_fill": {"description": "Type into a field of a frame inside of the page"},
    "mail__send": {
        "description": "Send a message",
        "inputSchema": {"properties": {"priority": {"enum": ["urgent", "normal"]}}},
    },
}


@pytest.fixture
def search() -> ToolSearch:
    made = ToolSearch()
    for key, definition in TOOLS.items():
        server, _, name = key.partition("__")
        made.put(key, text_of(name, definition, server))
    return made


@pytest.mark.parametrize(
    ("request_", "tool"),
    [
        ("which pods are there", "k8s__pods_list"),
        ("show me the contents of the folder", "fs__list_directory"),
        ("save this to /srv/notes.md", "fs__write_file"),
        ("fill the form field", "web__fill"),
        ("deliver an urgent email", "mail__send"),
        ("namespace", "k8s__pods_list"),
    ],
)
def test_a_tool_is_found_by_other_words_for_what_it_does(
    search: ToolSearch, request_: str, tool: str
) -> None:
    assert search.search([request_], 3)[0] == tool


def test_several_requests_take_turns(search: ToolSearch) -> None:
    found = search.search(["the log of a pod", "write it to a file", "send it"], 3)
    assert set(found) == {"k8s__pods_log", "fs__write_file", "mail__send"}


def test_a_request_that_hardly_anything_answers_comes_last(search: ToolSearch) -> None:
    found = search.search(["ponder the meaning of a page", "the log of a pod"], 2)
    assert found[0] == "k8s__pods_log"


def test_what_shares_no_word_is_not_found(search: ToolSearch) -> None:
    assert search.search(["weather"], 5) == ()
    assert ToolSearch().search(["pods"], 5) == ()


def test_a_tool_that_is_gone_is_not_found_and_one_that_changed_is_found_anew(search: ToolSearch) -> None:
    search.drop("k8s__pods_log")
    search.put("k8s__pods_list", text_of("nodes_list", {"description": "List nodes"}, "k8s"))
    assert search.search(["pods"], 5) == ()
    assert search.search(["nodes"], 5) == ("k8s__pods_list",)
    assert len(search) == len(TOOLS) - 1


def test_a_limit_is_kept_and_nothing_stands_twice(search: ToolSearch) -> None:
    found = search.search(["list read write show the pods files pages and send them"], 4)
    assert len(found) == len(set(found)) == 4


def test_a_schema_of_any_form_is_no_harm() -> None:
    assert text_of("x", {"inputSchema": None}).arguments == ""
    assert text_of("x", {"inputSchema": {"properties": [1]}}).arguments == ""
    assert text_of("x", {"inputSchema": {"properties": {"a": {"enum": [1, "b"]}}}}).arguments == "a b"
