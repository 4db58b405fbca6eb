"""PyPI packages: wheels only, digests checked, nothing of them run while they are installed."""

import hashlib
import json
import os
import sys
from pathlib import Path

import anyio
import pytest

from tests.manager.stand_ins import program, pypi_answers, serving, settings, wheel
from warroom_mcp.errors import InstallFailed, IntegrityMismatch, NoExecutable, PackageNotFound, WarRoomError
from warroom_mcp.events import Events
from warroom_mcp.manager.environment import child_environment
from warroom_mcp.manager.install import Installed, Installer
from warroom_mcp.models import Package, PackageKind

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are scripts with a first line")

SCRIPT = {"clock/__init__.py": "def main():\n    print('started')\n"}
ENTRY = {"mcp_clock-1.0.dist-info/entry_points.txt": "[console_scripts]\nmcp-clock = clock:main\n"}
NAME = "mcp_clock-1.0-py3-none-any.whl"
CLOCK = Package(PackageKind.PYPI, "mcp-clock", "1.0")


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own for the real uv, and no second try."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


async def install(package: Package = CLOCK, index: str | None = None) -> Installed:
    chosen = settings(pypi_url=index) if index else settings()
    with anyio.fail_after(120):
        return await Installer(chosen, Events()).install(package)


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


# --- an index on loopback, the real uv ---------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_nothing_of_a_package_runs_while_it_is_installed(tmp_path: Path) -> None:
    """A `.pth` line runs at every full start of an environment's Python: the first must be the child's."""
    canary = tmp_path / "canary"
    pth = {"zz.pth": f"import pathlib; pathlib.Path({str(canary)!r}).touch()\n"}
    data = wheel("mcp-clock", "1.0", {**SCRIPT, **ENTRY, **pth})
    package = Package(PackageKind.PYPI, "mcp-clock", "1.0", digest_of(data))
    with serving(pypi_answers("mcp-clock", {NAME: data})) as index:
        made = await install(package, index)
    assert not canary.exists()
    assert made.integrity == package.integrity
    assert list(made.root.rglob("clock/__pycache__/*.pyc"))
    with anyio.fail_after(30):
        started = await anyio.run_process(made.argv)
    assert started.stdout == b"started\n"
    assert canary.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_another_wheel_under_the_same_version_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    package = Package(PackageKind.PYPI, "mcp-clock", "1.0", digest_of(b"the one that was approved"))
    data = wheel("mcp-clock", "1.0", {**SCRIPT, **ENTRY})
    answers = pypi_answers("mcp-clock", {NAME: data})
    with serving(answers) as index, pytest.raises(IntegrityMismatch) as raised:
        await install(package, index)
    assert raised.value.details == {"approved": package.integrity, "served": [digest_of(data)]}
    assert not list((tmp_path / "home").rglob("clock"))


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_a_wheel_that_is_not_what_the_index_announced_is_refused() -> None:
    data = wheel("mcp-clock", "1.0", {**SCRIPT, **ENTRY})
    answers = pypi_answers("mcp-clock", {NAME: data})
    answers[f"/files/{NAME}"] = ("application/octet-stream", wheel("mcp-clock", "1.0", {**ENTRY, "x.py": ""}))
    with serving(answers) as index, pytest.raises(IntegrityMismatch):
        await install(CLOCK, index)


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_of_several_wheels_only_the_approved_one_is_installed() -> None:
    """A publisher can add a wheel to a version that was approved, and uv would prefer it on this platform."""
    approved = wheel("mcp-clock", "1.0", {**SCRIPT, **ENTRY})
    added = wheel("mcp-clock", "1.0", {**SCRIPT, **ENTRY, "clock/added.py": ""})
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    files = {f"mcp_clock-1.0-{version}-none-any.whl": added, NAME: approved}
    with serving(pypi_answers("mcp-clock", files)) as index:
        made = await install(Package(PackageKind.PYPI, "mcp-clock", "1.0", digest_of(approved)), index)
    assert made.integrity == digest_of(approved)
    assert not list(made.root.rglob("added.py"))


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_an_approved_wheel_of_another_platform_is_not_replaced_by_one_of_this() -> None:
    foreign = wheel("mcp-clock", "1.0", {**SCRIPT, **ENTRY, "other.py": ""})
    own = wheel("mcp-clock", "1.0", {**SCRIPT, **ENTRY})
    files = {"mcp_clock-1.0-cp399-cp399-win32.whl": foreign, NAME: own}
    with serving(pypi_answers("mcp-clock", files)) as index:
        with pytest.raises(IntegrityMismatch):
            await install(Package(PackageKind.PYPI, "mcp-clock", "1.0", digest_of(foreign)), index)
        made = await install(Package(PackageKind.PYPI, "mcp-clock", "1.0", digest_of(own)), index)
    assert made.integrity == digest_of(own)


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_what_has_only_a_source_archive_is_not_built() -> None:
    answers = pypi_answers("mcp-clock", {"mcp_clock-1.0.tar.gz": b"never read"})
    with serving(answers) as index, pytest.raises(InstallFailed, match="no wheel") as raised:
        await install(CLOCK, index)
    assert "runs the package's code" in raised.value.hint
    assert not raised.value.retryable


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_a_project_around_the_state_directory_has_no_say(tmp_path: Path) -> None:
    """A checked-out repository may not choose which packages there are."""
    (tmp_path / "uv.toml").write_text('exclude-newer = "2001-01-01T00:00:00Z"\n')
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.99"\n'
    )
    data = wheel("mcp-clock", "1.0", {**SCRIPT, **ENTRY})
    with serving(pypi_answers("mcp-clock", {NAME: data})) as index:
        assert (await install(CLOCK, index)).argv[0].endswith("mcp-clock")


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("entries", "executable", "script"),
    [
        ("mcp-clock = clock:main\nother = clock:main", None, "mcp-clock"),
        ("Mcp_Clock = clock:main\nother = clock:main", None, "Mcp_Clock"),
        ("only = clock:main", None, "only"),
        ("a = clock:main\nb = clock:main", "b", "b"),
        ("a = clock:main\nb = clock:main", None, None),
        ("a = clock:main", "b", None),
        ("", None, None),
    ],
)
async def test_the_console_script_is_the_asked_for_the_own_or_the_only_one(
    entries: str, executable: str | None, script: str | None
) -> None:
    points = {"mcp_clock-1.0.dist-info/entry_points.txt": f"[console_scripts]\n{entries}\n"}
    data = wheel("mcp-clock", "1.0", {**SCRIPT, **points})
    package = Package(PackageKind.PYPI, "MCP.Clock", "1.0", executable=executable)
    with serving(pypi_answers("mcp-clock", {NAME: data})) as index:
        if script is None:
            with pytest.raises(NoExecutable):
                await install(package, index)
        else:
            made = await install(package, index)
            assert made.argv == (str(made.root / "venv/bin" / script),)


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_an_environment_whose_python_is_gone_is_made_again() -> None:
    data = wheel("mcp-clock", "1.0", {**SCRIPT, **ENTRY})
    with serving(pypi_answers("mcp-clock", {NAME: data})) as index:
        made = await install(CLOCK, index)
        python = made.root / "venv/bin/python"
        python.unlink()
        python.symlink_to("/nowhere/python")
        assert await install(CLOCK, index) == made
    assert python.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
async def test_what_the_index_does_not_have_is_not_found_and_a_dead_index_is_retryable() -> None:
    with serving({}) as index, pytest.raises(PackageNotFound, match=r"mcp-clock==1\.0"):
        await install(CLOCK, index)
    with pytest.raises(InstallFailed) as raised:
        await install(CLOCK, index)
    assert raised.value.retryable


# --- uv played by a script ---------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


NO_SOLUTION = "error: No solution found when resolving dependencies\n  cause: Because "


@pytest.mark.parametrize(
    ("said", "error", "retryable"),
    [
        (NO_SOLUTION + "mcp-clock was not found in the package registry and you", PackageNotFound, False),
        (NO_SOLUTION + "there is no version of mcp-clock==1.0 and you", PackageNotFound, False),
        (NO_SOLUTION + "other was not found in the package registry and mcp-clock", InstallFailed, False),
        (NO_SOLUTION + "mcp-clock==1.0 has no usable wheels", InstallFailed, False),
        ("error: Hash mismatch for `mcp-clock==1.0`", IntegrityMismatch, False),
        ("error: Failed to fetch: https://pypi.example/simple/mcp-clock/", InstallFailed, True),
        ("Segmentation fault", InstallFailed, True),
    ],
)
async def test_uvs_errors_are_told_apart(
    machine: Path, said: str, error: type[WarRoomError], retryable: bool
) -> None:
    program(machine / "bin", "uv", f"import sys\nif sys.argv[1] == 'pip':\n    sys.exit({said!r})\n")
    with pytest.raises(error) as raised:
        await install()
    assert raised.value.retryable is retryable


async def test_another_python_is_looked_for_when_the_package_wants_one(machine: Path) -> None:
    body = """
import sys
if sys.argv[1] == "pip":
    sys.exit("cause: Because the current Python version (3.11.7) does not satisfy Python>=3.99, and")
if ">=3.99" in sys.argv:
    sys.exit("error: No interpreter found for Python >=3.99")
"""
    program(machine / "bin", "uv", body)
    with pytest.raises(InstallFailed, match=r"Python >=3\.99") as raised:
        await install()
    assert "War Room downloads none" in raised.value.hint
    assert not raised.value.retryable


async def test_uv_gets_the_sites_settings_but_none_that_weaken_the_checks(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(machine))
    monkeypatch.setenv("UV_INDEX_URL", "https://pypi.example/simple")
    monkeypatch.setenv("UV_NO_BINARY", "1")
    monkeypatch.setenv("UV_NO_VERIFY_HASHES", "1")
    monkeypatch.setenv("UV_SYSTEM_PYTHON", "1")
    file = machine / "seen"
    program(
        machine / "bin", "uv", f"import json, os\njson.dump(dict(os.environ), open({str(file)!r}, 'w'))\n"
    )
    (machine / ".config/uv").mkdir(parents=True)
    (machine / ".config/uv/uv.toml").write_text("")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    with pytest.raises(WarRoomError):
        await install()
    seen = json.loads(file.read_text())
    assert seen["UV_INDEX_URL"] == "https://pypi.example/simple"
    assert seen["UV_PYTHON_DOWNLOADS"] == "never"
    assert seen["UV_CONFIG_FILE"] == str(machine / ".config/uv/uv.toml")
    assert not {"UV_NO_BINARY", "UV_NO_VERIFY_HASHES", "UV_SYSTEM_PYTHON"} & set(seen)


@pytest.mark.parametrize(
    "entry",
    [
        'vcs = { type = "git", url = "https://x", commit-id = "1" }',
        'sdist = { url = "https://x/x.tar.gz", hashes = { sha256 = "0" } }',
        'wheels = [{ url = "https://x/other-1.0-py3-none-any.whl", hashes = {} }]',
    ],
)
async def test_a_dependency_without_a_wheel_and_its_digest_is_refused(machine: Path, entry: str) -> None:
    lock = f'lock-version = "1.0"\n[[packages]]\nname = "other"\nversion = "1.0"\n{entry}\n'
    body = f"import sys\nif 'compile' in sys.argv:\n    open('pylock.toml', 'w').write({lock!r})\n"
    program(machine / "bin", "uv", body)
    with pytest.raises(InstallFailed, match="other") as raised:
        await install()
    assert "runs the package's code" in raised.value.hint


# --- the real index ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.network
async def test_a_real_server_is_installed_and_answers() -> None:
    digest = "sha256:5c099a001c6ca78260bda419f2e9b2aabee1adc4fe6ca56d8959871ad8da58a1"
    made = await install(Package(PackageKind.PYPI, "mcp-server-time", "2026.10.19", digest))
    assert made.integrity == digest
    environment = child_environment({}, {}, home=made.root, base=os.environ)
    with anyio.fail_after(30):
        helped = await anyio.run_process([*made.argv, "--help"], env=environment)
    assert b"--local-timezone" in helped.stdout


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "version", "integrity", "error"),
    [
        ("six", "1.17.0", None, NoExecutable),
        ("mcp-server-time", "2026.10.19", "sha256:" + "0" * 64, IntegrityMismatch),
        ("six", "99.0", None, PackageNotFound),
        ("mcp-server-that-does-not-exist", "1.0.0", None, PackageNotFound),
        ("docopt", "0.6.2", None, InstallFailed),
    ],
)
async def test_the_real_indexs_refusals_are_told_apart(
    name: str, version: str, integrity: str | None, error: type[WarRoomError]
) -> None:
    with pytest.raises(error):
        await install(Package(PackageKind.PYPI, name, version, integrity))
