"""Fixtures that every test may use."""

from pathlib import Path

import pytest


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
