"""Installs a PyPI package into a virtual environment of its own, from wheels only: none of it is run."""

import hashlib
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from anyio import to_thread

from warroom_mcp.errors import InstallFailed, IntegrityMismatch, PackageNotFound, WarRoomError
from warroom_mcp.manager.environment import installer_environment
from warroom_mcp.manager.record import Record, choose_executable, inside
from warroom_mcp.manager.run import Finished, run
from warroom_mcp.manager.runtimes import find_uv
from warroom_mcp.models import Package
from warroom_mcp.settings import Settings

_SCRIPTS = "Scripts" if os.name == "nt" else "bin"
_SUFFIX = ".exe" if os.name == "nt" else ""
_PYTHON = f"venv/{_SCRIPTS}/python{_SUFFIX}"

_DROPPED = frozenset(
    {
        *("UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_VERIFY_HASHES", "UV_SYSTEM_PYTHON", "UV_PYTHON"),
        *("UV_TARGET", "UV_PREFIX", "UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY", "UV_CONSTRAINT"),
        *(
            "UV_OVERRIDE",
            "UV_EXCLUDE",
            "UV_VENV_CLEAR",
            "UV_VENV_SEED",
            "UV_COMPILE_BYTECODE",
            "UV_LINK_MODE",
        ),
    }
)
"""Settings of uv that would change what is installed, where, or whether its digest is checked."""

_WHEELS_ONLY = (
    "Only wheels are installed, because building from source runs the package's code. Choose another "
    "version that has a wheel for this Python and platform, or another candidate."
)


@dataclass(frozen=True, slots=True)
class _Uv:
    """uv, ready to be called in one directory."""

    program: Path
    root: Path
    environment: dict[str, str]

    async def __call__(self, *arguments: str) -> Finished:
        argv = (str(self.program), *arguments, "--quiet", "--no-progress", "--color", "never")
        return await run(argv, env=self.environment, cwd=self.root)


async def install(package: Package, root: Path, settings: Settings) -> Record:
    """Resolve, fetch and unpack one exact version with its dependencies into `root`.

    Raises:
        RuntimeMissing, PackageNotFound, IntegrityMismatch, InstallFailed.
    """
    uv = _Uv(find_uv(), root, _environment())
    (root / "requirements.in").write_text(f"{package.identifier}=={package.version}\n", encoding="utf-8")
    await _make_venv(uv, package, sys.executable)
    lock_bytes = _approved_only(package, await _lock(uv, package, _index(settings)))
    (root / "pylock.toml").write_bytes(lock_bytes)
    locked = _locked(package, lock_bytes)
    wheels = _wheels_of(package, locked)
    flags = ("--require-hashes", "--only-binary", ":all:", "--link-mode", "copy")
    # Copied, not linked: a child that writes to its own files must not reach the shared cache.
    finished = await uv("pip", "install", *flags, *_index(settings), "--python", _PYTHON, "-r", "pylock.toml")
    if finished.code != 0:
        raise _failure(package, finished)
    distribution = await to_thread.run_sync(_distribution, package, root)
    integrity = _came(package, wheels, distribution)
    await _compile(root, uv.environment)
    return Record(
        identifier=package.identifier,
        version=package.version,
        integrity=integrity,
        executables=_scripts(root, distribution),
        lock_digest="sha256:" + hashlib.sha256(lock_bytes).hexdigest(),
        locked=len(locked),
    )


def argv(package: Package, root: Path, record: Record) -> tuple[str, ...]:
    """What starts the package: its console script, which names the environment's own Python.

    Raises: NoExecutable.
    """
    own_name = next((name for name in record.executables if _same_name(name, package.identifier)), "")
    name = choose_executable(record.executables, package, own_name)
    return (str(root / record.executables[name]),)


def is_whole(root: Path) -> bool:
    """Whether the Python that the environment was made with is still there."""
    return (root / _PYTHON).exists()


# --- uv ----------------------------------------------------------------------------------------


def _environment() -> dict[str, str]:
    environment = {k: v for k, v in installer_environment(os.environ).items() if k.upper() not in _DROPPED}
    if "UV_CONFIG_FILE" not in environment:
        # Named, so that uv does not look for one in the project around the state directory.
        settings = _uv_settings(environment)
        environment |= {"UV_CONFIG_FILE": str(settings)} if settings else {"UV_NO_CONFIG": "1"}
    return environment


def _uv_settings(environment: dict[str, str]) -> Path | None:
    """The person's or the machine's settings of uv."""
    person = Path(environment.get("XDG_CONFIG_HOME") or Path(environment["HOME"]) / ".config")
    return next((f for f in (person / "uv/uv.toml", Path("/etc/uv/uv.toml")) if f.is_file()), None)


def _index(settings: Settings) -> tuple[str, ...]:
    """The index, when it was chosen here; otherwise uv's own settings say which."""
    if settings.pypi_url == Settings.model_fields["pypi_url"].default:
        return ()
    return ("--default-index", f"{settings.pypi_url.rstrip('/')}/simple")


async def _make_venv(uv: _Uv, package: Package, python: str) -> None:
    shutil.rmtree(uv.root / "venv", ignore_errors=True)
    finished = await uv("venv", "--no-project", "--no-python-downloads", "--python", python, "venv")
    if finished.code != 0:
        raise InstallFailed(
            f"No environment could be made for {package.identifier} {package.version} with Python {python}:\n"
            f"{finished.last_words}",
            hint="Install a Python of that version; War Room downloads none.",
            retryable=False,
        )


async def _lock(uv: _Uv, package: Package, index: tuple[str, ...]) -> bytes:
    """Resolve everything to exact wheels with digests; with another Python if the package wants one."""
    finished = await _compile_lock(uv, index)
    if wanted := re.search(r"does not satisfy Python([<>=!~0-9.,]+)", finished.stderr):
        await _make_venv(uv, package, wanted[1].rstrip(".,"))
        finished = await _compile_lock(uv, index)
    if finished.code != 0:
        raise _failure(package, finished)
    return (uv.root / "pylock.toml").read_bytes()


async def _compile_lock(uv: _Uv, index: tuple[str, ...]) -> Finished:
    flags = ("--format", "pylock.toml", "--only-binary", ":all:", "--no-header", "--no-annotate")
    return await uv(
        "pip", "compile", *flags, *index, "--python", _PYTHON, "requirements.in", "-o", "pylock.toml"
    )


def _failure(package: Package, finished: Finished) -> WarRoomError:
    exact = f"{package.identifier}=={package.version}"
    said = " ".join(finished.stderr.split()).lower()
    name = re.escape(package.identifier.lower())
    if "hash mismatch" in said:
        return IntegrityMismatch(f"A file that came with {exact} is not what its index announced.")
    if re.search(rf"because {name} was not found|there is no version of {name}\b", said):
        return PackageNotFound(f"The package index does not serve {exact}.")
    if "no usable wheels" in said or "building from source is disabled" in said:
        message = f"{exact}, or something it needs, has no wheel for this Python and platform."
        return InstallFailed(f"{message}\n{finished.last_words}", hint=_WHEELS_ONLY, retryable=False)
    return InstallFailed(
        f"uv could not install {exact}:\n{finished.last_words}",
        retryable="no solution found" not in said,
    )


async def _compile(root: Path, environment: dict[str, str]) -> None:
    """Compile the bytecode now, since a child's first start would wait for it.

    Not by `uv --compile-bytecode`: it starts the new environment's Python in full, and that runs the `.pth`
    files of what was just installed. `-S` leaves them alone. What does not compile stays source.
    """
    python = str(root / _PYTHON)
    await run((python, "-I", "-S", "-m", "compileall", "-q", "-j", "0", "venv"), env=environment, cwd=root)


# --- what is announced, and what came ----------------------------------------------------------


def _locked(package: Package, lock_bytes: bytes) -> list[dict[str, Any]]:
    """The locked packages, each with wheels that have digests."""
    locked: list[dict[str, Any]] = tomllib.loads(lock_bytes.decode()).get("packages", [])
    for entry in locked:
        wheels = entry.get("wheels") or ()
        if not wheels or not all(wheel.get("hashes", {}).get("sha256") for wheel in wheels):
            raise InstallFailed(
                f"{package.identifier} {package.version} needs {entry.get('name')}, for which the index "
                "announces no wheel with a digest.",
                hint=_WHEELS_ONLY,
                retryable=False,
            )
    return locked


def _wheels_of(package: Package, locked: list[dict[str, Any]]) -> dict[str, str]:
    """The top package's announced digests, by file name."""
    for entry in locked:
        if _same_name(entry["name"], package.identifier):
            return {_file_name(wheel): f"sha256:{wheel['hashes']['sha256']}" for wheel in entry["wheels"]}
    raise PackageNotFound(f"The package index does not serve {package.identifier} {package.version}.")


def _file_name(wheel: dict[str, Any]) -> str:
    path = wheel.get("name") or wheel.get("path") or urlsplit(wheel.get("url", "")).path
    return unquote(str(path).rpartition("/")[2])


def _approved_only(package: Package, lock_bytes: bytes) -> bytes:
    """The lock without the top package's wheels that were not approved.

    A publisher may add a wheel to a version at any time, and uv prefers the one for this platform. uv
    writes one wheel a line when there are several.
    """
    wheels = _wheels_of(package, _locked(package, lock_bytes))
    if not package.integrity:
        return lock_bytes
    others = [digest.removeprefix("sha256:") for digest in wheels.values() if digest != package.integrity]
    lines = lock_bytes.decode().splitlines(keepends=True)
    kept = "".join(line for line in lines if not any(other in line for other in others)).encode()
    try:
        left = set(_wheels_of(package, _locked(package, kept)).values())
    except (ValueError, WarRoomError):
        left = set()
    if left != {package.integrity}:
        raise _mismatch(package, wheels)
    return kept


def _came(package: Package, wheels: dict[str, str], distribution: Distribution) -> str | None:
    """The digest of the wheel that was unpacked, told by its tags; None when they are ambiguous."""
    if len(wheels) == 1:
        return next(iter(wheels.values()))
    carried = set(re.findall(r"(?m)^Tag:\s*(\S+)", distribution.read_text("WHEEL") or ""))
    matching = [digest for name, digest in wheels.items() if carried & set(_tags(name))]
    came = matching[0] if len(matching) == 1 else None
    if package.integrity and came != package.integrity:
        raise _mismatch(package, wheels)
    return came


def _tags(file_name: str) -> Iterator[str]:
    """The tags of a wheel's name: `a-1.0-py2.py3-none-any.whl` carries py2-none-any and py3-none-any."""
    parts = file_name.removesuffix(".whl").split("-")[-3:]
    return ("-".join(tag) for tag in product(*(part.split(".") for part in parts)))


def _mismatch(package: Package, wheels: dict[str, str]) -> IntegrityMismatch:
    return IntegrityMismatch(
        f"{package.identifier} {package.version} is not what was approved.",
        details={"approved": package.integrity, "served": sorted(wheels.values())},
    )


def _distribution(package: Package, root: Path) -> Distribution:
    libraries = [str(path) for path in (root / "venv").glob("**/site-packages")]
    for distribution in distributions(path=libraries):
        if _same_name(distribution.name, package.identifier):
            return distribution
    raise InstallFailed(
        f"{package.identifier} was fetched but brought no package of its name.", retryable=False
    )


def _scripts(root: Path, distribution: Distribution) -> dict[str, str]:
    """The console scripts of the package itself, not of what it needs."""
    names = [entry.name for entry in distribution.entry_points.select(group="console_scripts")]
    paths = {name: f"venv/{_SCRIPTS}/{name}{_SUFFIX}" for name in names}
    return {name: path for name, path in paths.items() if inside(root, path)}


def _same_name(one: str, other: str) -> bool:
    return _normal(one) == _normal(other)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
