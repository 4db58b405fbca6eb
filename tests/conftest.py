"""Fixtures and rules that hold for every test."""

import os
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.services.postgres import postgres_program, postgres_server
from tests.services.redis import redis_program, redis_server


@pytest.fixture
def anyio_backend() -> str:
    """War Room runs on asyncio; its children's pipes are asyncio pipes."""
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own, so that nothing touches the user's."""
    directory = tmp_path / "home"
    monkeypatch.setenv("WARROOM_HOME", str(directory))
    return directory


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installed packages, shared by the tests that need real ones: installed once a run."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real Redis."""
    if redis_program() is None:
        pytest.skip("redis-server is not on PATH")
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """A real PostgreSQL."""
    if postgres_program("initdb") is None or postgres_program("postgres") is None:
        pytest.skip("initdb and postgres are neither on PATH nor below /usr/lib/postgresql")
    with postgres_server() as port:
        yield port


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that need a public registry are skipped where none is reached."""
    if item.get_closest_marker("network") and not _registries_reachable():
        pytest.skip("the npm registry or PyPI is not reachable")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """In CI a skipped test is a failed one: nothing passes there by not running."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@cache
def _registries_reachable() -> bool:
    try:
        for host in ("registry.npmjs.org", "pypi.org"):
            socket.create_connection((host, 443), timeout=5).close()
    except OSError:
        return False
    return True
