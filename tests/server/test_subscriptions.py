"""Who hears of changes: listen requests under their own ids, hosts with a handshake, watched resources."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.server.host import HANDSHAKE, MODERN
from tests.server.played import Message, Played
from tests.server.wire import PREFIX, Refused, Stage, Wire, staged
from warroom_mcp.models import Definitions
from warroom_mcp.server import subscriptions

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
SUBSCRIPTION = f"{PREFIX}subscriptionId"
DAYS: list[Message] = [{"uri": f"days://{day}", "name": day} for day in ("mon", "tue")]
CHILD_ERAS = pytest.mark.parametrize("modern", [False, True], ids=["old-child", "modern-child"])


async def listen(host: Wire, **wanted: Any) -> tuple[int, Message]:
    """An open listen request, and how it was acknowledged."""
    number = host.post("subscriptions/listen", notifications=wanted)
    return number, await host.hears(ACKNOWLEDGED)


def change(stage: Stage, *kinds: str) -> None:
    """Change what is exposed."""
    items: dict[str, Any] = {
        "tools": ({"name": "act", "inputSchema": {"type": "object"}},),
        "prompts": ({"name": "greet"},),
        "resources": ({"uri": "a://b", "name": "b"},),
    }
    toolbox = stage.gateway.war_room.toolbox
    name = f"s{len(toolbox.servers)}"
    toolbox.publish(name, Definitions(**{kind: items[kind] for kind in kinds}))


# --- listen requests -----------------------------------------------------------------------------


async def test_a_listener_is_acknowledged_first_and_hears_what_it_wants_under_its_own_id(home: Path) -> None:
    async with staged(home) as stage, stage.host(MODERN) as host:
        tools, ack = await listen(host, toolsListChanged=True, promptsListChanged=False, unknown=True)
        assert ack == {"notifications": {"toolsListChanged": True}, "_meta": {SUBSCRIPTION: tools}}
        both, ack = await listen(host, promptsListChanged=True, resourcesListChanged=True)
        assert ack["notifications"] == {"promptsListChanged": True, "resourcesListChanged": True}
        change(stage, "tools", "prompts", "resources")
        assert (await host.hears("notifications/tools/list_changed"))["_meta"] == {SUBSCRIPTION: tools}
        assert (await host.hears("notifications/prompts/list_changed"))["_meta"] == {SUBSCRIPTION: both}
        assert (await host.hears("notifications/resources/list_changed"))["_meta"] == {SUBSCRIPTION: both}
        assert host.told == []
        assert not host.has(tools)


async def test_the_id_of_a_subscription_is_that_of_its_request_to_the_byte(home: Path) -> None:
    async with staged(home) as stage, stage.host(MODERN) as host:
        params = {"notifications": {"toolsListChanged": True}, "_meta": host.meta}
        host.send({"id": 'ä"1"', "method": "subscriptions/listen", "params": params})
        assert (await host.hears(ACKNOWLEDGED))["_meta"][SUBSCRIPTION] == 'ä"1"'


async def test_a_listener_that_left_hears_nothing_more(home: Path) -> None:
    async with staged(home) as stage, stage.host(MODERN) as host:
        first, _ = await listen(host, toolsListChanged=True)
        second, _ = await listen(host, toolsListChanged=True)
        host.cancel(first)
        change(stage, "tools")
        assert (await host.hears("notifications/tools/list_changed"))["_meta"] == {SUBSCRIPTION: second}
        assert host.told == []
        assert not host.has(first)


async def test_a_listener_that_leaves_at_once_is_none(home: Path) -> None:
    async with staged(home) as stage, stage.host(MODERN) as host:
        number = host.post("subscriptions/listen", notifications={"toolsListChanged": True})
        host.cancel(number)
        await anyio.wait_all_tasks_blocked()
        change(stage, "tools")
        kept, _ = await listen(host, toolsListChanged=True)
        await host.hears("notifications/tools/list_changed")
        assert kept
        assert host.told == []


async def test_the_end_closes_every_listener_in_good_order(home: Path) -> None:
    async with staged(home) as stage, stage.host(MODERN) as host:
        number, _ = await listen(host, toolsListChanged=True)
        stage.gateway.subscriptions.close()
        assert await host.result(number) == {"resultType": "complete", "_meta": {SUBSCRIPTION: number}}


@pytest.mark.parametrize("wanted", [None, [], "tools", 7])
async def test_a_listener_has_to_say_what_it_wants(home: Path, wanted: Any) -> None:
    async with staged(home) as stage, stage.host(MODERN) as host:
        with pytest.raises(Refused) as caught:
            await host.get("subscriptions/listen", notifications=wanted)
        assert caught.value.code == -32602


async def test_so_many_listen_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_LISTENERS", 2)
    async with staged(home) as stage, stage.host(MODERN) as host:
        first, _ = await listen(host)
        await listen(host)
        with pytest.raises(Refused, match="Too many"):
            await host.get("subscriptions/listen", notifications={})
        host.cancel(first)
        await listen(host)


async def test_a_host_with_a_handshake_hears_everything_once_it_is_ready(home: Path) -> None:
    async with staged(home) as stage, stage.host(HANDSHAKE, hello=False) as host:
        await host.get("initialize", protocolVersion="2025-11-25", capabilities={})
        change(stage, "tools")
        await anyio.wait_all_tasks_blocked()
        assert host.told == []
        host.send({"method": "notifications/initialized"})
        change(stage, "tools", "prompts")
        await host.hears("notifications/prompts/list_changed")
        assert [one["method"] for one in host.told] == ["notifications/tools/list_changed"]


# --- resources -----------------------------------------------------------------------------------


async def watched(child: Played) -> set[str]:
    """What the child is asked to watch from its next request on."""
    if child.modern:
        request = await child.takes("subscriptions/listen")
        return set(request.params["notifications"].get("resourceSubscriptions", ()))
    return {(await child.takes("resources/subscribe")).params["uri"]}


def updated(child: Played, uri: str) -> None:
    """The child tells of a change."""
    child.tell("notifications/resources/updated", uri=uri, title="x")


@CHILD_ERAS
async def test_a_modern_host_hears_of_the_resources_that_it_listens_for(home: Path, modern: bool) -> None:
    child = Played(modern=modern, resources=DAYS)
    async with staged(home, MODERN, child=child) as stage, stage.host(MODERN) as host:
        if modern:  # it is listened to for its lists already
            assert await watched(child) == set()
        number, ack = await listen(host, resourceSubscriptions=["days://mon", "days://none", 7])
        assert ack["notifications"] == {"resourceSubscriptions": ["days://mon", "days://none"]}
        assert await watched(child) == {"days://mon"}
        updated(child, "days://tue")
        updated(child, "days://mon")
        told = await host.hears("notifications/resources/updated")
        assert (told["uri"], told["_meta"]) == ("days://mon", {SUBSCRIPTION: number})
        assert host.told == []
        host.cancel(number)
        if modern:
            assert await watched(child) == set()
        else:
            assert (await child.takes("resources/unsubscribe")).params == {"uri": "days://mon"}
        updated(child, "days://mon")
        assert host.told == []


@CHILD_ERAS
async def test_a_host_with_a_handshake_subscribes_to_resources(home: Path, modern: bool) -> None:
    child = Played(modern=modern, resources=DAYS)
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        if modern:
            assert await watched(child) == set()
        assert await host.get("resources/subscribe", uri="days://mon") == {}
        assert await watched(child) == {"days://mon"}
        updated(child, "days://tue")
        updated(child, "days://mon")
        assert await host.hears("notifications/resources/updated") == {"uri": "days://mon", "title": "x"}
        assert host.told == []
        assert await host.get("resources/unsubscribe", uri="days://mon") == {}
        if modern:
            assert await watched(child) == set()
        else:
            assert (await child.takes("resources/unsubscribe")).params == {"uri": "days://mon"}
        updated(child, "days://mon")
        assert host.told == []


async def test_a_resource_that_two_hosts_watch_is_watched_until_both_have_left(home: Path) -> None:
    child = Played(resources=DAYS)
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE, "one") as one:
        async with stage.host(HANDSHAKE, "two") as two:
            for host in (one, two):
                await host.get("resources/subscribe", uri="days://mon")
            assert await watched(child) == {"days://mon"}
            assert child.received == []
            updated(child, "days://mon")
            for host in (one, two):
                await host.hears("notifications/resources/updated")
        assert child.received == []
        updated(child, "days://mon")
        await one.hears("notifications/resources/updated")
        assert two.told == []
        await one.get("resources/unsubscribe", uri="days://mon")
        assert (await child.takes("resources/unsubscribe")).params == {"uri": "days://mon"}


async def test_a_child_that_does_not_let_itself_be_watched_says_so(home: Path) -> None:
    child = Played(resources=DAYS)
    refusal: Message = {"code": -32601, "message": "Method not found"}
    child.on["resources/subscribe"] = lambda request: request.over.send({"id": request.id, "error": refusal})
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        with pytest.raises(Refused, match="Method not found"):
            await host.get("resources/subscribe", uri="days://mon")
        updated(child, "days://mon")
        assert host.told == []


async def test_what_is_not_exposed_yet_is_watched_when_it_comes(home: Path) -> None:
    child = Played(resources=DAYS[:1])
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        assert await host.get("resources/subscribe", uri=DAYS[1]["uri"]) == {}
        child.items["resources"] = DAYS
        child.tell("notifications/resources/list_changed")
        assert await watched(child) == {DAYS[1]["uri"]}


async def test_what_is_no_address_cannot_be_watched(home: Path) -> None:
    async with staged(home, child=Played(resources=DAYS)) as stage, stage.host(HANDSHAKE) as host:
        for uri in ("", 7, None):
            with pytest.raises(Refused) as caught:
                await host.get("resources/subscribe", uri=uri)
            assert caught.value.code in (-32602, -32002)


async def test_what_is_not_exposed_any_more_can_be_given_up(home: Path) -> None:
    async with staged(home, child=Played(resources=DAYS)) as stage, stage.host(HANDSHAKE) as host:
        assert await host.get("resources/unsubscribe", uri="days://none") == {}
        with pytest.raises(Refused):
            await host.get("resources/unsubscribe", uri=7)


@pytest.mark.parametrize("modern", [False, True], ids=["old-child", "modern-child"])
async def test_a_child_that_is_listened_to_is_started_and_watched_again_by_itself(
    home: Path, modern: bool
) -> None:
    child = Played(modern=modern, resources=DAYS)
    era = MODERN if modern else HANDSHAKE
    async with staged(home, era, child=child) as stage, stage.host(HANDSHAKE) as host:
        await host.get("resources/subscribe", uri="days://mon")
        method = "subscriptions/listen" if modern else "resources/subscribe"
        for _ in range(2):
            while "days://mon" not in json.dumps((asked := await child.takes(method)).params):
                pass
            asked.over.send({"method": "notifications/resources/updated", "params": {"uri": "days://mon"}})
            await host.hears("notifications/resources/updated")
            asked.over.die()


async def test_an_update_that_says_nothing_is_dropped(home: Path) -> None:
    child = Played(resources=DAYS)
    async with staged(home, child=child) as stage, stage.host(HANDSHAKE) as host:
        await host.get("resources/subscribe", uri="days://mon")
        nothing: list[Any] = [[], {}, {"uri": 7}, "x", None]
        for params in nothing:
            message = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params}
            child.lines[-1].write(json.dumps(message).encode())
        updated(child, "days://mon")
        await host.hears("notifications/resources/updated")
        assert host.told == []


# --- a child's own lists -------------------------------------------------------------------------


@CHILD_ERAS
async def test_a_change_of_a_childs_lists_reaches_hosts_of_both_eras(home: Path, modern: bool) -> None:
    child = Played(modern=modern)
    async with (
        staged(home, child=child) as stage,
        stage.host(HANDSHAKE, "old") as old,
        stage.host(MODERN, "new") as new,
    ):
        number, _ = await listen(new, toolsListChanged=True)
        child.items["tools"].append({"name": "more", "inputSchema": {"type": "object"}})
        child.tell("notifications/tools/list_changed")
        await old.hears("notifications/tools/list_changed")
        assert (await new.hears("notifications/tools/list_changed"))["_meta"] == {SUBSCRIPTION: number}
        for host in (old, new):
            assert (await host.get("tools/list"))["tools"][-1]["name"] == "child__more"
