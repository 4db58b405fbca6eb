"""Entries of the MCP registry: what they say is taken where it is plain, and left out where it is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.test_wire import JSON
from tests.standins.registry import META, entry, npm_package
from warroom_mcp.catalog.entry import read_entry
from warroom_mcp.models import InputPlace, Origin, PackageInput, PackageKind

NAME = "io.github.redis/mcp-redis"
REPOSITORY = {"url": "https://github.com/redis/mcp-redis", "source": "github"}


def one_package(**members: Any) -> Any:
    return read_entry(entry(NAME, packages=[npm_package("redis-mcp") | members]))


def test_an_entry_becomes_a_candidate_with_its_inputs() -> None:
    variables = [
        {"name": "REDIS_HOST", "description": "Where it runs", "default": "localhost"},
        {"name": "REDIS_URL", "value": "redis://{host}:{port}", "variables": {"host": {}, "port": {}}},
        {"name": "REDIS_PASSWORD", "isRequired": True, "isSecret": True, "default": "hunter2"},
        {"name": "REDIS_MODE", "choices": ["single", "cluster", 3], "format": "string"},
    ]
    package = npm_package("@redis/mcp-redis", "1.2.3", environmentVariables=variables)
    (found,) = read_entry(entry(NAME, title="Redis", repository=REPOSITORY, packages=[package]))
    assert found.id == "npm:@redis/mcp-redis"
    assert (found.name, found.title, found.sources) == (NAME, "Redis", ("registry",))
    assert found.package.version == "1.2.3"
    assert found.package.inputs == (
        PackageInput("REDIS_HOST", description="Where it runs", default="localhost"),
        PackageInput(
            "REDIS_URL", description="(in the form redis://{host}:{port})", template="redis://{host}:{port}"
        ),
        PackageInput("REDIS_PASSWORD", required=True, secret=True),
        PackageInput("REDIS_MODE", choices=("single", "cluster")),
    )


def test_snake_case_of_older_registries_says_the_same() -> None:
    old = {
        "name": NAME,
        "description": "Redis",
        "status": "active",
        "packages": [
            {
                "registry_type": "pypi",
                "identifier": "redis-mcp",
                "version": "2.0.0",
                "environment_variables": [{"name": "REDIS_PASSWORD", "is_required": True, "is_secret": True}],
            }
        ],
        "remotes": [{"transport_type": "sse", "url": "https://mcp.redis.io/sse"}],
    }
    installed, remote = read_entry(old)
    assert installed.id == "pypi:redis-mcp"
    assert installed.package.inputs == (PackageInput("REDIS_PASSWORD", required=True, secret=True),)
    assert remote.package.kind is PackageKind.SSE


def test_a_deleted_entry_is_no_candidate_and_a_deprecated_one_says_so() -> None:
    item = entry(NAME, packages=[npm_package("redis-mcp")])
    item["_meta"][META]["status"] = "deleted"
    assert read_entry(item) == ()
    item["_meta"][META] |= {"status": "deprecated", "statusMessage": "Use the new one"}
    assert [found.deprecated for found in read_entry(item)] == ["Use the new one"]


def test_installable_packages_come_before_remote_ones() -> None:
    found = read_entry(
        entry(
            NAME,
            remotes=[{"type": "streamable-http", "url": "https://mcp.redis.io/mcp"}],
            packages=[
                {
                    "registryType": "oci",
                    "identifier": "docker.io/mcp/redis:1.0",
                    "transport": {"type": "stdio"},
                },
                npm_package("redis-mcp"),
                {"registryType": "nuget", "identifier": "Redis.Mcp", "transport": {"type": "stdio"}},
            ],
        )
    )
    assert [one.id for one in found] == [
        "npm:redis-mcp",
        "oci:docker.io/mcp/redis:1.0",
        "remote:https://mcp.redis.io/mcp",
    ]
    assert found[1].package.version == "1.0"


@pytest.mark.parametrize(
    "package",
    [
        npm_package("--registry=http://evil"),
        npm_package("../../etc/passwd"),
        npm_package("redis-mcp; rm -rf /"),
        npm_package("git+https://evil/x"),
        npm_package("redis-mcp", registryBaseUrl="https://evil.example"),
        npm_package("redis-mcp", transport={"type": "streamable-http", "url": "http://localhost:1/"}),
        {"registryType": "mcpb", "identifier": "https://github.com/x/y.mcpb"},
        {"registryType": "oci", "identifier": "--privileged"},
        {"registryType": ["npm"], "identifier": "redis-mcp"},
        None,
        7,
    ],
)
def test_a_package_that_cannot_be_started_safely_is_left_out(package: object) -> None:
    assert read_entry(entry(NAME, packages=[package])) == ()


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.redis.io/",
        "https://169.254.169.254/",
        "http://127.0.0.1:80/",
        "https://{tenant}.redis.io/",
        "file:///etc/passwd",
        None,
    ],
)
def test_a_remote_address_that_is_not_public_https_is_left_out(url: object) -> None:
    assert read_entry(entry(NAME, remotes=[{"type": "streamable-http", "url": url}])) == ()


def test_a_registry_on_this_machine_may_name_servers_on_it() -> None:
    item = entry(NAME, remotes=[{"type": "sse", "url": "http://127.0.0.1:9000/sse"}])
    assert [one.id for one in read_entry(item, loopback=True)] == ["remote:http://127.0.0.1:9000/sse"]


@pytest.mark.parametrize(
    "name",
    ["NODE_OPTIONS", "LD_PRELOAD", "PATH", "npm_config_registry", "PYTHONPATH", "DYLD_X", "A B", "-x", ""],
)
def test_launcher_variables_are_never_inputs(name: str) -> None:
    (found,) = one_package(environmentVariables=[{"name": name, "value": "x"}])
    assert found.package.inputs == ()


def test_runtime_arguments_are_never_taken() -> None:
    (found,) = one_package(runtimeArguments=[{"type": "positional", "value": "--privileged"}])
    assert found.package.arguments == ()


def test_fixed_arguments_are_plain_words_and_the_rest_is_asked_for() -> None:
    (found,) = one_package(
        packageArguments=[
            {"type": "positional", "value": "start"},
            {"type": "named", "name": "--transport", "value": "stdio"},
            {"type": "named", "name": "--read-only", "isRequired": True},
            {"type": "named", "name": "--host", "description": "Where", "isRequired": True},
            {"type": "positional", "valueHint": "directory", "isRequired": True},
            {"type": "positional", "value": "$(reboot)"},
            {"type": "positional", "value": "--eval=x"},
            {"type": "named", "name": "-e x", "value": "y"},
        ]
    )
    assert found.package.arguments == ("start", "--transport", "stdio", "--read-only")
    assert [(one.name, one.required) for one in found.package.inputs] == [
        ("--host", True),
        ("", True),
        ("", False),
        ("", False),
    ]


def test_a_header_with_a_secret_part_is_a_secret() -> None:
    header = {
        "name": "Authorization",
        "value": "Bearer {token}",
        "variables": {"token": {"isSecret": True, "isRequired": True}},
    }
    remote = {
        "type": "streamable-http",
        "url": "https://mcp.redis.io/mcp",
        "headers": [header, {"name": "Host"}],
    }
    (found,) = read_entry(entry(NAME, remotes=[remote]))
    assert found.package.inputs == (
        PackageInput(
            "Authorization",
            place=InputPlace.HEADER,
            description="(in the form Bearer {token})",
            required=True,
            secret=True,
        ),
    )


def test_the_list_alone_proves_a_publisher_but_never_the_vendor() -> None:
    packages = [npm_package("redis-mcp")]
    (same,) = read_entry(entry(NAME, packages=packages, repository=REPOSITORY))
    assert same.origin is Origin.KNOWN_PUBLISHER
    assert "redis" in same.origin_evidence
    (other,) = read_entry(entry("io.github.evil/mcp-redis", packages=packages, repository=REPOSITORY))
    assert other.origin is Origin.UNPROVEN
    (domain,) = read_entry(
        entry("com.stripe/mcp", packages=packages, websiteUrl="https://docs.stripe.com/mcp")
    )
    assert domain.origin is Origin.KNOWN_PUBLISHER
    (alien,) = read_entry(entry("com.stripe/mcp", packages=packages, websiteUrl="https://notstripe.com/"))
    assert alien.origin is Origin.UNPROVEN


def test_hidden_characters_in_texts_are_gone() -> None:
    item = entry(NAME, title="Re\u202edis", packages=[npm_package("redis-mcp")])
    item["server"]["description"] = "Reads\x1b[2J data\u200b" + "!" * 5000
    (found,) = read_entry(item)
    assert found.title == "Redis"
    assert found.description.startswith("Reads[2J data!")
    assert len(found.description) == 300


@given(JSON)
def test_any_json_is_read_without_an_error(value: Any) -> None:
    read_entry(value)
    read_entry({"server": value, "_meta": {META: value}})
    read_entry({"server": {"name": NAME, "packages": [value], "remotes": value, "description": value}})


@given(st.dictionaries(st.sampled_from(["name", "value", "type", "variables", "isSecret", "default"]), JSON))
def test_any_argument_and_variable_is_read_without_an_error(value: Any) -> None:
    for found in one_package(packageArguments=[value], environmentVariables=[value]):
        assert all(not argument.startswith("$") for argument in found.package.arguments)
