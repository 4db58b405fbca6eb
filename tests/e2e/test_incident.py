"""The main job: a problem goes in, a real server is approved and started, its tools answer."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.host import MODES, connected, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    # One worker runs them all, so that each package is installed once.
    pytest.mark.xdist_group("real packages"),
]
ERAS = list(MODES)


@pytest.fixture
def shared_packages(home: Path, packages: Path) -> Path:
    """The state directory of the test, with packages installed once for all of them."""
    home.mkdir(parents=True)
    (home / "packages").symlink_to(packages)
    return home


@pytest.mark.parametrize("era", ERAS)
async def test_a_refused_redis_connection_ends_in_data_from_that_redis(
    era: str, shared_packages: Path, redis_port: int
) -> None:
    with anyio.fail_after(150):
        async with connected(era, shared_packages) as host:
            before = await host.tool_names()
            assert not any("__" in name for name in before)

            answer = await host.own(
                "handle_incident",
                problem=f"Error: connect ECONNREFUSED 127.0.0.1:{redis_port}\n    at RedisClient (ioredis)",
            )
            ready = _only_ready(answer)
            assert ready["candidate_id"] == "pypi:redis-mcp-server"
            assert ready["route"] == "native"

            assert len(host.cards) == 1
            assert "redis-mcp-server==" in host.cards[0]
            assert str(redis_port) in host.cards[0]
            assert host.changes == 1

            prefix = ready["server"] + "__"
            assert {name for name in await host.tool_names() if name.startswith(prefix)}
            stored = await host.call(prefix + "set", {"key": "incident", "value": "seen"})
            assert not stored.is_error
            read = await host.call(prefix + "get", {"key": "incident"})
            assert "seen" in text(read)


@pytest.mark.parametrize("era", ERAS)
async def test_a_missing_postgres_role_ends_in_data_from_that_postgres(
    era: str, shared_packages: Path, postgres_port: int, downloads: dict[str, str]
) -> None:
    problem = (
        f'psql: error: connection to server at "127.0.0.1", port {postgres_port} failed: '
        'FATAL:  role "reporting" does not exist'
    )
    with anyio.fail_after(150):
        async with connected(era, shared_packages, env=downloads) as host:
            answer = await host.own("find_servers", query=problem)
            assert answer["candidates"][0]["for"] == "postgres"
            answer = await host.own("handle_incident", problem=problem)
            ready = _only_ready(answer)
            prefix = ready["server"] + "__"
            result = await host.call(prefix + "query", {"sql": "select 40 + 2 as answer"})
            assert "42" in text(result)


@pytest.mark.parametrize("era", ERAS)
async def test_a_host_that_never_lists_again_reaches_the_tools_through_use_tool(
    era: str, shared_packages: Path, redis_port: int
) -> None:
    with anyio.fail_after(150):
        async with connected(era, shared_packages, relists=False) as host:
            answer = await host.own("handle_incident", problem=f"Redis: ECONNREFUSED 127.0.0.1:{redis_port}")
            ready = _only_ready(answer)
            assert ready["route"] == "use_tool"
            assert all(tool["inputSchema"]["type"] == "object" for tool in ready["tools"])
            result = await host.call("use_tool", {"tool": ready["server"] + "__dbsize", "arguments": {}})
            assert not result.is_error


@pytest.mark.parametrize("era", ERAS)
async def test_a_host_without_forms_gets_a_ticket_that_the_command_line_settles(
    era: str, shared_packages: Path, redis_port: int
) -> None:
    with anyio.fail_after(150):
        async with connected(era, shared_packages, answer=None) as host:
            problem = f"Redis: ECONNREFUSED 127.0.0.1:{redis_port}"
            answer = await host.own("handle_incident", problem=problem)
            waiting = answer["waiting_for_approval"][0]
            assert waiting["code"] == "approval_required"
            ticket = waiting["details"]["ticket"]

            await approve_on_the_command_line(ticket, shared_packages)
            added = await host.own("add_server", candidate_id=waiting["candidate_id"])
            assert added["state"] == "ready"
            assert "admin token" in added["approved_by"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_refusal_starts_nothing_and_is_remembered(era: str, shared_packages: Path) -> None:
    with anyio.fail_after(60):
        async with connected(era, shared_packages, answer="refuse") as host:
            for _ in range(2):
                answer = await host.own("handle_incident", problem="Redis: ECONNREFUSED 127.0.0.1:6379")
                assert [f["code"] for f in answer["failed"]] == ["approval_denied"]
            assert len(host.cards) == 1
            assert (await host.own("list_servers"))["servers"] == []


async def test_a_server_added_before_wakes_at_its_first_call(shared_packages: Path, redis_port: int) -> None:
    with anyio.fail_after(150):
        async with connected("handshake", shared_packages) as host:
            answer = await host.own("handle_incident", problem=f"Redis: ECONNREFUSED 127.0.0.1:{redis_port}")
            server = _only_ready(answer)["server"]
        async with connected("handshake", shared_packages) as host:
            assert server + "__dbsize" in await host.tool_names()
            state = (await host.own("list_servers"))["servers"][0]
            assert state["state"] == "asleep"
            assert not (await host.call(server + "__dbsize")).is_error
            assert (await host.own("list_servers"))["servers"][0]["state"] == "ready"
            assert (await host.own("remove_server", name=server)) == {"removed": server}
            assert server + "__dbsize" not in await host.tool_names()


async def approve_on_the_command_line(ticket: str, home: Path) -> None:
    """What an operator does from a script: the admin token, which only the user's own file holds."""
    import os
    import sys

    token = home / "admin-token"
    if not token.exists():
        token.write_text("of-the-test")
        token.chmod(0o600)
    env = {**os.environ, "WARROOM_HOME": str(home), "WARROOM_ADMIN_TOKEN": token.read_text().strip()}
    argv = [sys.executable, "-m", "warroom_mcp", "approve", ticket]
    done = await anyio.run_process(argv, env=env, check=False)
    assert done.returncode == 0, done.stderr.decode()


def _only_ready(answer: dict[str, Any]) -> dict[str, Any]:
    assert len(answer.get("ready", [])) == 1, json.dumps(answer, indent=1)
    ready: dict[str, Any] = answer["ready"][0]
    return ready
