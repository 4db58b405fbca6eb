"""Who stands behind a server: two sides have to say the same."""

from dataclasses import replace

from tests.catalog.memory import candidate
from warroom_mcp.catalog.origin import confirm
from warroom_mcp.models import Origin

ENTRY = candidate(
    "redis-mcp",
    name="io.github.redis/redis-mcp",
    sources=("registry",),
    origin=Origin.KNOWN_PUBLISHER,
    origin_evidence="published by the GitHub owner of its repository, redis",
)


def test_a_package_and_an_entry_that_name_each_other_prove_the_publisher() -> None:
    confirmed = confirm(candidate("redis-mcp"), "io.github.redis/redis-mcp", ENTRY)
    assert confirmed.origin is Origin.KNOWN_PUBLISHER
    assert "name each other" in confirmed.origin_evidence
    assert "redis" in confirmed.origin_evidence


def test_a_name_that_only_the_package_claims_proves_nothing() -> None:
    plain = candidate("redis-mcp")
    assert confirm(plain, "io.github.redis/redis-mcp", None) == plain
    elsewhere = replace(ENTRY, id="npm:other")
    assert confirm(plain, "io.github.redis/redis-mcp", elsewhere) == plain


def test_the_mcp_project_is_official_only_when_both_sides_say_so() -> None:
    name = "io.github.modelcontextprotocol/server-time"
    plain = candidate("server-time")
    entry = replace(plain, name=name, sources=("registry",))
    assert confirm(plain, name, entry).origin is Origin.OFFICIAL
    assert confirm(plain, name, None).origin is Origin.UNPROVEN


def test_a_package_that_does_not_answer_its_entry_loses_what_the_entry_said() -> None:
    for said in (None, "io.github.other/thing"):
        doubtful = confirm(replace(ENTRY, sources=("registry", "npm")), said, None)
        assert doubtful.origin is Origin.UNPROVEN
        assert "io.github.redis/redis-mcp" in doubtful.origin_evidence


def test_what_is_curated_is_not_taken_away() -> None:
    curated = replace(ENTRY, sources=("curated", "registry"), origin=Origin.OFFICIAL)
    assert confirm(curated, None, None).origin is Origin.OFFICIAL
    assert confirm(curated, ENTRY.name, ENTRY).origin is Origin.OFFICIAL
