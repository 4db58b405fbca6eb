"""Large results: a host gets what it takes, and reads on page by page."""

import json
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from tests.server.host import Host, connected, war_room

# Each test starts real processes.
pytestmark = pytest.mark.slow
LIMIT = 64 * 1024


def kept(result: dict[str, Any]) -> str:
    """The address of what was left out."""
    (link,) = [block for block in result["content"] if block["type"] == "resource_link"]
    uri: str = link["uri"]
    return uri


async def large(host: Host, size: int) -> dict[str, Any]:
    await host.own("add_server", candidate_id="npm:rich")
    return await host.call("rich__echo", {"text": "x" * size})


async def test_a_result_within_the_limit_passes_as_it_is(era: str, home: Path) -> None:
    async with connected(era, war_room(home, max_result_bytes=LIMIT)) as host:
        result = await large(host, LIMIT // 2)
        assert [block["type"] for block in result["content"]] == ["text"]
        assert json.loads(result["content"][0]["text"])["arguments"]["text"] == "x" * (LIMIT // 2)


async def test_a_result_over_the_limit_is_handed_out_page_by_page(era: str, home: Path) -> None:
    async with connected(era, war_room(home, max_result_bytes=LIMIT)) as host:
        result = await large(host, 200_000)
        assert len(json.dumps(result)) < LIMIT
        kept_id = kept(result).rpartition("/")[2]
        read, page = "", 1
        while True:
            answer = await host.call(
                "use_tool", {"tool": "warroom__read_result", "arguments": {"id": kept_id, "page": page}}
            )
            assert not answer.get("isError")
            read += answer["content"][0]["text"]
            if len(answer["content"]) == 1:
                break
            page += 1
        assert json.loads(read)["arguments"]["text"] == "x" * 200_000
        assert page > 1


async def test_its_pages_are_resources_as_well(era: str, home: Path) -> None:
    async with connected(era, war_room(home, max_result_bytes=LIMIT)) as host:
        uri = kept(await large(host, 100_000))
        first = (await host.raw("resources/read", {"uri": uri}))["contents"][0]
        assert first["text"].startswith('{"arguments": {"text": "xxx')
        templates = (await host.raw("resources/templates/list"))["resourceTemplates"]
        assert "warroom://results/{id}/{page}" in [one["uriTemplate"] for one in templates]


async def test_a_result_that_is_not_kept_any_more_says_so(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        gone = await host.error("use_tool", tool="warroom__read_result", arguments={"id": "ab" * 16})
        assert gone["code"] == "result_gone"
        with pytest.raises(MCPError):
            await host.raw("resources/read", {"uri": "warroom://results/" + "ab" * 16})


async def test_a_host_that_takes_less_than_the_setting_gets_less(era: str, home: Path) -> None:
    async with connected(era, war_room(home), name="claude-code") as host:
        result = await large(host, 100_000)
        assert len(json.dumps(result)) < 50_000
        assert kept(result)


async def test_nothing_of_it_is_left_when_the_host_has_gone(era: str, home: Path) -> None:
    async with connected(era, war_room(home, max_result_bytes=LIMIT)) as host:
        await large(host, 100_000)
        assert [path for path in (home / "results").rglob("*") if path.is_file()]
    assert not [path for path in (home / "results").rglob("*") if path.is_file()]
