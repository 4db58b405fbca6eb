"""npm packages: what they may do while they are installed (nothing), and what is taken of them."""

import base64
import hashlib
import json
import os
from pathlib import Path

import anyio
import pytest

from tests.manager.stand_ins import npm_answers, npm_tarball, program, serving, settings
from warroom_mcp.errors import InstallFailed, IntegrityMismatch, NoExecutable, PackageNotFound, WarRoomError
from warroom_mcp.events import Events
from warroom_mcp.manager.environment import child_environment
from warroom_mcp.manager.install import Installed, Installer
from warroom_mcp.models import Package, PackageKind

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are scripts with a first line")


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own for the real npm, and no second try."""
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")


async def install(package: Package, registry: str | None = None) -> Installed:
    chosen = settings(npm_registry_url=registry) if registry else settings()
    with anyio.fail_after(120):
        return await Installer(chosen, Events()).install(package)


# --- a registry on loopback, the real npm ------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_no_install_script_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three canaries in the package, and a person's npm that would allow scripts."""
    monkeypatch.setenv("npm_config_ignore_scripts", "false")
    canary = tmp_path / "canary"
    scripts = {
        name: f"echo {name} >> {canary}" for name in ("preinstall", "install", "postinstall", "prepare")
    }
    manifest: dict[str, object] = {
        "name": "mcp-canary",
        "version": "1.0.0",
        "bin": "cli.js",
        "scripts": scripts,
    }
    tarball = npm_tarball(manifest, {"cli.js": "#!/usr/bin/env node\nconsole.log('started')\n"})
    answers: dict[str, tuple[str, bytes]] = {}
    with serving(answers) as registry:
        answers |= npm_answers(registry, manifest, tarball)
        made = await install(Package(PackageKind.NPM, "mcp-canary", "1.0.0"), registry)
    assert not canary.exists()
    facts = json.loads((made.root / "installed.json").read_text())
    assert facts["install_scripts"] == ["node_modules/mcp-canary"]
    assert (facts["locked"], facts["without_integrity"]) == (1, 0)
    with anyio.fail_after(30):
        started = await anyio.run_process(made.argv)
    assert started.stdout == b"started\n"


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_another_tarball_under_the_same_version_is_refused(tmp_path: Path) -> None:
    manifest: dict[str, object] = {"name": "mcp-swapped", "version": "1.0.0", "bin": "cli.js"}
    approved = npm_tarball(manifest, {"cli.js": "// good\n"})
    digest = "sha512-" + base64.b64encode(hashlib.sha512(approved).digest()).decode()
    package = Package(PackageKind.NPM, "mcp-swapped", "1.0.0", digest)
    answers: dict[str, tuple[str, bytes]] = {}
    with serving(answers) as registry:
        answers |= npm_answers(registry, manifest, npm_tarball(manifest, {"cli.js": "// evil\n"}))
        with pytest.raises(IntegrityMismatch) as raised:
            await install(package, registry)
    assert raised.value.details["approved"] == digest
    assert not list((tmp_path / "home").rglob("cli.js"))


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_a_tarball_that_is_not_what_the_registry_announced_is_refused() -> None:
    manifest: dict[str, object] = {"name": "mcp-torn", "version": "1.0.0", "bin": "cli.js"}
    answers: dict[str, tuple[str, bytes]] = {}
    with serving(answers) as registry:
        announced = npm_answers(registry, manifest, npm_tarball(manifest, {"cli.js": "// good\n"}))
        served = npm_answers(registry, manifest, npm_tarball(manifest, {"cli.js": "// evil\n"}))
        answers |= {**served, "/mcp-torn": announced["/mcp-torn"]}
        with pytest.raises(IntegrityMismatch, match="announced"):
            await install(Package(PackageKind.NPM, "mcp-torn", "1.0.0"), registry)


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_a_dependency_from_git_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = tmp_path / "canary"
    manifest: dict[str, object] = {
        "name": "mcp-git",
        "version": "1.0.0",
        "bin": "cli.js",
        "dependencies": {"other": "git+https://127.0.0.1:1/other.git"},
    }
    program(tmp_path / "bin", "git", f"open({str(canary)!r}, 'w')\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    answers: dict[str, tuple[str, bytes]] = {}
    with serving(answers) as registry:
        answers |= npm_answers(registry, manifest, npm_tarball(manifest, {"cli.js": ""}))
        with pytest.raises(InstallFailed):
            await install(Package(PackageKind.NPM, "mcp-git", "1.0.0"), registry)
    assert not canary.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_what_the_registry_does_not_have_is_not_found_and_a_dead_registry_is_retryable() -> None:
    with serving({}) as registry, pytest.raises(PackageNotFound, match=r"mcp-none@1\.0\.0"):
        await install(Package(PackageKind.NPM, "mcp-none", "1.0.0"), registry)
    with pytest.raises(InstallFailed) as raised:
        await install(Package(PackageKind.NPM, "mcp-none", "1.0.0"), registry)
    assert raised.value.retryable
    assert raised.value.details["npm_code"] == "ECONNREFUSED"


# --- npm played by a script --------------------------------------------------------------------


def npm_that_leaves(machine: Path, manifest: object, files: dict[str, str]) -> None:
    """An npm that unpacks one package as given; `files` lie in it, `-> x` is a link to x."""
    made = json.dumps({"package.json": json.dumps(manifest), **files})
    body = f"""
import json, os, sys
root = sys.argv[sys.argv.index("--prefix") + 1]
home = root + "/node_modules/p"
os.makedirs(home)
for name, text in json.loads({made!r}).items():
    if text.startswith("-> "):
        os.symlink(text[3:], home + "/" + name)
    else:
        open(home + "/" + name, "w").write(text)
lock = {{"packages": {{"": {{}}, "node_modules/p": {{"version": "1.0.0", "integrity": "sha512-x"}}}}}}
json.dump(lock, open(root + "/package-lock.json", "w"))
"""
    npm_that(machine, body)


def npm_that(machine: Path, body: str) -> None:
    program(machine / "bin", "node", "")
    program(machine / "bin", "npm", body)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


NODE = "#!/usr/bin/env node\n"
P = Package(PackageKind.NPM, "p", "1.0.0")


@pytest.mark.parametrize(
    ("declared", "executable", "file"),
    [
        ("cli.js", None, "cli.js"),
        ({"p": "./cli.js", "q": "other.js"}, None, "cli.js"),
        ({"p": "./cli.js", "q": "other.js"}, "q", "other.js"),
        ({"only": "other.js"}, None, "other.js"),
        ({"one": "cli.js", "two": "./cli.js"}, None, "cli.js"),
    ],
)
async def test_the_executable_is_chosen_as_npx_would(
    machine: Path, declared: object, executable: str | None, file: str
) -> None:
    npm_that_leaves(machine, {"bin": declared}, {"cli.js": NODE, "other.js": "// no first line"})
    made = await install(Package(PackageKind.NPM, "p", "1.0.0", executable=executable))
    assert made.argv == (str(machine / "bin/node"), str(made.root / "node_modules/p" / file))


@pytest.mark.parametrize(
    ("declared", "executable"),
    [
        (None, None),
        ({}, None),
        ("missing.js", None),
        ("../../../../../../../../bin/sh", None),
        ("/bin/sh", None),
        ("link.js", None),
        ("run.sh", None),
        ({"a": "cli.js", "b": "other.js"}, None),
        ({"a": "cli.js"}, "b"),
        (["cli.js"], None),
        ({"a": {"x": 1}}, None),
    ],
)
async def test_what_is_no_node_program_of_the_package_is_not_started(
    machine: Path, declared: object, executable: str | None
) -> None:
    files = {"cli.js": NODE, "other.js": NODE, "link.js": "-> /bin/sh", "run.sh": "#!/bin/sh\n"}
    npm_that_leaves(machine, {"bin": declared}, files)
    with pytest.raises(NoExecutable):
        await install(Package(PackageKind.NPM, "p", "1.0.0", executable=executable))


async def test_the_choices_are_listed(machine: Path) -> None:
    npm_that_leaves(machine, {"bin": {"a": "cli.js", "b": "other.js"}}, {"cli.js": NODE, "other.js": NODE})
    with pytest.raises(NoExecutable, match="a, b") as raised:
        await install(P)
    assert raised.value.details == {"executables": ["a", "b"]}


@pytest.mark.parametrize("manifest", [[], "text", 5])
async def test_a_malformed_manifest_fails_plainly(machine: Path, manifest: object) -> None:
    npm_that_leaves(machine, manifest, {})
    with pytest.raises(InstallFailed, match="malformed"):
        await install(P)


@pytest.mark.parametrize(
    ("said", "error", "retryable"),
    [
        ("npm error code E404\nnpm error 404 'p@1.0.0' could not be found", PackageNotFound, False),
        (
            "npm error code ETARGET\nnpm error notarget No matching version found for p@1.0.0.",
            PackageNotFound,
            False,
        ),
        (
            "npm error code ETARGET\nnpm error notarget No matching version found for q@^9.",
            InstallFailed,
            False,
        ),
        ("npm ERR! code EINTEGRITY", IntegrityMismatch, False),
        ("npm error code ECONNRESET", InstallFailed, True),
        ("npm error code EBADENGINE", InstallFailed, False),
        ("Segmentation fault", InstallFailed, True),
    ],
)
async def test_npms_errors_are_told_apart(
    machine: Path, said: str, error: type[WarRoomError], retryable: bool
) -> None:
    npm_that(machine, f"import sys\nsys.exit({said!r})")
    with pytest.raises(error) as raised:
        await install(P)
    assert raised.value.retryable is retryable


async def test_npms_last_words_are_told_without_credentials(machine: Path) -> None:
    npm_that(machine, "import sys\nsys.exit('npm error request to https://me:s3cret@npm.example/p failed')")
    with pytest.raises(InstallFailed, match=r"npm\.example/p failed") as raised:
        await install(P)
    assert "s3cret" not in raised.value.message


async def test_npm_gets_the_sites_settings_and_no_token(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_cafile", "/ca.pem")
    monkeypatch.setenv("GITHUB_TOKEN", "s3cret")
    npm_that(machine, "import os, sys\nsys.exit(' '.join([*sys.argv, *os.environ]))")
    with pytest.raises(InstallFailed) as raised:
        await install(P, "https://npm.example")
    assert "npm_config_cafile" in raised.value.message
    assert "--registry https://npm.example" in raised.value.message
    assert "--ignore-scripts" in raised.value.message
    assert "GITHUB_TOKEN" not in raised.value.message


# --- the real registry -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.network
async def test_a_real_server_is_installed_and_answers() -> None:
    made = await install(Package(PackageKind.NPM, "@modelcontextprotocol/server-memory", "2026.8.31"))
    assert (made.integrity or "").startswith("sha512-")
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    environment = child_environment({}, {}, home=made.root, base=os.environ)
    with anyio.fail_after(30):
        answered = await anyio.run_process(
            made.argv, input=json.dumps(request).encode() + b"\n", env=environment, check=False
        )
    assert json.loads(answered.stdout.splitlines()[0])["id"] == 1


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "version", "integrity", "error"),
    [
        ("is-number", "7.0.0", None, NoExecutable),
        ("is-number", "7.0.0", "sha512-" + "A" * 86 + "==", IntegrityMismatch),
        ("is-number", "7.0.99", None, PackageNotFound),
        ("@modelcontextprotocol/server-that-does-not-exist", "1.0.0", None, PackageNotFound),
    ],
)
async def test_the_real_registrys_refusals_are_told_apart(
    name: str, version: str, integrity: str | None, error: type[WarRoomError]
) -> None:
    with pytest.raises(error):
        await install(Package(PackageKind.NPM, name, version, integrity))
