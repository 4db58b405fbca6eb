"""Download figures for end-to-end tests: a stand-in on loopback, since they decide a trust level."""

from collections.abc import Iterator

import pytest

from tests.standins.registry import StandInRegistry


@pytest.fixture
def downloads() -> Iterator[dict[str, str]]:
    """The settings that send a War Room to the stand-in for downloads, and to nothing else."""
    with StandInRegistry() as stand_in:
        stand_in.weekly["mcp-postgres-server"] = 4321
        wanted = ("WARROOM_NPM_DOWNLOADS_URL", "WARROOM_PYPI_DOWNLOADS_URL")
        yield {name: stand_in.environment[name] for name in wanted}
