"""Look-up and resolution: from an id to an exact version with its integrity."""

from dataclasses import replace
from datetime import date

import anyio
import pytest

from tests.catalog.memory import MemoryCache, Told, candidate, catalog_of, need, online_sources
from tests.standins.registry import StandInRegistry, entry, npm_package
from warroom_mcp.catalog import Catalog
from warroom_mcp.errors import (
    IntegrityMismatch,
    NoExecutable,
    PackageNotFound,
    SourceUnavailable,
    UnknownCandidate,
)
from warroom_mcp.models import Candidate, Origin, Package, PackageKind, SearchPlan


async def lookup(catalog: Catalog, candidate_id: str) -> Candidate:
    with anyio.fail_after(6):
        return await catalog.lookup(candidate_id)


async def resolve(catalog: Catalog, one: Candidate) -> Candidate:
    with anyio.fail_after(6):
        return await catalog.resolve(one)


def pinned(version: str | None, integrity: str | None = None) -> Candidate:
    return candidate("redis-mcp", package=Package(PackageKind.NPM, "redis-mcp", version, integrity))


# --- lookup ----------------------------------------------------------------------------------------


async def test_a_look_up_unites_the_package_with_its_entry(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    standin.serve_npm("redis-mcp")
    variables = [{"name": "REDIS_PASSWORD", "isSecret": True}]
    package = npm_package("redis-mcp", environmentVariables=variables)
    standin.entries = [entry("io.github.redis/redis-mcp", packages=[package])]
    found = await lookup(catalog, "npm:redis-mcp")
    assert found.sources == ("registry", "npm")
    assert [one.name for one in found.package.inputs] == ["REDIS_PASSWORD"]
    assert found.score.parts


async def test_a_look_up_after_a_find_gives_what_was_found(standin: StandInRegistry) -> None:
    standin.serve_npm("redis-mcp")
    catalog = catalog_of(standin.settings(), MemoryCache(), [Told("curated", [candidate("redis-mcp")])])
    result = await catalog.find([need("redis", host="cache-1")], SearchPlan())
    standin.faults["*"] = "down"
    found = await lookup(catalog, "npm:redis-mcp")
    assert found == result.candidates[0]
    assert found.parameters == {"host": "cache-1"}
    await catalog.aclose()


@pytest.mark.parametrize(
    "bad", ["redis", "npm:--evil", "pypi:", "remote:http://example.com", "npm:unheard-of"]
)
async def test_what_nobody_knows_is_unknown(catalog: Catalog, bad: str) -> None:
    with pytest.raises(UnknownCandidate):
        await lookup(catalog, bad)


async def test_a_package_is_unknown_although_another_list_is_down(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    standin.faults["registry"] = "down"
    with pytest.raises(UnknownCandidate):
        await lookup(catalog, "npm:unheard-of")
    with pytest.raises(SourceUnavailable):
        await lookup(catalog, "remote:https://mcp.unheard-of.com/mcp")


async def test_a_package_is_not_unknown_while_its_registry_is_down(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    standin.faults["npm"] = standin.faults["pypi"] = "down"
    for one in ("npm:redis-mcp", "pypi:redis-mcp"):
        with pytest.raises(SourceUnavailable, match="503"):
            await lookup(catalog, one)


# --- resolve ---------------------------------------------------------------------------------------


async def test_the_latest_version_is_fixed_with_its_integrity(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    standin.serve_npm("redis-mcp", "1.0.0", tarball=b"one")
    manifest = standin.serve_npm("redis-mcp", "2.0.0", tarball=b"two", weekly=1500)
    found = await resolve(catalog, candidate("redis-mcp"))
    assert found.package.version == "2.0.0"
    assert found.package.integrity == manifest["dist"]["integrity"]
    assert (found.weekly_downloads, found.updated) == (1500, date(2026, 10, 1))
    assert found.score.parts


async def test_a_python_project_is_fixed_too(standin: StandInRegistry, catalog: Catalog) -> None:
    standin.serve_pypi("redis-mcp", "3.1.0", weekly=10)
    one = candidate("redis-mcp", id="pypi:redis-mcp", package=Package(PackageKind.PYPI, "redis-mcp"))
    found = await resolve(catalog, one)
    assert found.package.version == "3.1.0"
    assert (found.package.integrity or "").startswith("sha256:")
    assert found.weekly_downloads == 10


async def test_a_listed_version_is_kept_where_it_is_served(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    old = standin.serve_npm("redis-mcp", "1.0.0", tarball=b"one")
    standin.serve_npm("redis-mcp", "2.0.0", tarball=b"two")
    found = await resolve(catalog, pinned("1.0.0"))
    assert (found.package.version, found.package.integrity) == ("1.0.0", old["dist"]["integrity"])
    assert (await resolve(catalog, pinned("0.9.0"))).package.version == "2.0.0"


async def test_a_version_with_an_integrity_is_never_replaced(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    served = standin.serve_npm("redis-mcp", "2.0.0", tarball=b"two")
    with pytest.raises(PackageNotFound, match=r"npm does not serve redis-mcp 1\.0\.0"):
        await resolve(catalog, pinned("1.0.0", "sha512-approved=="))
    with pytest.raises(IntegrityMismatch) as raised:
        await resolve(catalog, pinned("2.0.0", "sha512-approved=="))
    assert raised.value.details == {"expected": "sha512-approved==", "served": served["dist"]["integrity"]}


async def test_what_is_not_served_or_cannot_be_started_is_refused(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    with pytest.raises(PackageNotFound):
        await resolve(catalog, candidate("redis-mcp"))
    standin.serve_npm("library-mcp", bin={})
    with pytest.raises(NoExecutable):
        await resolve(catalog, candidate("library-mcp"))


@pytest.mark.parametrize("fault", ["down", "truncated", "html", "deep"])
async def test_a_registry_that_gives_no_answer_is_unavailable(
    standin: StandInRegistry, catalog: Catalog, fault: str
) -> None:
    standin.serve_npm("redis-mcp")
    standin.faults["npm"] = fault
    with pytest.raises(SourceUnavailable):
        await resolve(catalog, candidate("redis-mcp"))


async def test_a_deprecated_latest_version_says_so(standin: StandInRegistry, catalog: Catalog) -> None:
    standin.serve_npm("redis-mcp", deprecated="Use redis-mcp-next")
    assert (await resolve(catalog, candidate("redis-mcp"))).deprecated == "Use redis-mcp-next"


async def test_neither_counts_nor_ownership_hold_the_answer_up(standin: StandInRegistry) -> None:
    standin.serve_npm("redis-mcp", mcpName="io.github.redis/redis-mcp")
    standin.faults["npm-downloads"] = standin.faults["registry"] = "slow"
    cache, settings = MemoryCache(), standin.settings(find_deadline=0.8)
    catalog = catalog_of(settings, cache, online_sources(settings, cache))
    found = await resolve(catalog, candidate("redis-mcp"))
    assert found.package.version == "1.0.0"
    assert found.weekly_downloads is None
    assert found.origin is Origin.UNPROVEN
    await catalog.aclose()


async def test_ownership_is_proven_when_package_and_entry_name_each_other(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    name = "io.github.redis/redis-mcp"
    standin.serve_npm("redis-mcp", mcpName=name)
    standin.entries = [
        entry(
            name,
            packages=[npm_package("redis-mcp")],
            repository={"url": "https://github.com/redis/redis-mcp"},
        )
    ]
    found = await resolve(catalog, candidate("redis-mcp"))
    assert found.origin is Origin.KNOWN_PUBLISHER
    assert "name each other" in found.origin_evidence


async def test_an_entry_that_names_a_foreign_package_proves_nothing(
    standin: StandInRegistry, catalog: Catalog
) -> None:
    standin.serve_npm("redis-mcp")
    standin.entries = [
        entry(
            "io.github.evil/redis-mcp",
            packages=[npm_package("redis-mcp")],
            repository={"url": "https://github.com/evil/redis-mcp"},
        )
    ]
    found = await lookup(catalog, "npm:redis-mcp")
    assert found.origin is Origin.KNOWN_PUBLISHER
    assert (await resolve(catalog, found)).origin is Origin.UNPROVEN


@pytest.mark.parametrize("kind", [PackageKind.OCI, PackageKind.HTTP, PackageKind.SSE])
async def test_images_and_remote_servers_come_back_as_they_are(
    standin: StandInRegistry, catalog: Catalog, kind: PackageKind
) -> None:
    one = replace(candidate("x"), package=Package(kind, "https://mcp.example.com"))
    assert await resolve(catalog, one) == one
    assert standin.requests == []


async def test_a_closed_catalog_opens_again(standin: StandInRegistry, catalog: Catalog) -> None:
    standin.serve_npm("redis-mcp")
    await resolve(catalog, candidate("redis-mcp"))
    await catalog.aclose()
    await catalog.aclose()
    assert (await resolve(catalog, candidate("redis-mcp"))).package.version == "1.0.0"
