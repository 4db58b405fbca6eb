"""Makes a package startable: fetched once per exact content, checked, kept apart from all others.

Fetching and starting are separate steps. Nothing of a package runs here.
"""

import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread
from filelock import FileLock, Timeout

from warroom_mcp.errors import InstallFailed, InvalidInput, NoExecutable, StateNotWritable
from warroom_mcp.events import Events, Progress
from warroom_mcp.manager import npm, oci, pypi, record
from warroom_mcp.manager.environment import ENGINE_VARIABLES
from warroom_mcp.manager.naming import check_package
from warroom_mcp.manager.record import Record
from warroom_mcp.models import LaunchPlan, Package, PackageKind
from warroom_mcp.settings import Settings

LOCK_POLL = 0.1
"""Seconds between two tries for a directory that another installation holds."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A package that can be started: `command(plan)` is the whole argument vector.

    `argv` is its beginning and `root` the directory that it lives in. `image` is set for containers, and
    `passes` names the variables that the engine needs besides a child's own environment.
    """

    argv: tuple[str, ...]
    root: Path
    integrity: str | None
    image: str | None = None
    passes: frozenset[str] = frozenset()

    def command(self, plan: LaunchPlan) -> tuple[str, ...]:
        """What is executed for a plan of this package."""
        if self.image is None:
            return (*self.argv, *plan.arguments)
        names = {*plan.environment, *plan.secrets}
        return (*self.argv, *oci.passed(names), self.image, *plan.arguments)


class Installer:
    """Installs packages under the state directory, one at a time per directory, also across processes."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings = settings
        self._events = events

    def directory(self, package: Package) -> Path:
        """Where exactly this content lives; other content never comes to the same place."""
        content = package.integrity or f"{package.identifier}@{package.version}"
        digest = hashlib.sha256(f"{package.identifier}\0{content}".encode()).hexdigest()[:12]
        name = package.identifier.lstrip("@").replace("/", "+").replace(":", "+").replace("@", "+")
        version = (package.version or "digest").replace("!", "-")
        # The real path: npm writes its lock for that, and what is contained is compared by it.
        return self._settings.packages.resolve() / package.kind / name / f"{version}-{digest}"

    async def install(self, package: Package) -> Installed:
        """The package, installed; at once when it already is.

        Raises:
            InvalidInput: no exact package, or a remote one, which needs no installation.
            RuntimeMissing, PackageNotFound, NoExecutable, IntegrityMismatch: see there.
            InstallFailed: retryable unless it would fail again.
            StateNotWritable: the state directory does not take it.
        """
        if package.remote:
            raise InvalidInput(f"{package.identifier} runs elsewhere; there is nothing to install.")
        check_package(package)
        root = self.directory(package)
        if (known := _known(root, package)) is None:
            known = await self._installed_in_time(package, root)
        return _startable(package, root, known)

    async def _installed_in_time(self, package: Package, root: Path) -> Record:
        deadline = self._settings.install_deadline
        try:
            with anyio.fail_after(deadline):
                self._tell(package, "waiting for its turn", 0.0)
                async with _alone(root):
                    return _known(root, package) or await self._install(package, root)
        except TimeoutError:
            raise InstallFailed(
                f"{package.identifier} was not installed within {deadline:g} s.",
                hint="Check the network, or raise WARROOM_INSTALL_DEADLINE, and try again.",
            ) from None
        except OSError as error:
            raise StateNotWritable(
                f"{package.identifier} could not be installed below {self._settings.packages}: "
                f"{error.strerror or type(error).__name__}."
            ) from error

    async def _install(self, package: Package, root: Path) -> Record:
        await to_thread.run_sync(_make_anew, root)
        try:
            self._tell(package, "fetching and checking it", 0.1)
            made = await self._fetch(package, root)
            if package.kind is not PackageKind.OCI and not made.executables:
                raise NoExecutable(f"{package.identifier} {package.version} is a library: nothing to start.")
            record.write(root, made)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(_remove, root)
            raise
        self._tell(package, "installed", 1.0)
        return made

    async def _fetch(self, package: Package, root: Path) -> Record:
        match package.kind:
            case PackageKind.NPM:
                return await npm.install(package, root, self._settings)
            case PackageKind.PYPI:
                return await pypi.install(package, root, self._settings)
            case _:
                return await oci.install(package)

    def _tell(self, package: Package, message: str, fraction: float) -> None:
        work = f"install {package.identifier} {package.version or ''}".rstrip()
        self._events.publish(Progress(work, message, fraction))


def _known(root: Path, package: Package) -> Record | None:
    """The record of a whole installation, without starting any program."""
    found = record.read(root, package)
    if found is None:
        return None
    match package.kind:
        case PackageKind.NPM:
            whole = bool(found.executables)
        case PackageKind.PYPI:
            whole = bool(found.executables) and pypi.is_whole(root)
        case _:
            whole = found.image is not None
    return found if whole else None


def _startable(package: Package, root: Path, found: Record) -> Installed:
    match package.kind:
        case PackageKind.NPM:
            return Installed(npm.argv(package, root, found), root, found.integrity)
        case PackageKind.PYPI:
            return Installed(pypi.argv(package, root, found), root, found.integrity)
        case _:
            return Installed(oci.argv(found), root, found.integrity, found.image, ENGINE_VARIABLES)


@asynccontextmanager
async def _alone(root: Path) -> AsyncIterator[None]:
    """Hold a directory for this task alone, against other tasks and processes; the lock dies with us."""
    root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(f"{root}.lock", thread_local=False)
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            await anyio.sleep(LOCK_POLL)
    try:
        yield
    finally:
        lock.release()


def _make_anew(root: Path) -> None:
    """An empty directory, whatever an interrupted installation left."""
    _remove(root)
    root.mkdir(mode=0o700, parents=True)


def _remove(root: Path) -> None:
    if root.is_symlink():
        root.unlink()
    # What cannot be removed has no marker, and the next installation meets it.
    shutil.rmtree(root, ignore_errors=True)
