"""A server that cannot be had: who could stand in for it is said in the same answer."""

from pathlib import Path

import pytest

from tests.server.host import Installer, approve, connected, official, war_room
from warroom_mcp.models import InputPlace, Package, PackageInput, PackageKind

# Each test starts real processes.
pytestmark = pytest.mark.slow
REDIS = "Error: connect ECONNREFUSED 127.0.0.1:6379 at RedisClient (ioredis)"


@pytest.fixture(autouse=True)
def no_installing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warroom_mcp.warroom.Installer", Installer)


def locked(name: str) -> Package:
    """A package that does not start without a secret."""
    token = PackageInput("STAND_IN_TOKEN", InputPlace.ENV, required=True, secret=True)
    return Package(PackageKind.NPM, name, "1.2.3", integrity="sha512-" + "A" * 86 + "==", inputs=(token,))


async def test_the_next_candidate_is_taken_the_one_without_a_new_credential_first(home: Path) -> None:
    broken = official("missing", technologies=("redis",), weekly_downloads=10**6)
    needy = official("needy", technologies=("redis",), package=locked("needy"), weekly_downloads=10**5)
    plain = official("rich", technologies=("redis",), weekly_downloads=10**4)
    async with connected("legacy", war_room(home, broken, needy, plain), form=approve) as host:
        incident = await host.own("handle_incident", problem=REDIS)
        assert [one["candidate_id"] for one in incident["ready"]] == ["npm:rich"]
        assert [one["candidate_id"] for one in incident["failed"]] == ["npm:missing"]


async def test_an_addition_that_fails_names_the_others_and_what_they_need(home: Path) -> None:
    broken = official("missing", technologies=("redis",), weekly_downloads=10**6)
    needy = official("needy", technologies=("redis",), package=locked("needy"), weekly_downloads=10**5)
    plain = official("rich", technologies=("redis",), weekly_downloads=10**4)
    async with connected("legacy", war_room(home, broken, needy, plain), form=approve) as host:
        await host.own("find_servers", query=REDIS, limit=5)
        error = await host.error("add_server", candidate_id="npm:missing")
        assert error["code"] == "install_failed"
        others = [(one["candidate_id"], one["needs"]) for one in error["details"]["instead"]]
        assert others == [("npm:rich", []), ("npm:needy", ["STAND_IN_TOKEN"])]


async def test_a_call_whose_server_no_longer_starts_names_the_others(home: Path) -> None:
    first = official("rich", technologies=("redis",), weekly_downloads=10**6)
    other = official("ok", technologies=("redis",), weekly_downloads=10**4)
    room = war_room(home, first, other)
    async with connected("legacy", room, form=approve) as host:
        await host.own("handle_incident", problem=REDIS)
        (child,) = room.running()
        child.stop()
        await child.over.wait()
        room._manager._waker._installer = _Gone()  # type: ignore[assignment]  # it never returns
        answer = await host.call("rich__look")
        assert answer["isError"]
        error = answer["structuredContent"]["error"]
        assert [one["candidate_id"] for one in error["details"]["instead"]] == ["npm:ok"]


class _Gone:
    async def install(self, package: Package) -> None:
        from warroom_mcp.errors import InstallFailed

        raise InstallFailed("it was taken from the registry")
