"""The shipped servers: the data holds its own rules."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from warroom_mcp.analyzer import technologies
from warroom_mcp.catalog.coverage import coverage
from warroom_mcp.catalog.identity import read_id
from warroom_mcp.catalog.sources.curated import (
    PARAMETERS,
    check_curated,
    load_curated,
    parse_curated,
)
from warroom_mcp.errors import SourceUnavailable
from warroom_mcp.listing import Listing
from warroom_mcp.manager.launch import plan_launch
from warroom_mcp.models import Candidate, InputPlace, LaunchPlan, Origin, PackageKind

CURATED = {candidate.id: candidate for candidate in load_curated()}
LIVE = [candidate for candidate in CURATED.values() if not candidate.deprecated]
INPUTS = [(candidate.id, one) for candidate in CURATED.values() for one in candidate.package.inputs]

REDIS, POSTGRES = "pypi:redis-mcp-server", "npm:mcp-postgres-server"
DOCKER, KAFKA = "npm:container-exec-mcp", "pypi:kafka-sentinel-mcp"
TIME, EVERYTHING = "pypi:mcp-server-time", "npm:@modelcontextprotocol/server-everything"

ENTRY = """
[[server]]
id = "npm:one-mcp"
name = "one"
title = "One"
description = "Looks at one thing."
technologies = ["one"]
capabilities = ["looking"]
"""


def started(candidate_id: str, parameters: Mapping[str, str]) -> LaunchPlan:
    """The plan of a curated server with a made-up version, from a problem's values alone."""
    candidate = CURATED[candidate_id]
    package = replace(candidate.package, version="1.0.0")
    return plan_launch(replace(candidate, package=package, parameters=parameters), server="x")


# --- the data ----------------------------------------------------------------------------------


def test_a_hundred_live_servers_are_known() -> None:
    assert len(LIVE) >= 100
    assert {candidate.package.kind for candidate in LIVE} >= {
        PackageKind.NPM,
        PackageKind.PYPI,
        PackageKind.OCI,
        PackageKind.HTTP,
    }


def test_every_id_is_in_normal_form_and_names_its_package() -> None:
    for candidate in CURATED.values():
        identity = read_id(candidate.id)
        assert str(identity) == candidate.id
        assert candidate.package.identifier == identity.name


def test_every_entry_is_told_in_canonical_words() -> None:
    canonical = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
    for candidate in CURATED.values():
        assert all(canonical.fullmatch(word) for word in (*candidate.technologies, *candidate.capabilities))
        assert re.fullmatch(r"[A-Z].*[^.]\.", candidate.description), candidate.id
        assert candidate.sources == ("curated",)


def test_other_names_of_a_technology_are_not_used_beside_its_canonical_one() -> None:
    used = {technology for candidate in CURATED.values() for technology in candidate.technologies}
    assert used.isdisjoint({"postgresql", "k8s", "mongo", "gcloud", "google-cloud", "sqlserver", "golang"})


def test_nearly_every_server_is_for_a_technology_that_the_analyzer_knows() -> None:
    known = set(technologies())
    lost = [one.id for one in LIVE if not known & coverage(Listing(one.id, one)).keys()]
    assert len(lost) <= len(LIVE) / 20, lost


def test_no_two_live_servers_share_a_name() -> None:
    names = Counter(candidate.name for candidate in LIVE)
    assert [name for name, count in names.items() if count > 1] == []


def test_a_deprecated_server_tells_why_and_its_heir_lives() -> None:
    deprecated = [candidate for candidate in CURATED.values() if candidate.deprecated]
    assert len(deprecated) >= 10
    for candidate in deprecated:
        assert (candidate.deprecated or "").endswith(".")
        if candidate.heir:
            assert CURATED[candidate.heir].deprecated is None
    assert CURATED["npm:@modelcontextprotocol/server-redis"].heir == REDIS
    assert CURATED["npm:@modelcontextprotocol/server-postgres"].heir == POSTGRES


def test_the_server_that_never_existed_is_not_listed() -> None:
    assert "npm:@modelcontextprotocol/server-docker" not in CURATED


def test_no_secret_has_a_value_or_stands_on_a_command_line() -> None:
    secrets = [(where, one) for where, one in INPUTS if one.secret]
    assert len(secrets) > 50
    for where, one in secrets:
        assert (one.default, one.template) == (None, None), where
        assert one.place is not InputPlace.ARGUMENT, where


SECRETIVE = re.compile(r"(?i)(password|passwd|pwd|secret|token|api_?key|app_key|^authorization$)")
NOT_SECRET = {"PROXMOX_TOKEN_NAME", "KAFKA_API_KEY", "CONFLUENT_CLOUD_API_KEY"}


def test_what_sounds_like_a_secret_is_one() -> None:
    sounding = [(where, one) for where, one in INPUTS if SECRETIVE.search(one.name)]
    assert [one.name for _, one in sounding if not one.secret and one.name not in NOT_SECRET] == []


def test_a_template_only_names_what_a_problem_can_tell() -> None:
    templates = [(where, one.template) for where, one in INPUTS if one.template]
    assert len(templates) > 50
    for where, template in templates:
        for alternative in template.split("|"):
            named = set(re.findall(r"\{([^{}]*)\}", alternative))
            assert named, where
            assert named <= PARAMETERS, where


def test_official_is_only_what_a_name_that_is_owned_or_a_look_up_proves() -> None:
    for candidate in CURATED.values():
        if candidate.origin is not Origin.OFFICIAL:
            continue
        assert candidate.origin_evidence
        owned = candidate.package.kind in (PackageKind.HTTP, PackageKind.OCI) or "/" in candidate.id
        looked_up = re.search("PyPI|mcp-?[nN]ame|registry", candidate.origin_evidence)
        assert owned or looked_up, candidate.id


@pytest.mark.parametrize(
    ("candidate_id", "mode"),
    [
        ("npm:mongodb-mcp-server", "--readOnly"),
        ("npm:kubernetes-mcp-server", "--read-only"),
        ("npm:@supabase/mcp-server-supabase", "--read-only"),
        ("pypi:mcp-grafana", "--disable-write"),
    ],
)
def test_a_server_with_a_reading_mode_is_started_in_it(candidate_id: str, mode: str) -> None:
    assert mode in CURATED[candidate_id].package.arguments


# --- from a problem's values to a command ------------------------------------------------------


def test_redis_is_told_its_address_by_options() -> None:
    known = started(REDIS, {"host": "cache.internal", "port": "6380"})
    assert known.arguments == ("--host", "cache.internal", "--port", "6380")
    assert started(REDIS, {}).arguments == ("--host", "127.0.0.1", "--port", "6379")


def test_postgres_is_told_its_address_by_variables_and_stays_read_only() -> None:
    plan = started(POSTGRES, {"host": "db", "port": "5433", "user": "app", "database": "shop"})
    assert plan.environment == {
        "PG_HOST": "db",
        "PG_PORT": "5433",
        "PG_USER": "app",
        "PG_DATABASE": "shop",
        "PG_ALLOW_WRITE": "false",
    }


@pytest.mark.parametrize(
    ("parameters", "address"),
    [
        ({"host": "broker", "port": "9093"}, "broker:9093"),
        ({"host": "broker"}, "broker:9092"),
        ({"port": "9093"}, "127.0.0.1:9092"),
    ],
)
def test_alternatives_of_a_template_are_tried_in_their_order(
    parameters: Mapping[str, str], address: str
) -> None:
    assert started(KAFKA, parameters).environment["KAFKA_BOOTSTRAP"] == address


@pytest.mark.parametrize(
    "candidate_id",
    [REDIS, POSTGRES, DOCKER, KAFKA, TIME, EVERYTHING, "npm:mongodb-mcp-server", "npm:@playwright/mcp"],
)
def test_the_servers_of_common_incidents_need_no_answer_from_a_person(candidate_id: str) -> None:
    assert started(candidate_id, {}).candidate_id == candidate_id


# --- the loader --------------------------------------------------------------------------------


def test_an_entry_becomes_a_candidate() -> None:
    text = ENTRY + 'inputs = [{ name = "A", template = ["{host}:{port}", "{host}:1"], description = "x" }]'
    (candidate,) = parse_curated(text, "some.toml")
    assert candidate.package.kind is PackageKind.NPM
    assert candidate.package.version is None
    assert candidate.package.inputs[0].template == "{host}:{port}|{host}:1"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("colour = 1", "server npm:one-mcp: colour: Extra inputs"),
        ('inputs = [{ name = "A", default = "x", secret = true, description = "x" }]', "the secret A has"),
        ('inputs = [{ name = "A", template = "{x}", secret = true, description = "x" }]', "the secret A has"),
        ('inputs = [{ name = "A", template = "{hots}", description = "x" }]', "unknown parameters: ['hots']"),
        ('inputs = [{ name = "A", template = "a://u:{user}@{host}", description = "x" }]', "or a password"),
        ('inputs = [{ name = "A", template = "{host}|x", description = "x" }]', "holds `|`"),
        ('inputs = [{ description = "x" }]', "needs a name"),
        (
            'inputs = [{ name = "A", choices = ["a"], default = "b", description = "x" }]',
            "none of its choices",
        ),
        ('inputs = [{ name = "A", description = "x" }, { name = "A", description = "y" }]', "have one name"),
        ('origin = "official"', "has no evidence"),
        ('origin = "famous"', "origin: Input should be"),
        ('heir = "npm:x"', "no reason why"),
        ("looked_up = true", "go together"),
        ('version = "1"', "go together"),
    ],
)
def test_a_mistake_in_the_data_is_told_with_the_entry_that_has_it(line: str, told: str) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        parse_curated(ENTRY + line, "some.toml")
    assert "some.toml: server npm:one-mcp" in caught.value.message
    assert told in caught.value.message
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "identifier",
    [
        "one-mcp",
        "npm:One",
        "npm:-g",
        "pypi:mcp_server_one",
        "oci:a/one",
        "oci:a/one:latest",
        "remote:http://a/b",
    ],
)
def test_an_id_that_names_nothing_exact_is_refused(identifier: str) -> None:
    with pytest.raises(SourceUnavailable, match=r"some\.toml: server"):
        parse_curated(ENTRY.replace("npm:one-mcp", identifier), "some.toml")


@pytest.mark.parametrize("name", ["One", "one_two", "one__two", "1one", "a-name-longer-than-20", ""])
def test_a_name_that_cannot_prefix_tools_is_refused(name: str) -> None:
    with pytest.raises(SourceUnavailable, match="name: String should"):
        parse_curated(ENTRY.replace('name = "one"', f'name = "{name}"'), "some.toml")


def test_text_that_is_no_toml_is_told_with_its_file() -> None:
    with pytest.raises(SourceUnavailable, match=r"some\.toml: Invalid value"):
        parse_curated("server = [", "some.toml")
    with pytest.raises(SourceUnavailable, match=r"some\.toml: server: Input should be"):
        parse_curated("server = 3", "some.toml")


def entry(number: int, *lines: str) -> Candidate:
    text = ENTRY.replace("one", f"one{number}") + "\n".join(lines)
    return parse_curated(text, "some.toml")[0]


def test_entries_that_contradict_each_other_are_refused() -> None:
    check_curated([entry(1), entry(2)])
    with pytest.raises(SourceUnavailable, match="listed twice"):
        check_curated([entry(1), entry(1)])
    with pytest.raises(SourceUnavailable, match="'one1' is also that of npm:one1-mcp"):
        check_curated([entry(1), parse_curated(ENTRY.replace('"one"', '"one1"'), "some.toml")[0]])


def test_an_heir_has_to_be_there_and_alive() -> None:
    old = ('deprecated = "Old."', 'heir = "npm:one2-mcp"')
    check_curated([entry(1, *old), entry(2)])
    with pytest.raises(SourceUnavailable, match="heir npm:one2-mcp"):
        check_curated([entry(1, *old)])
    with pytest.raises(SourceUnavailable, match="heir npm:one2-mcp"):
        check_curated([entry(1, *old), entry(2, 'deprecated = "Older."')])


# --- the registries ----------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize("candidate_id", [REDIS, POSTGRES, DOCKER, KAFKA, TIME, EVERYTHING])
def test_the_servers_of_the_demo_are_served(candidate_id: str) -> None:
    import httpx2

    from warroom_mcp.settings import Settings

    settings, identity = Settings(), read_id(candidate_id)
    npm, pypi = settings.npm_registry_url.rstrip("/"), settings.pypi_url.rstrip("/")
    quoted = identity.name.replace("/", "%2F")
    address = f"{npm}/{quoted}" if identity.scheme == "npm" else f"{pypi}/pypi/{quoted}/json"
    answer = httpx2.get(address, timeout=30, follow_redirects=True)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["name"] if identity.scheme == "npm" else told["info"]["name"]) == identity.name
