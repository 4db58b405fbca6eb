"""Nothing gets out that should not: no secret of a problem, and no process of a War Room that is gone."""

import os
import signal
from pathlib import Path

import anyio
import psutil
import pytest

from tests.children.processes import gone, written
from tests.e2e.packages import serve
from tests.e2e.wire import WireHost, wired
from tests.standins.registry import StandInRegistry

pytestmark = pytest.mark.slow

# Made up here; each stands in the problem in another form.
SECRETS = {
    "password in an address": "hunter2Correct7Horse",
    "token": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "cloud key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzKEYzzzzz",
    "bearer": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvcHMifQ.c2lnbmF0dXJlLW9mLXRlc3Rz",
    "variable": "sup3r-s3cret-v4lue",
}
PROBLEM = f"""\
etcdserver: request timed out: https://root:{SECRETS["password in an address"]}@127.0.0.1:2379/v3
git clone https://x-access-token:{SECRETS["token"]}@github.com/a/b failed
AWS_SECRET_ACCESS_KEY={SECRETS["cloud key"]}
Authorization: Bearer {SECRETS["bearer"]}
ETCD_PASSWORD={SECRETS["variable"]}
"""
# Arguments in which a model may put the problem by mistake.
MISTAKEN = {
    "add_server": ["candidate_id"],
    "find_servers": ["problem_id"],
    "remove_server": ["name"],
    "use_tool": ["tool"],
    "handle_incident": ["problem", "auto_approve"],
}


def assert_clean(where: str, data: bytes) -> None:
    """No secret stands in some bytes, whichever way JSON may have written it."""
    for name, secret in SECRETS.items():
        for form in (secret, secret.replace("/", "\\/")):
            assert form.encode() not in data, f"the {name} is in {where}"


@pytest.mark.usefixtures("stocked")
async def test_a_secret_of_the_problem_goes_nowhere(
    home: Path, tmp_path: Path, stand_in: StandInRegistry, offline: dict[str, str]
) -> None:
    """Not into answers, cards, requests, the state directory, logs, or the child's parameters."""
    variables = [
        {"name": "ETCD_URL", "value": "{url}"},
        {"name": "ETCD_ENDPOINT", "value": "{host}:{port}"},
    ]
    serve(stand_in, "etcd", "exits", weekly=9_000_000, environmentVariables=variables)
    serve(stand_in, "etcd", "ok", environmentVariables=variables)
    with anyio.fail_after(60):
        async with wired(home, tmp_path / "stderr", offline) as host:
            await host.own("analyze_problem", problem=PROBLEM)
            await host.own("find_servers", query=PROBLEM)
            await host.own("find_servers", query=f"no word that is known {PROBLEM[-60:]}")
            answer = await host.own("handle_incident", problem=PROBLEM)
            assert answer["ready"][0]["server"] == "etcd-ok"
            for mistake in PROBLEM.splitlines():
                for tool in MISTAKEN:
                    await host.own(tool, **dict.fromkeys(MISTAKEN[tool], mistake))
                given = {"ETCD_URL": mistake.rpartition(" ")[2]}
                if "://" in mistake:
                    await host.own("add_server", candidate_id="npm:mcp-etcd-ok", parameters=given)
            await host.own("list_servers")
            assert host.cards
        assert_clean("a card", "\n".join(host.cards).encode())
        assert_clean("an answer", host.stdout)
    parameters = (home / "run" / "etcd-ok" / "env.json").read_bytes()
    assert b'"ETCD_ENDPOINT":"127.0.0.1:2379"' in parameters
    assert_clean("stderr", (tmp_path / "stderr").read_bytes())
    assert_clean("a request", "\n".join(stand_in.requests).encode())
    files = [file for file in home.rglob("*") if file.is_file()]
    assert {"state.db", "mcp-config.json", "env.json"} <= {file.name for file in files}
    for file in files:
        assert_clean(str(file), file.read_bytes())


async def family(home: Path, name: str) -> set[int]:
    """A child of the kind `family`, and the process that it started."""
    return {int(pid) for pid in (await written(home / "run" / name / "pids")).split()}


async def started(host: WireHost, home: Path, stand_in: StandInRegistry) -> set[int]:
    """The processes of a server that War Room has added."""
    candidate = serve(stand_in, "etcd", "family")
    assert (await host.own("add_server", candidate_id=candidate.id))["state"] == "ready"
    pids = await family(home, "etcd-family")
    assert len(pids) == 2
    assert all(psutil.pid_exists(pid) for pid in pids)
    return pids


@pytest.mark.skipif(os.name == "nt", reason="there is no watchdog on Windows")
@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("ending", ["SIGKILL", "SIGTERM", "end of input"])
async def test_a_war_room_that_ends_leaves_no_process_behind(
    ending: str, home: Path, tmp_path: Path, stand_in: StandInRegistry, offline: dict[str, str]
) -> None:
    with anyio.fail_after(60):
        async with wired(home, tmp_path / "stderr", offline) as host:
            pids = await started(host, home, stand_in)
            if ending in ("SIGKILL", "SIGTERM"):
                host.process.send_signal(signal.Signals[ending])
        await gone(pids, within=10)


@pytest.mark.skipif(os.name == "nt", reason="there is no watchdog on Windows")
async def test_a_war_room_that_is_killed_while_it_installs_leaves_no_process_behind(
    home: Path, tmp_path: Path, stand_in: StandInRegistry, offline: dict[str, str]
) -> None:
    candidate = serve(stand_in, "etcd", "ok")
    with anyio.fail_after(60):
        async with wired(home, tmp_path / "stderr", offline) as host:
            assert (await host.own("find_servers", query="etcd"))["candidates"]
            stand_in.faults = {"npm": "slow"}
            asked = len(stand_in.requests)
            await host.ask("tools/call", {"name": "add_server", "arguments": {"candidate_id": candidate.id}})
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(host.receive)
                # The catalog is renewed meanwhile, so the installer is known by what it asks for.
                while "/mcp-etcd-ok" not in stand_in.requests[asked:]:  # noqa: ASYNC110 - it is another thread
                    await anyio.sleep(0.01)
                installers = {p.pid for p in psutil.Process(host.process.pid).children(recursive=True)}
                assert installers
                tasks.cancel_scope.cancel()
            host.process.send_signal(signal.SIGKILL)
        await gone(installers, within=10)
