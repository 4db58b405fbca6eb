"""Download figures for end-to-end tests: a stand-in on loopback, since they decide a trust level."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.registry import StandInRegistry


@pytest.fixture
def downloads() -> Iterator[dict[str, str]]:
    """The settings that send a War Room to the stand-in for downloads, and to nothing else."""
    with StandInRegistry() as stand_in:
        stand_in.weekly["mcp-postgres-server"] = 4321
        wanted = ("WARROOM_NPM_DOWNLOADS_URL", "WARROOM_PYPI_DOWNLOADS_URL")
        yield {name: stand_in.environment[name] for name in wanted}


@pytest.fixture
def stand_in() -> Iterator[StandInRegistry]:
    """Every registry that a War Room asks, on loopback; it serves nothing until a test publishes there."""
    with StandInRegistry() as running:
        yield running


@pytest.fixture(scope="session")
def npm_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings for the real npm: a cache of the run's own, and no second try."""
    cache = tmp_path_factory.mktemp("npm-cache")
    return {"npm_config_cache": str(cache), "npm_config_fetch_retries": "0"}


@pytest.fixture
def offline(stand_in: StandInRegistry, npm_settings: dict[str, str]) -> dict[str, str]:
    """The environment of a War Room for which the stand-in is the whole world."""
    return {**stand_in.environment, **npm_settings, "WARROOM_RELIST_WAIT": "0.5"}


@pytest.fixture
def stocked(home: Path, packages: Path) -> None:
    """A state directory with packages that are installed once for all tests of the run."""
    home.mkdir(parents=True)
    (home / "packages").symlink_to(packages)
