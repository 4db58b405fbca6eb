"""A remote server that wants a person's consent, from the first question to the call: nothing is a stand-in
but the server, its authorization server, and the person.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tests.catalog.memory import Told, candidate
from tests.server.host import Shelf
from tests.standins.authorization import Person, StandInAuthorization, standing_in
from warroom_mcp.approvals import Answer
from warroom_mcp.errors import AuthorizationNeeded
from warroom_mcp.manager.oauth.vault import MemoryVault
from warroom_mcp.models import ChildState, Package, PackageKind, Ticket
from warroom_mcp.settings import Settings
from warroom_mcp.store.index import SqliteIndex
from warroom_mcp.warroom import AsyncWarRoom

pytestmark = pytest.mark.slow


class Administrator:
    """A person who approves everything, and has no browser."""

    administrator = True

    async def ask(self, ticket: Ticket) -> Answer:
        return Answer(True, "a test")


class WithBrowser(Administrator):
    """The same, with a browser: opens the page, and agrees or turns away."""

    def __init__(self, *, agrees: bool = True) -> None:
        self.pages: list[str] = []
        self._agrees = agrees
        self._person = Person()

    async def open(self, url: str, why: str) -> bool:
        self.pages.append(url)
        if self._agrees:
            await self._person(url)
        return self._agrees


@pytest.fixture
async def far() -> AsyncIterator[StandInAuthorization]:
    with anyio.fail_after(60):
        async with standing_in() as standin:
            yield standin


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grants stay in the process: the machine's keyring is none of a test's business."""

    async def vault() -> MemoryVault:
        return MemoryVault()

    monkeypatch.setattr("warroom_mcp.manager.opening.open_vault", vault)


def war_room(home: Path, far: StandInAuthorization) -> AsyncWarRoom:
    """A War Room whose catalog knows the one server."""
    settings = Settings(home=home)
    known = candidate("far", id=f"remote:{far.url}", package=Package(PackageKind.HTTP, far.url))
    room = AsyncWarRoom(settings)
    room._catalog = Shelf(
        settings, room._store, SqliteIndex(settings.index), sources=[Told("shelf", (known,))], curated=False
    )
    return room


async def test_consent_is_asked_for_while_the_server_is_added_and_its_tools_answer(
    far: StandInAuthorization, home: Path
) -> None:
    asker = WithBrowser()
    async with war_room(home, far) as room:
        added = await room.add_server(f"remote:{far.url}", asker=asker)
        assert len(asker.pages) == 1
        assert asker.pages[0].startswith(far.issuer)
        (tool,) = added.tools
        result = await room.call_tool(tool.name, {"number": 21})
    assert result["structuredContent"] == {"result": 42}


async def test_without_a_browser_the_command_is_named_and_nothing_is_added(
    far: StandInAuthorization, home: Path
) -> None:
    async with war_room(home, far) as room:
        with pytest.raises(AuthorizationNeeded) as caught:
            await room.add_server(f"remote:{far.url}", asker=Administrator())
        assert f"warroom authorize remote:{far.url}" in caught.value.hint
        assert await room.list_servers() == ()
        assert await room.authorize(f"remote:{far.url}", WithBrowser()) is not None
        assert (await room.add_server(f"remote:{far.url}", asker=Administrator())).tools


async def test_a_person_who_turns_the_page_away_is_not_asked_again(
    far: StandInAuthorization, home: Path
) -> None:
    asker = WithBrowser(agrees=False)
    async with war_room(home, far) as room:
        with pytest.raises(AuthorizationNeeded):
            await room.add_server(f"remote:{far.url}", asker=asker)
    assert len(asker.pages) == 1
    assert far.tokens == {}


async def test_a_consent_that_is_withdrawn_parks_the_server_until_it_is_given_again(
    far: StandInAuthorization, home: Path
) -> None:
    async with war_room(home, far) as room:
        added = await room.add_server(f"remote:{far.url}", asker=WithBrowser())
        name, tool = added.server.name, added.tools[0].name
        far.revoke(renewals=True)
        with pytest.raises(AuthorizationNeeded):
            await room.call_tool(tool, {"number": 1})
        asked, called = far.total, far.called.total()
        for _ in range(20):
            with pytest.raises(AuthorizationNeeded):
                await room.call_tool(tool, {"number": 1})
        assert (far.total, far.called.total()) == (asked, called)
        (status,) = await room.list_servers()
        assert status.state is ChildState.FAILED
        assert f"warroom authorize {name}" in status.next_step
        await room.authorize(name, WithBrowser())
        assert (await room.call_tool(tool, {"number": 4}))["structuredContent"] == {"result": 8}


async def test_a_removed_server_takes_its_consent_along(far: StandInAuthorization, home: Path) -> None:
    async with war_room(home, far) as room:
        added = await room.add_server(f"remote:{far.url}", asker=WithBrowser())
        vault = await room._manager._opener.vault()
        assert await vault.get(far.url) is not None
        await room.remove_server(added.server.name)
    assert await vault.get(far.url) is None
