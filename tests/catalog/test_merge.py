"""Merging: one server, one candidate, whatever order the sources answered in."""

from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.memory import candidate
from warroom_mcp.catalog.merge import merge
from warroom_mcp.models import Candidate, Origin, Package, PackageInput, PackageKind

REPOSITORY = "https://github.com/redis/mcp-redis"


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    kind, scheme = draw(st.sampled_from([(PackageKind.NPM, "npm"), (PackageKind.PYPI, "pypi")]))
    identifier = draw(st.sampled_from(["a-mcp", "b-mcp", "c-mcp", "d-mcp"]))
    return candidate(
        identifier,
        id=f"{scheme}:{identifier}",
        name=draw(st.sampled_from(["redis", "io.github.x/redis", "mongo", identifier])),
        description=draw(st.sampled_from(["", "one", "two"])),
        package=Package(kind, identifier, inputs=draw(st.sampled_from([(), (PackageInput("A"),)]))),
        technologies=draw(st.sampled_from([(), ("redis",), ("mongo", "redis")])),
        origin=draw(st.sampled_from(Origin)),
        origin_evidence=draw(st.sampled_from(["", "proof"])),
        repository=draw(st.sampled_from([None, REPOSITORY, REPOSITORY + "-2"])),
        weekly_downloads=draw(st.none() | st.integers(0, 9)),
        updated=draw(st.none() | st.dates()),
        deprecated=draw(st.sampled_from([None, "old"])),
        sources=(draw(st.sampled_from(["curated", "registry", "npm", "elsewhere"])),),
    )


@given(
    st.lists(candidates(), max_size=7).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some)))
)
def test_the_order_of_the_input_does_not_matter(lists: tuple[list[Candidate], list[Candidate]]) -> None:
    assert merge(lists[0]) == merge(lists[1])


@given(st.lists(candidates(), max_size=7))
def test_merging_again_changes_nothing(some: list[Candidate]) -> None:
    once = merge(some)
    assert merge(once) == once


@given(st.lists(candidates(), max_size=7))
def test_nothing_is_lost_and_no_package_stands_twice(some: list[Candidate]) -> None:
    merged = merge(some)
    assert len({one.id for one in merged}) == len(merged)
    assert {source for one in merged for source in one.sources} == {
        source for one in some for source in one.sources
    }
    assert {one.id for one in merged} <= {one.id for one in some}


def test_curated_text_and_inputs_win_and_facts_are_united() -> None:
    package = Package(PackageKind.NPM, "redis-mcp")
    curated = candidate(
        "redis-mcp",
        name="redis",
        description="Written with care",
        package=replace(package, inputs=(PackageInput("HOST"),)),
        technologies=("redis",),
        origin=Origin.OFFICIAL,
        origin_evidence="the vendor's own",
        sources=("curated",),
    )
    listed = candidate(
        "redis-mcp",
        name="io.github.redis/redis-mcp",
        description="From the list",
        package=replace(package, version="1.0.0", inputs=(PackageInput("OTHER"),)),
        origin=Origin.KNOWN_PUBLISHER,
        repository=REPOSITORY,
        sources=("registry",),
    )
    hit = candidate("redis-mcp", weekly_downloads=900, updated=date(2026, 1, 2), deprecated="moved")
    (merged,) = merge([hit, listed, curated])
    assert merged.name == "redis"
    assert merged.description == "Written with care"
    assert merged.package.inputs == (PackageInput("HOST"),)
    assert (merged.origin, merged.origin_evidence) == (Origin.OFFICIAL, "the vendor's own")
    assert merged.repository == REPOSITORY
    assert (merged.weekly_downloads, merged.updated, merged.deprecated) == (900, date(2026, 1, 2), "moved")
    assert merged.sources == ("curated", "registry", "npm")


def test_inputs_come_from_whoever_has_them_for_the_same_package() -> None:
    listed = candidate(
        "redis-mcp",
        package=Package(PackageKind.NPM, "redis-mcp", inputs=(PackageInput("HOST"),)),
        sources=("registry",),
    )
    curated = candidate("redis-mcp", sources=("curated",))
    (merged,) = merge([curated, listed])
    assert merged.package.inputs == (PackageInput("HOST"),)


def test_the_same_repository_and_name_is_one_server_and_a_repository_alone_is_not() -> None:
    python = candidate(
        "x",
        id="pypi:redis-mcp",
        name="a/redis",
        package=Package(PackageKind.PYPI, "redis-mcp"),
        repository=REPOSITORY,
    )
    node = candidate("y", name="redis", repository=REPOSITORY)
    other = candidate("z", name="time", repository=REPOSITORY)
    assert [one.id for one in merge([python, node, other])] == ["npm:y", "npm:z"]


def test_an_image_is_the_same_with_and_without_its_tag() -> None:
    images = [
        candidate("x", id=f"oci:{reference}", package=Package(PackageKind.OCI, reference))
        for reference in ("mcp/redis", "docker.io/mcp/redis:1.0")
    ]
    assert len(merge(images)) == 1


def test_what_uniting_brings_together_is_united_again() -> None:
    named = candidate("a-mcp", name="redis", sources=("curated",))
    placed = candidate("a-mcp", name="other", repository=REPOSITORY)
    both = candidate("c-mcp", name="redis", repository=REPOSITORY)
    assert [one.id for one in merge([named, placed, both])] == ["npm:a-mcp"]
