"""The first words: what is said to a host of each era, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.server.host import HANDSHAKE, MODERN, connected, war_room
from tests.server.played import Played
from tests.server.wire import PREFIX, Refused, Stage, staged
from warroom_mcp.server import greeting, tools
from warroom_mcp.server.large import RESULT_TEMPLATE
from warroom_mcp.wire.codec import RpcError, encode, fields_of

UI = f"{PREFIX}ui"


def test_the_file_that_is_read_at_the_start_says_what_its_sources_say() -> None:
    said = greeting.introduction()
    assert bytes(said["tools"]) == encode(tools.own_definitions())
    assert bytes(said["templates"]) == encode([RESULT_TEMPLATE])
    assert bytes(said["instructions"]) == encode(tools.INSTRUCTIONS)


async def test_the_handshake_advertises_all_that_children_may_bring(home: Path) -> None:
    async with connected(HANDSHAKE, war_room(home)) as host:
        offers = host.client.server_capabilities.model_dump(by_alias=True, exclude_none=True)
        assert offers["tools"]["listChanged"]
        assert offers["prompts"]["listChanged"]
        assert offers["resources"] == {"listChanged": True, "subscribe": True}
        assert "completions" in offers
        assert "logging" in offers
        assert 0 < len((host.client.instructions or "").encode()) < 2048


async def test_discovery_advertises_all_that_children_may_bring(home: Path) -> None:
    async with connected(MODERN, war_room(home)) as host:
        found = await host.raw("server/discover")
        for kind in ("tools", "prompts", "resources"):
            assert found["capabilities"][kind]["listChanged"]
        assert 0 < len(found["instructions"].encode()) < 2048
        assert found["supportedVersions"] == [MODERN]
        assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 0, "private")
        assert found["_meta"][f"{PREFIX}serverInfo"]["name"] == "war-room"


@pytest.mark.parametrize(
    ("wanted", "spoken"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        (MODERN, None),
    ],
)
async def test_a_handshake_agrees_on_a_version_that_both_speak(
    home: Path, wanted: str, spoken: str | None
) -> None:
    async with staged(home) as stage, stage.host(HANDSHAKE, hello=False) as host:
        hello = await host.get("initialize", protocolVersion=wanted, capabilities={})
        assert hello["protocolVersion"] == (spoken or "2025-11-25")
        assert hello["serverInfo"]["name"] == "war-room"


@pytest.mark.parametrize(
    "params", [{}, {"protocolVersion": 7, "capabilities": {}}, {"protocolVersion": "2025-11-25"}]
)
async def test_a_handshake_that_says_too_little_is_refused(home: Path, params: dict[str, Any]) -> None:
    async with staged(home) as stage, stage.host(HANDSHAKE, hello=False) as host:
        with pytest.raises(Refused) as caught:
            await host.get("initialize", params)
        assert caught.value.code == -32602
        # And may be tried again.
        assert await host.open()


async def test_requests_before_the_handshake_are_refused(home: Path) -> None:
    async with staged(home) as stage, stage.host(HANDSHAKE, hello=False) as host:
        assert await host.get("ping") == {}
        for method in ("tools/list", "tools/call", "no/such"):
            with pytest.raises(Refused, match="initialize") as caught:
                await host.get(method)
            assert caught.value.code == -32602
        await host.open()
        assert len((await host.get("tools/list"))["tools"]) == 9


async def test_a_request_that_is_refused_decides_no_era(home: Path) -> None:
    async with staged(home) as stage, stage.host(HANDSHAKE, hello=False) as host:
        with pytest.raises(Refused):
            await host.get("tools/list")
        host.era = MODERN
        assert await host.open()
        assert len((await host.get("tools/list"))["tools"]) == 9


async def test_a_host_that_says_nothing_of_itself_still_has_shaken_hands(home: Path) -> None:
    async with staged(home) as stage, stage.host(HANDSHAKE, hello=False) as host:
        await host.get("initialize", protocolVersion="2025-11-25", capabilities={})
        assert len((await host.get("tools/list"))["tools"]) == 9


async def test_a_connection_speaks_one_era(home: Path) -> None:
    async with staged(home) as stage:
        async with stage.host(HANDSHAKE) as host:
            host.era = MODERN
            for method in ("tools/list", "server/discover"):
                with pytest.raises(Refused, match="handshake") as caught:
                    await host.get(method)
                assert caught.value.code == -32600
            host.era = HANDSHAKE
            assert await host.get("tools/list")
        async with stage.host(MODERN) as host:
            host.era = HANDSHAKE
            with pytest.raises(Refused, match="version") as caught:
                await host.get("initialize", protocolVersion="2025-11-25", capabilities={})
            assert caught.value.code == -32022
            assert caught.value.data == {"supported": [MODERN], "requested": "2025-11-25"}
            with pytest.raises(Refused, match="protocolVersion") as caught:
                await host.get("tools/list")
            assert caught.value.code == -32602
            host.era = MODERN
            assert await host.get("tools/list")


async def test_a_modern_request_has_to_say_what_it_speaks(home: Path) -> None:
    async with staged(home) as stage, stage.host(MODERN) as host:

        async def refused(**meta: Any) -> Refused:
            with pytest.raises(Refused) as caught:
                await host.get("tools/list", _meta=meta)
            return caught.value

        other = await refused(**{f"{PREFIX}protocolVersion": "2031-01-01"})
        assert (other.code, other.data) == (-32022, {"supported": [MODERN], "requested": "2031-01-01"})
        assert (await refused(**{f"{PREFIX}protocolVersion": 7})).code == -32602
        assert (await refused(**{f"{PREFIX}clientCapabilities": None})).code == -32602
        assert await host.get("tools/list", _meta={f"{PREFIX}clientInfo": "nobody"})


@pytest.mark.parametrize("method", sorted(greeting.HANDSHAKE_METHODS - {"initialize"}))
async def test_a_modern_host_finds_nothing_of_the_handshake_era(home: Path, method: str) -> None:
    async with staged(home) as stage, stage.host(MODERN) as host:
        with pytest.raises(Refused) as caught:
            await host.get(method, level="info", uri="a://b")
        assert caught.value.code == -32601


async def test_an_unknown_method_is_one(era: str, home: Path) -> None:
    async with staged(home) as stage, stage.host(era) as host:
        for method in ("no/such", "x" * 10_000, ""):
            host.send({"id": "x", "method": method, "params": {"_meta": host.meta} if era == MODERN else {}})
            if method:
                assert (await host.message("x"))["error"]["code"] == -32601
        assert await host.get("tools/list")


def test_parameters_of_the_envelope_that_are_no_object_are_an_error() -> None:
    with pytest.raises(RpcError) as caught:
        greeting.check_envelope(fields_of(encode({f"{PREFIX}protocolVersion": MODERN})))
    assert caught.value.code == -32602


# --- what only children bring --------------------------------------------------------------------


async def offers(stage: Stage, era: str, capabilities: dict[str, Any]) -> dict[str, Any]:
    async with stage.host(era, hello=False, capabilities=capabilities) as host:
        found: dict[str, Any] = (await host.open())["capabilities"]
        return found


async def test_extensions_of_children_are_advertised_to_those_who_can_use_them(era: str, home: Path) -> None:
    child = Played(extensions={UI: {"mimeTypes": ["text/html"]}, "org.example/x": {"y": 1}})
    async with staged(home, child=child) as stage:
        plain = await offers(stage, era, {})
        assert plain["extensions"] == {"org.example/x": {"y": 1}}
        able = await offers(stage, era, {"extensions": {UI: {}}})
        assert able["extensions"] == child.capabilities["extensions"]


async def test_tasks_of_the_handshake_era_are_advertised_in_it_alone(home: Path) -> None:
    tasks: dict[str, Any] = {"requests": {"tools": {"call": {}}}, "cancel": {}}
    async with staged(home, child=Played(tasks={"list": {}, **tasks})) as stage:
        assert (await offers(stage, HANDSHAKE, {}))["tasks"] == tasks
        assert "tasks" not in await offers(stage, MODERN, {})
    async with staged(home.parent / "other", child=Played()) as stage:
        assert "tasks" not in await offers(stage, HANDSHAKE, {})
        assert "extensions" not in await offers(stage, HANDSHAKE, {})


async def test_a_log_level_has_to_be_one(home: Path) -> None:
    async with staged(home) as stage, stage.host(HANDSHAKE) as host:
        assert await host.get("logging/setLevel", level="warning") == {}
        for level in ("loud", 3, None):
            with pytest.raises(Refused) as caught:
                await host.get("logging/setLevel", level=level)
            assert caught.value.code == -32602
