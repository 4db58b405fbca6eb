"""`warroom doctor`: checks everything that War Room needs, and says what to do about what is broken.

A note is something that some servers or searches miss; broken is what keeps War Room from its work.
"""

import importlib.util
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from warroom_mcp.cli import admin, failing, views
from warroom_mcp.cli.preparing import load_settings
from warroom_mcp.cli.running import Outcome
from warroom_mcp.engine.orphans import find_orphans
from warroom_mcp.errors import MissingInput, StateNotWritable, WarRoomError
from warroom_mcp.settings import Settings

OK, NOTE, BROKEN = "ok", "note", "broken"
OLDEST_PYTHON = (3, 11)
REACH_DEADLINE = 5.0
"""Seconds for one address to answer; they are asked at the same time."""
ORPHAN_DEADLINE = 5.0
"""Seconds for a look at the process table."""


@dataclass(frozen=True, slots=True)
class Check:
    """One row: what was looked at, how it stands, and what to do if it is not well."""

    check: str
    state: str
    what: str


async def doctor() -> Outcome:
    """Every check; exit code 1 if something is broken."""
    checks = [_python()]
    try:
        settings = load_settings()
    except WarRoomError as error:
        checks.append(Check("settings", BROKEN, f"{error.message} {error.hint}"))
    else:
        checks.append(Check("settings", OK, "valid"))
        checks += await _of_settings(settings)
    checks += await _runtimes()
    checks.append(await anyio.to_thread.run_sync(_keyring))
    checks.append(await _orphans())
    return _outcome(checks)


def _outcome(checks: Sequence[Check]) -> Outcome:
    ok = all(check.state != BROKEN for check in checks)
    rows = [{"check": c.check, "state": c.state, "what": c.what} for c in checks]
    return Outcome({"ok": ok, "checks": rows}, views.doctor, failing.OK if ok else failing.FAILED)


async def _of_settings(settings: Settings) -> list[Check]:
    state = await anyio.to_thread.run_sync(_state, settings.home)
    config = await anyio.to_thread.run_sync(_config, settings.config_file)
    return [state, config, *await _sources(settings)]


def _python() -> Check:
    good = sys.version_info >= OLDEST_PYTHON
    return Check("python", OK if good else BROKEN, f"{platform.python_version()} at {sys.executable}")


def _state(home: Path) -> Check:
    """Making a file is the only way to know that one can be made."""
    probe = home / ".doctor"
    try:
        token = admin.ensure_token(home)
        probe.write_bytes(b"")
        probe.unlink()
    except StateNotWritable as error:
        return Check("state directory", BROKEN, f"{error.message} {error.hint}")
    except OSError as error:
        return Check("state directory", BROKEN, f"{home} is not writable: {error.strerror or error}")
    return Check("state directory", OK, f"{home} (admin token: {token.name})")


def _config(path: Path) -> Check:
    from warroom_mcp.store.config import ConfigFile

    try:
        desired = ConfigFile(path).load()
    except WarRoomError as error:
        return Check("config", BROKEN, f"{error.message} {error.hint}")
    left = "; ".join(f"{name} is not started: {why}" for name, why in desired.foreign.items())
    what = f"{len(desired.servers)} servers in {path}"
    return Check("config", NOTE if left else OK, f"{what}. {left}" if left else what)


async def _runtimes() -> list[Check]:
    from warroom_mcp.manager.runtimes import report

    rows = await report()
    checks = [
        Check(f"runtime {r.name}", NOTE if r.problem else OK, r.problem or f"{r.version} at {r.path}")
        for r in rows
    ]
    if all(row.problem for row in rows):
        checks.append(Check("runtimes", BROKEN, "Nothing is here that could start a local server."))
    return checks


def _keyring() -> Check:
    """Asks for a secret that does not exist: a keyring that works says so."""
    from warroom_mcp.manager.secrets import resolve

    if importlib.util.find_spec("keyring") is None:
        how = "`pip install warroom-mcp[keyring]` adds it"
        return Check("keyring", NOTE, f"not installed; secrets can be env:NAME only. {how}")
    try:
        resolve("keyring:warroom-doctor")
    except MissingInput as error:
        if "cannot be read" in error.message:
            return Check("keyring", NOTE, f"{error.message} Use env:NAME.")
    return Check("keyring", OK, "answers")


# --- sources -------------------------------------------------------------------------------------


async def _sources(settings: Settings) -> list[Check]:
    """Every base URL; broken only if no registry of packages answers, since the others only enrich."""
    packages = {"npm registry": settings.npm_registry_url, "PyPI": settings.pypi_url}
    others = {
        "npm downloads": settings.npm_downloads_url,
        "PyPI downloads": settings.pypi_downloads_url,
        "MCP registry": settings.mcp_registry_url,
    }
    faults: dict[str, str | None] = {}
    async with anyio.create_task_group() as tasks:
        for name, url in {**packages, **others}.items():
            tasks.start_soon(_into, faults, name, url)
    rows = [
        Check(f"source {name}", NOTE if faults[name] else OK, f"{url} {faults[name] or 'answers'}")
        for name, url in {**packages, **others}.items()
    ]
    if all(faults[name] for name in packages):
        rows.append(Check("sources", BROKEN, "No package registry answers: nothing new can be installed."))
    return rows


async def _into(faults: dict[str, str | None], name: str, url: str) -> None:
    faults[name] = await unreachable(url)


async def unreachable(url: str) -> str | None:
    """Why an address does not answer, or None; any HTTP answer below 500 is one."""
    import httpx2

    try:
        with anyio.fail_after(REACH_DEADLINE):
            async with (
                httpx2.AsyncClient(timeout=REACH_DEADLINE) as client,
                client.stream("GET", url, follow_redirects=False) as response,
            ):
                code = response.status_code
    except TimeoutError:
        return f"did not answer within {REACH_DEADLINE:g} s"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return f"is not reachable: {type(error).__name__}: {error}"
    return f"answers with {code}" if code >= 500 else None


# --- orphans -------------------------------------------------------------------------------------


async def _orphans() -> Check:
    found = await _within(ORPHAN_DEADLINE, find_orphans)
    if found is None:
        return Check("orphans", NOTE, "the process table could not be read in time")
    if found:
        said = f"servers without a War Room are running: {found}. The next server to start ends them."
        return Check("orphans", BROKEN, said)
    return Check("orphans", OK, "none")


async def _within(seconds: float, work: Callable[[], list[int]]) -> list[int] | None:
    with anyio.move_on_after(seconds):
        run: Awaitable[list[int]] = anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        return await run
    return None
