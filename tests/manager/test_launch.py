"""From a candidate to exactly what would be started."""

import re
import string
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from warroom_mcp.errors import InvalidInput, MissingInput
from warroom_mcp.manager.environment import refused_name
from warroom_mcp.manager.launch import plan_launch, server_name
from warroom_mcp.models import Candidate, InputPlace, LaunchPlan, Package, PackageInput, PackageKind

ARGUMENT = InputPlace.ARGUMENT
DIGEST = "sha256:" + "0a" * 32


def npm(*inputs: PackageInput, name: str = "mcp-redis", version: str | None = "1.2.3") -> Package:
    return Package(PackageKind.NPM, name, version, inputs=inputs)


def candidate(package: Package, parameters: Mapping[str, str] | None = None) -> Candidate:
    return Candidate("npm:x", "x", "", package, parameters=parameters or {})


def plan(
    package: Package,
    parameters: Mapping[str, str] | None = None,
    values: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> LaunchPlan:
    return plan_launch(
        candidate(package, parameters), server="redis", values=values or {}, environ=environ or {}
    )


# --- the portable command ----------------------------------------------------------------------


def test_each_kind_has_its_portable_command() -> None:
    assert plan(npm()).command == ("npx", "-y", "mcp-redis@1.2.3")
    named = replace(npm(), executable="serve", arguments=("--stdio",))
    assert plan(named).command == ("npx", "-y", "--package=mcp-redis@1.2.3", "serve", "--stdio")
    pypi = Package(PackageKind.PYPI, "mcp-server-time", "2026.1.26")
    assert plan(pypi).command == ("uvx", "--from", "mcp-server-time==2026.1.26", "mcp-server-time")
    assert plan(replace(pypi, executable="clock")).command[-1] == "clock"
    assert plan(Package(PackageKind.HTTP, "https://mcp.example.com/mcp")).command == ()


def test_an_image_is_run_by_digest_and_gets_variables_by_name_only() -> None:
    image = Package(
        PackageKind.OCI,
        "ghcr.io/acme/mcp-redis",
        "1.2.3",
        DIGEST,
        arguments=("stdio",),
        inputs=(
            PackageInput("TOKEN", required=True, secret=True),
            PackageInput("HOST", default="localhost"),
        ),
    )
    made = plan(image, environ={"TOKEN": "s3cret"})
    assert made.command == (
        *("docker", "run", "-i", "--rm", "-e", "HOST", "-e", "TOKEN"),
        *(f"ghcr.io/acme/mcp-redis@{DIGEST}", "stdio"),
    )
    assert "s3cret" not in repr(made)
    assert plan(replace(image, integrity=None, inputs=())).command[4] == "ghcr.io/acme/mcp-redis:1.2.3"


# --- values ------------------------------------------------------------------------------------


def test_a_given_value_wins_over_the_template_and_that_over_the_default() -> None:
    package = npm(PackageInput("REDIS_URL", template="redis://{host}:{port}", default="redis://localhost"))
    known = {"host": "db-1", "port": "6380"}
    assert plan(package, known, {"REDIS_URL": "redis://x"}).environment == {"REDIS_URL": "redis://x"}
    assert plan(package, known).environment == {"REDIS_URL": "redis://db-1:6380"}
    assert plan(package, {"host": "db-1"}).environment == {"REDIS_URL": "redis://localhost"}


def test_the_first_alternative_whose_parameters_are_known_applies() -> None:
    package = npm(PackageInput("REDIS_URL", template="redis://{host}:{port}|redis://{host}|{url}"))
    assert plan(package, {"host": "h"}).environment == {"REDIS_URL": "redis://h"}
    assert plan(package, {"url": "redis://u"}).environment == {"REDIS_URL": "redis://u"}
    assert plan(package, {"port": "1"}).environment == {}


def test_an_option_becomes_two_arguments_and_a_nameless_input_one() -> None:
    package = replace(
        npm(
            PackageInput("--host", ARGUMENT, template="{host}"),
            PackageInput("", ARGUMENT, default="/data"),
            PackageInput("", ARGUMENT),
        ),
        arguments=("--stdio",),
    )
    made = plan(package, {"host": "db-1"}, {"argument-2": "/more"})
    assert made.arguments == ("--stdio", "--host", "db-1", "/data", "/more")
    assert made.command == ("npx", "-y", "mcp-redis@1.2.3", *made.arguments)
    assert plan(package, values={"host": "x"}).arguments[1:3] == ("--host", "x")


def test_headers_go_to_remotes_apart_from_variables() -> None:
    remote = Package(
        PackageKind.HTTP,
        "https://mcp.example.com/mcp",
        inputs=(
            PackageInput("X-Region", InputPlace.HEADER, default="eu"),
            PackageInput("Authorization", InputPlace.HEADER, secret=True, required=True),
        ),
    )
    made = plan(remote, values={"Authorization": "keyring:example"})
    assert made.headers == {"X-Region": "eu"}
    assert made.secrets == {"Authorization": "keyring:example"}
    assert made.environment == {}


def test_an_empty_value_leaves_an_optional_input_out() -> None:
    package = npm(PackageInput("HOST", default="localhost"))
    assert plan(package, values={"HOST": ""}).environment == {}
    with pytest.raises(MissingInput):
        plan(npm(PackageInput("HOST", default="localhost", required=True)), values={"HOST": ""})


def test_where_a_persons_own_tools_point_is_taken_over_when_the_server_asks() -> None:
    package = npm(PackageInput("KUBECONFIG"), PackageInput("OTHER"))
    environ = {"KUBECONFIG": "/home/me/kube", "OTHER": "x", "AWS_PROFILE": "prod"}
    assert plan(package, environ=environ).environment == {"KUBECONFIG": "/home/me/kube"}


def test_a_value_must_be_one_of_the_choices() -> None:
    package = npm(PackageInput("MODE", choices=("read", "write")))
    assert plan(package, values={"MODE": "read"}).environment == {"MODE": "read"}
    with pytest.raises(InvalidInput, match="read, write"):
        plan(package, values={"MODE": "admin"})


def test_an_unknown_input_is_told_with_the_ones_that_exist() -> None:
    with pytest.raises(InvalidInput) as raised:
        plan(npm(PackageInput("HOST")), values={"HOTS": "x"})
    assert "HOTS" in raised.value.message
    assert "HOST" in raised.value.hint


# --- secrets -----------------------------------------------------------------------------------

TOKEN = PackageInput("GITHUB_TOKEN", secret=True, required=True, description="A personal access token")


def test_a_secret_is_a_reference_to_the_variable_of_its_name() -> None:
    made = plan(npm(TOKEN), environ={"GITHUB_TOKEN": "ghp_s3cret"})
    assert made.secrets == {"GITHUB_TOKEN": "env:GITHUB_TOKEN"}
    assert "ghp_s3cret" not in repr(made)


@pytest.mark.parametrize("reference", ["env:MY_TOKEN", "keyring:github"])
def test_a_person_may_name_another_place_for_a_secret(reference: str) -> None:
    made = plan(npm(TOKEN), values={"GITHUB_TOKEN": reference}, environ={"GITHUB_TOKEN": "other"})
    assert made.secrets == {"GITHUB_TOKEN": reference}


def test_a_plain_secret_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInput) as raised:
        plan(npm(TOKEN), values={"GITHUB_TOKEN": "ghp_s3cret"})
    assert "ghp_s3cret" not in str(raised.value.to_dict())
    assert "env:" in raised.value.hint


def test_every_missing_input_is_named_with_the_way_to_provide_it() -> None:
    package = npm(TOKEN, PackageInput("HOST", required=True), PackageInput("EXTRA", secret=True))
    with pytest.raises(MissingInput) as raised:
        plan(package)
    assert raised.value.details == {"missing": ["GITHUB_TOKEN", "HOST"]}
    assert "A personal access token" in raised.value.hint
    assert "keyring set war-room GITHUB_TOKEN" in raised.value.hint


def test_an_optional_secret_that_is_absent_is_left_out() -> None:
    made = plan(npm(replace(TOKEN, required=False, default="registry-chosen")))
    assert made.secrets == {}
    assert made.environment == {}


@pytest.mark.parametrize("value", ["env:TOKEN", None])
def test_no_secret_is_put_on_a_command_line(value: str | None) -> None:
    package = npm(PackageInput("--token", ARGUMENT, secret=True, required=True))
    with pytest.raises(MissingInput, match="--token"):
        plan(package, values={"--token": value} if value else {}, environ={"TOKEN": "s3cret", "--token": "x"})


def test_any_variable_may_be_given_by_reference() -> None:
    made = plan(npm(PackageInput("DATABASE_URL")), values={"DATABASE_URL": "env:DB"})
    assert made.secrets == {"DATABASE_URL": "env:DB"}
    assert made.environment == {}


def test_a_password_inside_an_address_is_not_stored() -> None:
    with pytest.raises(InvalidInput) as raised:
        plan(npm(PackageInput("DATABASE_URL")), values={"DATABASE_URL": "postgres://me:hunter2@db/x"})
    assert "hunter2" not in str(raised.value.to_dict())


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version",
    [None, "", "latest", "^1.2.3", "~1", "1.x", ">=1", "1.2.3 || 2", "1.2.3\n", "git+https://x", "*"],
)
@pytest.mark.parametrize("kind", [PackageKind.NPM, PackageKind.PYPI])
def test_only_an_exact_version_is_started(kind: PackageKind, version: str | None) -> None:
    with pytest.raises(InvalidInput, match="exact version"):
        plan(Package(kind, "name", version))


@pytest.mark.parametrize("version", ["1.2", "01.2.3", "v1.2.3", "١.٢.٣", "1.2.3-", "1.2.3;x"])
def test_an_npm_version_is_three_plain_numbers(version: str) -> None:
    with pytest.raises(InvalidInput):
        plan(npm(version=version))


@pytest.mark.parametrize("version", ["1.0.0-beta.1", "2026.8.31", "0.0.0+build.7"])
def test_pre_releases_of_npm_are_exact_too(version: str) -> None:
    assert plan(npm(version=version)).command[-1] == f"mcp-redis@{version}"


@pytest.mark.parametrize(
    "name",
    [
        *("-g", "--registry", "a b", "a;b", "a|b", "$(id)", "`id`", "a&b", "../x", "a/../b", "@a/../b", ".x"),
        *(
            "git+ssh://x",
            "github:a/b",
            "file:x",
            "https://x/y.tgz",
            "a/b",
            "@a",
            "@/b",
            "A",
            "a\n",
            "a\0",
            "",
        ),
        *("@-a/b", "npm:other", "name@1.0.0", "x" * 300, "node_modules/..", "aא", "a..b"),
    ],
)
def test_what_is_no_npm_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        plan(npm(name=name))


@pytest.mark.parametrize(
    "name", ["-r", "a b", "a;b", "a[extra]", "a @ git+x", "../x", "a/b", "a==1", "a\n", "", "a-"]
)
def test_what_is_no_pypi_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        plan(Package(PackageKind.PYPI, name, "1.0"))


@pytest.mark.parametrize(
    ("reference", "version", "integrity"),
    [
        ("acme/x", None, None),
        ("acme/x", "latest", None),
        ("acme/x:latest", None, None),
        ("acme/x:1", "2", None),
        ("acme/x", "1", "sha512-abc"),
        (f"acme/x@{DIGEST}", None, "sha256:" + "1b" * 32),
        ("--privileged", "1", None),
        ("-v", "1", None),
        ("acme/x y", "1", None),
        ("acme/../x", "1", None),
        ("Acme/x", "1", None),
        ("acme/x;id", "1", None),
    ],
)
def test_what_is_no_exact_image_is_refused(
    reference: str, version: str | None, integrity: str | None
) -> None:
    with pytest.raises(InvalidInput):
        plan(Package(PackageKind.OCI, reference, version, integrity))


def test_a_moving_tag_is_exact_with_its_digest() -> None:
    made = plan(Package(PackageKind.OCI, "localhost:5000/acme/x:latest", None, DIGEST))
    assert made.command[-1] == f"localhost:5000/acme/x@{DIGEST}"


@pytest.mark.parametrize(
    "wanted",
    [
        PackageInput("--host", ARGUMENT, template="{path}"),
        PackageInput("", ARGUMENT, template="{path}"),
        PackageInput("", ARGUMENT, default="--eval=x"),
    ],
)
def test_no_value_becomes_an_option(wanted: PackageInput) -> None:
    with pytest.raises(InvalidInput, match="dash"):
        plan(npm(wanted), {"path": "--require=/tmp/x.js"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "h/../../x"),
        ("host", "-h"),
        ("host", "h?sslcert=/etc/passwd"),
        ("host", "a@b"),
        ("port", "0"),
        ("port", "65536"),
        ("port", "80/x"),
        ("port", "٨٠"),
        ("database", "a?x=y"),
        ("user", "me:pw@h"),
    ],
)
def test_a_problems_value_cannot_change_the_address_around_it(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        plan(npm(PackageInput("URL", template="redis://x/{" + name + "}")), {name: value})


@pytest.mark.parametrize(
    "name", ["NODE_OPTIONS", "LD_PRELOAD", "npm_config_registry", "PATH", "A=B", "A\n", ""]
)
def test_a_package_cannot_ask_for_a_launcher_variable(name: str) -> None:
    with pytest.raises(InvalidInput):
        plan(npm(PackageInput(name, default="x")))


@pytest.mark.parametrize("name", ["Host", "Content-Length", "X Y", "X:Y", "X\r\nY", ""])
def test_a_package_cannot_ask_for_a_header_of_the_transport(name: str) -> None:
    remote = Package(PackageKind.HTTP, "https://x.example", inputs=(PackageInput(name, InputPlace.HEADER),))
    with pytest.raises(InvalidInput):
        plan(remote)


@pytest.mark.parametrize("name", ["--", "-", "--a b", "--a=b", "--a\n", "-;"])
def test_a_malformed_option_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        plan(npm(PackageInput(name, ARGUMENT, default="x")))


HOSTILE = st.one_of(
    st.text(max_size=30),
    st.text(alphabet=string.printable, max_size=30),
    st.sampled_from(
        [
            "-x",
            "--eval",
            "; id",
            "$(id)",
            "`id`",
            "a\nb",
            "a\0b",
            "|sh",
            "&& id",
            "NODE_OPTIONS",
            "LD_PRELOAD",
        ]
    ),
    st.sampled_from(["mcp-redis", "@a/b", "1.2.3", "https://x.example", "HOST", "--host", "x"]),
)
INPUTS = (
    PackageInput("HOST", template="{host}"),
    PackageInput("PATH_PREFIX", template="{path}|x{host}"),
    PackageInput("--host", ARGUMENT, template="{host}"),
    PackageInput("", ARGUMENT, template="{path}"),
    PackageInput("X-Key", InputPlace.HEADER, template="{path}"),
    PackageInput("MODE", choices=("read", "write")),
)
SPECS = st.builds(
    Package,
    kind=st.sampled_from(PackageKind),
    identifier=st.sampled_from(["mcp-redis", "https://mcp.example.com/"]) | HOSTILE,
    version=st.just("1.2.3") | HOSTILE,
    executable=st.none() | HOSTILE,
    inputs=st.none().map(lambda _: ())
    | st.builds(PackageInput, name=HOSTILE, default=HOSTILE).map(lambda x: (x,)),
)
EXACT = st.sampled_from(
    [
        Package(PackageKind.NPM, "@acme/mcp-redis", "1.2.3"),
        Package(PackageKind.PYPI, "mcp-redis", "1.2.3"),
        Package(PackageKind.OCI, "acme/mcp-redis", "1.2.3"),
        Package(PackageKind.HTTP, "https://mcp.example.com/mcp"),
    ]
)
SPEC = re.compile(r"[A-Za-z0-9@._/:=+!-]+")


@given(SPECS)
def test_a_hostile_description_never_gets_out_of_its_place(package: Package) -> None:
    try:
        made = plan(package)
    except InvalidInput:
        return
    check_places(package, made)


@given(
    package=EXACT,
    inputs=st.lists(st.sampled_from(INPUTS), max_size=3, unique=True),
    parameters=st.fixed_dictionaries({}, optional={"host": HOSTILE, "path": HOSTILE}),
    values=st.dictionaries(
        st.sampled_from(["HOST", "host", "--host", "argument-1", "X-Key"]), HOSTILE, max_size=1
    ),
)
def test_a_hostile_value_never_gets_out_of_its_place(
    package: Package, inputs: list[PackageInput], parameters: dict[str, str], values: dict[str, str]
) -> None:
    package = replace(package, inputs=tuple(inputs))
    try:
        made = plan(package, parameters, values)
    except InvalidInput:
        return
    check_places(package, made)


def check_places(package: Package, made: LaunchPlan) -> None:
    """Everything in a plan is where it belongs and is nothing else."""
    count = len(made.arguments)
    head = made.command[: len(made.command) - count]
    assert made.command == () or made.command[len(head) :] == made.arguments
    assert all(SPEC.fullmatch(word) for word in head)
    assert not any(refused_name(name) for name in made.environment)
    texts = [*made.command, *made.environment.values(), *made.headers.values(), *made.headers]
    assert not any(ord(char) < 32 or ord(char) == 127 for text in texts for char in text)
    options = {wanted.name for wanted in package.inputs}
    assert all(word in options for word in made.arguments if word.startswith("-"))
    assert head[:2] in ((), ("npx", "-y"), ("uvx", "--from"), ("docker", "run"))


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "identifier", "name"),
    [
        (PackageKind.NPM, "@modelcontextprotocol/server-everything", "everything"),
        (PackageKind.NPM, "@sentry/mcp-server", "sentry"),
        (PackageKind.NPM, "mcp-server-kubernetes", "kubernetes"),
        (PackageKind.NPM, "@upstash/context7-mcp", "context7"),
        (PackageKind.NPM, "mcp-server", "server"),
        (PackageKind.PYPI, "mcp-server-time", "time"),
        (PackageKind.PYPI, "Redis_MCP.Server", "redis"),
        (PackageKind.OCI, "ghcr.io/github/github-mcp-server:1.0", "github"),
        (PackageKind.HTTP, "https://mcp.sentry.dev/mcp", "sentry"),
        (PackageKind.HTTP, "http://localhost:8080/mcp", "localhost"),
        (PackageKind.HTTP, "http://127.0.0.1/mcp", "127-0-0-1"),
    ],
)
def test_a_server_is_named_by_the_word_that_tells_it_apart(
    kind: PackageKind, identifier: str, name: str
) -> None:
    unnamed = replace(candidate(Package(kind, identifier)), name="")
    assert server_name(unnamed, ()) == name


def test_a_taken_name_gets_a_number() -> None:
    found = candidate(Package(PackageKind.PYPI, "mcp-server-time"))
    assert server_name(found, {"time"}) == "time-2"
    assert server_name(found, {"time", "time-2"}) == "time-3"


@given(HOSTILE, HOSTILE, st.sampled_from(PackageKind), st.integers(0, 12))
@example("https://[::1", "", PackageKind.HTTP, 1)
def test_a_name_is_short_plain_and_free(identifier: str, title: str, kind: PackageKind, rounds: int) -> None:
    found = replace(candidate(Package(kind, identifier)), name=title)
    taken: set[str] = set()
    for _ in range(rounds + 1):
        name = server_name(found, taken)
        assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,18}[a-z0-9])?", name)
        assert name not in taken
        taken.add(name)


def test_a_reviewed_name_wins_over_the_packages() -> None:
    reviewed = replace(candidate(npm(name="container-exec")), name="docker", sources=("curated", "npm"))
    assert server_name(reviewed, ()) == "docker"
    assert server_name(replace(reviewed, sources=("npm",)), ()) != "docker"
