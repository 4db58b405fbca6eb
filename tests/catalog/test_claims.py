"""Whether a package is the listed server: only what both sides say settles it."""

from typing import Any

import pytest

from tests.catalog.memory import candidate
from warroom_mcp.catalog.claims import confirmed, disagreement
from warroom_mcp.catalog.facts import PackageFacts
from warroom_mcp.models import Candidate, Package, PackageKind

CLAIM = "a list names it"


def claimed(package: str = "docker", /, **changes: Any) -> Candidate:
    """A server whose list only claims its package."""
    return candidate(package, **({"unconfirmed": CLAIM, "sources": ("list",)} | changes))


def facts(**told: Any) -> PackageFacts:
    return PackageFacts("1.0.0", **told)


def test_what_is_no_claim_is_not_asked_about() -> None:
    one = candidate("redis-mcp")
    assert confirmed(one, None) is one
    assert confirmed(one, facts(repository="https://github.com/other/thing")) is one


def test_a_package_that_is_not_served_stays_a_claim_and_says_why() -> None:
    found = confirmed(claimed(), None)
    assert found.unconfirmed == (
        "list names the npm package docker, but its registry does not serve that package"
    )


def test_without_a_source_it_is_the_list_that_says_so() -> None:
    assert confirmed(claimed("docker", sources=()), None).unconfirmed.startswith(
        "its list names the npm package"
    )


@pytest.mark.parametrize("listed", ["io.github.acme/docker", "IO.GitHub.Acme/Docker"])
def test_a_package_that_names_its_listing_is_the_server(listed: str) -> None:
    one = claimed("docker", name=listed)
    assert confirmed(one, facts(mcp_name="io.github.acme/docker")).unconfirmed == ""


def test_a_package_that_names_another_listing_is_another_server() -> None:
    one = claimed("docker", name="io.github.acme/docker", repository="https://github.com/acme/docker")
    against = disagreement(one, facts(mcp_name="io.github.other/docker", description="an MCP server"))
    assert against == "the package says that it is io.github.other/docker"


def test_a_package_that_names_a_listing_of_the_owner_of_its_repository_is_the_server() -> None:
    one = claimed("docker", name="Docker tools", repository="https://github.com/Acme/docker")
    assert disagreement(one, facts(mcp_name="io.github.acme/docker-tools")) == ""
    assert disagreement(one, facts(mcp_name="acme/x")) == ""
    assert disagreement(one, facts(mcp_name="/x")) != ""


@pytest.mark.parametrize(
    ("listed", "packaged"),
    [
        ("https://github.com/acme/tools", "https://github.com/acme/tools"),
        ("https://github.com/Acme/Tools.git", "git+https://github.com/acme/tools.git"),
        ("https://github.com/acme/tools/tree/main/src", "https://github.com/acme/tools"),
        ("git@github.com:acme/tools.git", "https://github.com/acme/tools"),
        ("https://code.example/x/", "https://code.example/x"),
    ],
)
def test_the_same_repository_however_it_is_written_settles_it(listed: str, packaged: str) -> None:
    assert disagreement(claimed("docker", repository=listed), facts(repository=packaged)) == ""


def test_another_repository_is_another_server_however_the_package_calls_itself() -> None:
    one = claimed("docker-mcp", repository="https://github.com/acme/tools")
    against = disagreement(one, facts(repository="https://github.com/other/tools", keywords=("mcp",)))
    assert against == "the package comes from https://github.com/other/tools"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("docker-mcp", {}),
        ("mcp_docker", {}),
        ("docker", {"keywords": ("docker", "mcp-server")}),
        ("docker", {"description": "A Model Context Protocol server for Docker"}),
        ("docker", {"description": "for modelcontextprotocol"}),
    ],
)
def test_without_repositories_a_package_that_says_that_it_speaks_mcp_is_taken(
    name: str, told: dict[str, object]
) -> None:
    assert disagreement(claimed(name), facts(**told)) == ""


@pytest.mark.parametrize("description", ["A Docker client", "mcpherson's tools", "tmcp", "compcp"])
def test_without_any_sign_of_mcp_a_slug_is_an_unrelated_project(description: str) -> None:
    against = disagreement(claimed(), facts(description=description))
    assert against == "the package does not say that it is an MCP server"


def test_a_claim_about_an_image_names_its_kind() -> None:
    package = Package(PackageKind.PYPI, "argocd")
    one = claimed("argocd", id="pypi:argocd", package=package)
    assert "the pypi package argocd, but" in confirmed(one, facts(description="client")).unconfirmed
