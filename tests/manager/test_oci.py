"""Container images; the engine is played by a script."""

import os
from pathlib import Path

import anyio
import pytest

from tests.manager.stand_ins import program, settings
from warroom_mcp.errors import InstallFailed, IntegrityMismatch, PackageNotFound, RuntimeMissing, WarRoomError
from warroom_mcp.events import Events
from warroom_mcp.manager.install import Installed, Installer
from warroom_mcp.models import LaunchPlan, Package, PackageKind

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are scripts with a first line")

DIGEST = "sha256:" + "0a" * 32
OTHER = "sha256:" + "1b" * 32
IMAGE = Package(PackageKind.OCI, "ghcr.io/acme/mcp-redis", "1.2.3")
ENGINE = """
import json, os, sys
open(os.environ["HOME"] + "/calls", "a").write(" ".join(sys.argv[1:]) + "\\n")
match sys.argv[1]:
    case "info":
        print("28.0")
    case "image":
        print(json.dumps(%r))
"""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


async def install(package: Package = IMAGE) -> Installed:
    with anyio.fail_after(10):
        return await Installer(settings(), Events()).install(package)


async def test_an_image_is_run_by_the_digest_that_its_tag_had(machine: Path) -> None:
    docker = program(
        machine / "bin",
        "docker",
        ENGINE % [f"docker.io/library/x@{OTHER}", f"ghcr.io/acme/mcp-redis@{DIGEST}"],
    )
    made = await install()
    assert made.integrity == DIGEST
    plan = LaunchPlan(
        *("redis", "oci:x", IMAGE),
        arguments=("--host", "db-1"),
        environment={"B": "plain"},
        secrets={"A": "env:A"},
    )
    assert made.command(plan) == (
        *(str(docker), "run", "-i", "--rm", "--init", "--security-opt", "no-new-privileges"),
        *("-e", "A", "-e", "B", f"ghcr.io/acme/mcp-redis@{DIGEST}", "--host", "db-1"),
    )
    assert "DOCKER_HOST" in made.passes
    calls = (machine / "calls").read_text()
    assert "pull --quiet ghcr.io/acme/mcp-redis:1.2.3" in calls
    assert await install() == made
    assert (machine / "calls").read_text() == calls


async def test_an_approved_digest_is_what_is_pulled(machine: Path) -> None:
    program(machine / "bin", "docker", ENGINE % [f"ghcr.io/acme/mcp-redis@{DIGEST}"])
    made = await install(Package(PackageKind.OCI, IMAGE.identifier, "1.2.3", DIGEST))
    assert made.image == f"ghcr.io/acme/mcp-redis@{DIGEST}"
    assert f"pull --quiet ghcr.io/acme/mcp-redis@{DIGEST}" in (machine / "calls").read_text()
    with pytest.raises(IntegrityMismatch):
        await install(Package(PackageKind.OCI, IMAGE.identifier, "1.2.3", OTHER))


async def test_without_an_engine_the_next_step_is_told() -> None:
    with pytest.raises(RuntimeMissing, match="docker: not found"):
        await install()


@pytest.mark.parametrize(
    ("said", "error", "retryable"),
    [
        ("manifest for x not found: manifest unknown", PackageNotFound, False),
        ("pull access denied for x", InstallFailed, False),
        ("dial tcp: i/o timeout", InstallFailed, True),
    ],
)
async def test_the_engines_errors_are_told_apart(
    machine: Path, said: str, error: type[WarRoomError], retryable: bool
) -> None:
    refuse = f"import sys\nif sys.argv[1] == 'pull':\n    sys.exit({said!r})\n"
    program(machine / "bin", "docker", refuse + ENGINE % [])
    with pytest.raises(error) as raised:
        await install()
    assert raised.value.retryable is retryable


@pytest.mark.parametrize("listed", [[], [f"ghcr.io/acme/other@{DIGEST}"], ["no digest"], 5])
async def test_an_image_without_a_digest_of_its_own_is_not_run(machine: Path, listed: object) -> None:
    program(machine / "bin", "docker", ENGINE % (listed,))
    with pytest.raises(InstallFailed, match="no digest"):
        await install()
