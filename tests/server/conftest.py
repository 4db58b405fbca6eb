"""What all tests of the server share: no registry, and streams that nobody forgets."""

import gc
from collections.abc import Iterator

import pytest

from tests.server.host import ERAS, Installer


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    """Both protocol eras."""
    return str(request.param)


@pytest.fixture(autouse=True)
def no_installing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages are the test's own children; no registry is asked."""
    monkeypatch.setattr("warroom_mcp.warroom.Installer", Installer)


@pytest.fixture(autouse=True, scope="module")
def nothing_left_open() -> Iterator[None]:
    """A stream that was forgotten warns when it is collected, and warnings are errors here.

    Once a module, for collecting takes longer than most of its tests.
    """
    yield
    gc.collect()
