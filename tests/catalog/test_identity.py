"""Candidate ids: a name that passes is safe in a URL, a path and a command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.catalog.identity import identify, normal_name, read_id, url_segment
from warroom_mcp.errors import UnknownCandidate
from warroom_mcp.models import Package, PackageKind
from warroom_mcp.packages import read_image


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("npm:redis-mcp", "npm:redis-mcp"),
        ("npm:@scope/name.js", "npm:@scope/name.js"),
        ("pypi:MCP_Server.Time", "pypi:mcp-server-time"),
        ("oci:docker.io/mcp/redis:1.2.3", "oci:docker.io/mcp/redis:1.2.3"),
        ("oci:ghcr.io/o/r@sha256:" + "a" * 64, "oci:ghcr.io/o/r@sha256:" + "a" * 64),
        ("remote:https://MCP.example.com/Path", "remote:https://mcp.example.com/Path"),
        ("remote:http://127.0.0.1:9/mcp", "remote:http://127.0.0.1:9/mcp"),
    ],
)
def test_an_id_is_read_in_its_normal_form(written: str, read: str) -> None:
    assert str(read_id(written)) == read


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "redis",
        "npm:",
        "npm:-g",
        "npm:--registry=http://evil",
        "npm:../../etc/passwd",
        "npm:@/x",
        "npm:@scope/../x",
        "npm:a/b",
        "npm:redis-mcp@1.0.0",
        "npm:redis mcp",
        "npm:git+https://evil/x",
        "npm:file:x",
        "npm:node_modules",
        "npm:.hidden",
        "npm:" + "a" * 215,
        "npm:redis\n",
        "npm:Redis",
        "pypi:-e",
        "pypi:x[extra]",
        "pypi:x==1",
        "pypi:x;rm",
        "pypi:x ",
        "pypi:x\n",
        "oci:--privileged",
        "oci:-v/:/x",
        "oci:UPPER/x",
        "oci:x y",
        "oci:x@sha256:short",
        "remote:http://example.com/",
        "remote:ftp://example.com/",
        "remote:https://u:p@example.com/",
        "remote:https://example.com/#x",
        "shell:ls",
        "mcpb:https://example.com/x",
    ],
)
def test_a_hostile_id_is_refused(hostile: str) -> None:
    with pytest.raises(UnknownCandidate):
        read_id(hostile)


@given(st.text(max_size=80), st.sampled_from(["npm", "pypi", "oci"]))
def test_a_name_that_passes_cannot_be_an_option_a_path_or_more_than_one_word(name: str, scheme: str) -> None:
    normal = normal_name(scheme, name)
    if normal is not None:
        assert not normal.startswith(("-", ".", "/"))
        assert ".." not in normal.split("/")
        assert not set(normal) & set(" \t\n;&|$`'\"\\<>()?#%")
        assert normal_name(scheme, normal) == normal


@given(st.from_regex(r"(@[a-z0-9]([._-]?[a-z0-9]){0,8}/)?[a-z0-9]([._-]?[a-z0-9]){0,9}", fullmatch=True))
def test_an_npm_name_is_one_segment_of_a_url(name: str) -> None:
    assert "/" not in url_segment(name)
    assert identify(Package(PackageKind.NPM, name)) == f"npm:{name}"


def test_an_image_reference_has_parts() -> None:
    image = read_image("registry.example.com:5000/team/redis:1.2@sha256:" + "0" * 64)
    assert image is not None
    assert (image.name, image.tag) == ("registry.example.com:5000/team/redis", "1.2")
    assert image.digest == "sha256:" + "0" * 64
