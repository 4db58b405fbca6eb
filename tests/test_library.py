"""The synchronous faces: when they start, where they run, how they end."""

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import anyio
import pytest

import warroom_mcp
from tests.cli.fakes import FakeWarRoom
from tests.cli.values import ANALYSIS, CANDIDATE, STATUS
from warroom_mcp import library
from warroom_mcp.errors import StateError, UnknownServer
from warroom_mcp.library import DynamicMCPManager, MCPCatalogSync, WarRoom
from warroom_mcp.models import Analysis
from warroom_mcp.settings import Settings


class _Room(FakeWarRoom):
    """Notes the tasks and threads that it is entered and left in."""

    made: "list[_Room]"

    def __init__(self, settings: Settings | None) -> None:
        super().__init__(settings or Settings())
        self.entered: Any = None
        self.left: Any = None
        self.cancelled = threading.Event()
        self.made.append(self)

    async def __aenter__(self) -> "_Room":
        self.entered = (anyio.get_current_task().id, threading.get_ident())
        await super().__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.left = (anyio.get_current_task().id, threading.get_ident())
        await super().__aexit__(*exc)

    async def analyze_problem(self, problem: str | bytes, *, deep: bool = False) -> Analysis:
        if problem != "interrupt me":
            return await super().analyze_problem(problem)
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.set()
        raise AssertionError


@pytest.fixture(autouse=True)
def rooms(monkeypatch: pytest.MonkeyPatch) -> list[_Room]:
    """Every War Room that a face made."""
    made: list[_Room] = []
    monkeypatch.setattr(_Room, "made", made, raising=False)
    monkeypatch.setattr(library, "AsyncWarRoom", _Room)
    return made


def test_a_face_starts_nothing(rooms: list[_Room]) -> None:
    before = threading.active_count()
    with WarRoom(), DynamicMCPManager(), MCPCatalogSync():
        assert (rooms, threading.active_count()) == ([], before)


def test_it_is_entered_once_and_left_in_the_same_task(rooms: list[_Room]) -> None:
    with WarRoom() as war_room:
        war_room.analyze("redis is down")
        war_room.list_servers()
        assert rooms[0].left is None
    assert len(rooms) == 1
    assert rooms[0].entered == rooms[0].left
    assert rooms[0].entered[1] != threading.get_ident()


def test_closing_twice_is_closing_once(rooms: list[_Room]) -> None:
    war_room = WarRoom()
    war_room.list_servers()
    war_room.close()
    war_room.close()
    with pytest.raises(StateError, match="closed"):
        war_room.list_servers()
    assert len(rooms) == 1


def test_settings_reach_the_war_room(rooms: list[_Room]) -> None:
    settings = Settings()
    with WarRoom(settings) as war_room:
        war_room.list_servers()
    assert rooms[0].settings is settings


def test_errors_come_as_they_are_and_the_face_goes_on() -> None:
    with WarRoom() as war_room:
        with pytest.raises(UnknownServer):
            war_room.remove_server("nobody")
        war_room.remove_server("redis")


def test_an_error_of_the_callers_own_does_not_reach_the_war_room(rooms: list[_Room]) -> None:
    def fails() -> None:
        with WarRoom() as war_room:
            war_room.list_servers()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert rooms[0].left is not None


async def test_inside_of_an_event_loop_it_blocks_and_answers() -> None:
    # A deadlock would be ended by the deadline of the test run: the loop itself stands still here.
    with WarRoom() as war_room:
        assert war_room.analyze("redis is down") is ANALYSIS


def test_several_threads_share_one_war_room(rooms: list[_Room]) -> None:
    with WarRoom() as war_room:
        threads = [threading.Thread(target=war_room.list_servers) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
    assert len(rooms) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal for itself")
def test_an_interruption_cancels_the_work(rooms: list[_Room]) -> None:
    with WarRoom() as war_room:
        with pytest.raises(KeyboardInterrupt):
            war_room.analyze("interrupt me")
        assert rooms[0].cancelled.wait(5)
        assert war_room.list_servers() == (STATUS,)


# --- use cases -----------------------------------------------------------------------------------


def test_each_use_case_is_handed_over(rooms: list[_Room]) -> None:
    with WarRoom() as war_room:
        assert war_room.handle_incident("redis is down", auto_approve=True).added[0].new
        assert rooms[0].asked == {"problem": "redis is down", "auto_approve": True, "asker": None}
        assert war_room.find_servers("redis", limit=3).candidates == (CANDIDATE,)
        assert rooms[0].asked == {"query": "redis", "limit": 3}
        assert war_room.add_server("npm:x", parameters={"a": "b"}).new
        assert rooms[0].asked["parameters"] == {"a": "b"}
        assert war_room.call_tool("redis__get")["isError"] is False
        assert rooms[0].asked == {"name": "redis__get", "arguments": {}}
        assert [tool.name for tool in war_room.find_tools("get")] == ["redis__get"]
        assert war_room.optimize(apply=True)[0].server == "redis"
        assert rooms[0].asked == {"apply": True}


def test_the_status_is_a_table_on_stdout(rooms: list[_Room], capsys: pytest.CaptureFixture[str]) -> None:
    with WarRoom() as war_room:
        war_room.show_status()
        rooms[0].statuses = ()
        war_room.show_status()
    assert capsys.readouterr().out == (
        "server  state   version  tools  calls\nredis   asleep  1.2.3    1      3\nNo server is added yet.\n"
    )


def test_the_manager_handles_problems_and_counts() -> None:
    with DynamicMCPManager() as manager:
        assert manager.handle_problem("redis is down").added
        assert manager.list_servers() == (STATUS,)
        assert manager.get_stats() == {
            "servers": 1,
            "tools": 1,
            "calls": 3,
            "errors": 1,
            "usage": {"redis": {"get": 3}},
        }
        manager.remove_server("redis")


def test_the_catalog_finds_by_keywords(rooms: list[_Room]) -> None:
    with MCPCatalogSync() as catalog:
        found = catalog.search_servers(["redis", "cache"], limit=2)
        assert [(one.name, one.score) for one in found] == [("mcp-server-redis", 60)]
        assert found[0].candidate is CANDIDATE
        assert rooms[0].asked == {"query": "redis cache", "limit": 2}
        catalog.search_servers("redis")
        assert rooms[0].asked["query"] == "redis"


# --- the package ---------------------------------------------------------------------------------


def test_every_public_name_is_there() -> None:
    assert all(getattr(warroom_mcp, name) is not None for name in warroom_mcp.__all__)
    assert set(warroom_mcp.__all__) <= set(dir(warroom_mcp))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = warroom_mcp.nonsense


def test_importing_the_package_loads_nothing_else() -> None:
    code = "import sys, warroom_mcp; print(*[m for m in sys.modules if m.startswith('warroom_mcp')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"warroom_mcp", "warroom_mcp.version"}


def test_a_program_that_forgets_to_close_still_ends_it() -> None:
    code = """
import sys
sys.path.insert(0, ".")
from tests.cli.fakes import FakeWarRoom
from warroom_mcp import library
class Room(FakeWarRoom):
    def __init__(self, settings):
        super().__init__(library.Settings())
    async def __aexit__(self, *exc):
        await super().__aexit__(*exc)
        print("left")
library.AsyncWarRoom = Room
library.WarRoom().list_servers()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("left\n", "")
