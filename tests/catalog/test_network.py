"""The real registries: what the stand-in claims about their shapes is true."""

from typing import Any

import anyio
import pytest

from tests.catalog.memory import MemoryCache, catalog_of
from warroom_mcp.models import Origin
from warroom_mcp.settings import Settings

# Real registries are slow now and then.
PATIENT: dict[str, Any] = {"find_deadline": 30.0}


@pytest.mark.network
async def test_well_known_servers_are_resolved_at_the_real_registries() -> None:
    catalog = catalog_of(Settings(**PATIENT), MemoryCache(), [])
    with anyio.fail_after(120):
        npm = await catalog.resolve(await catalog.lookup("npm:@modelcontextprotocol/server-everything"))
        pypi = await catalog.resolve(await catalog.lookup("pypi:mcp-server-time"))
        await catalog.aclose()
    assert npm.origin is Origin.OFFICIAL
    assert npm.package.version
    assert (npm.package.integrity or "").startswith("sha512-")
    assert (pypi.package.integrity or "").startswith("sha256:")
    assert npm.updated is not None
    assert pypi.updated is not None
    assert npm.repository == pypi.repository == "https://github.com/modelcontextprotocol/servers"
