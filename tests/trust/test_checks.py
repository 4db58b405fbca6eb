"""What is looked at before anything is fetched."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trust.examples import CANDIDATE, NPM, OFFICIAL, PLAN, REMOTE
from warroom_mcp.models import Candidate, LaunchPlan, Origin, Package, PackageKind
from warroom_mcp.trust import Check, Outcome, check

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
DIGEST = "sha256:" + "0a" * 32


def found(candidate: Candidate, plan: LaunchPlan | None = None) -> dict[str, Outcome]:
    return {one.name: one.outcome for one in check(candidate, plan)}


def with_package(kind: PackageKind, identifier: str, version: str | None = None, **rest: str) -> Candidate:
    return replace(CANDIDATE, package=Package(kind, identifier, version, **rest))  # type: ignore[arg-type] # the rest are texts


def test_a_sound_candidate_passes_everything() -> None:
    assert found(OFFICIAL, PLAN) == dict.fromkeys(
        ("name", "version", "integrity", "lifetime", "origin", "plan"), PASS
    )


@pytest.mark.parametrize(
    ("kind", "name", "outcome"),
    [
        (PackageKind.NPM, "server", PASS),
        (PackageKind.NPM, "@a.b/c_d-e", PASS),
        (PackageKind.NPM, "Server", FAIL),
        (PackageKind.NPM, "-y", FAIL),
        (PackageKind.NPM, "../a", FAIL),
        (PackageKind.NPM, "@a/../b", FAIL),
        (PackageKind.NPM, "a b", FAIL),
        (PackageKind.NPM, "a\n", FAIL),
        (PackageKind.NPM, "git+https://a.example/b", FAIL),
        (PackageKind.NPM, "a;id", FAIL),
        (PackageKind.NPM, "", FAIL),
        (PackageKind.NPM, "a" * 215, FAIL),
        (PackageKind.NPM, "ｓerver", FAIL),
        (PackageKind.PYPI, "Redis.mcp_server-2", PASS),
        (PackageKind.PYPI, "a", PASS),
        (PackageKind.PYPI, "a-", FAIL),
        (PackageKind.PYPI, "--index-url", FAIL),
        (PackageKind.PYPI, "a[b]", FAIL),
        (PackageKind.PYPI, "a @ https://a.example", FAIL),
        (PackageKind.OCI, "ghcr.io/a/b", PASS),
        (PackageKind.OCI, "localhost:5000/a_b:1.0", PASS),
        (PackageKind.OCI, "a/b@" + DIGEST, PASS),
        (PackageKind.OCI, "A/b", FAIL),
        (PackageKind.OCI, "--privileged", FAIL),
        (PackageKind.OCI, "a/../b", FAIL),
    ],
)
def test_names_keep_to_their_grammar(kind: PackageKind, name: str, outcome: Outcome) -> None:
    assert found(with_package(kind, name, "1.0.0"))["name"] is outcome


@pytest.mark.parametrize("executable", ["../x", "a b", "-x", "a/b", "", "a\n"])
def test_a_program_is_a_plain_name(executable: str) -> None:
    candidate = with_package(PackageKind.NPM, "a", "1.0.0", executable=executable)
    assert found(candidate)["name"] is FAIL


@pytest.mark.parametrize(
    ("kind", "version", "outcome"),
    [
        (PackageKind.NPM, "1.2.3", PASS),
        (PackageKind.NPM, "1.2.3-rc.1+build", PASS),
        (PackageKind.NPM, None, FAIL),
        (PackageKind.NPM, "latest", FAIL),
        (PackageKind.NPM, "^1.2.3", FAIL),
        (PackageKind.NPM, "1.x", FAIL),
        (PackageKind.NPM, "1.2", FAIL),
        (PackageKind.NPM, "1.2.3 || 2", FAIL),
        (PackageKind.NPM, "1.2.3\n", FAIL),
        (PackageKind.PYPI, "1", PASS),
        (PackageKind.PYPI, "2!1.0rc1.post2.dev3", PASS),
        (PackageKind.PYPI, "1.*", FAIL),
        (PackageKind.PYPI, ">=1", FAIL),
        (PackageKind.PYPI, "1" + "a" * 5000, FAIL),
        (PackageKind.OCI, "1.2", PASS),
        (PackageKind.OCI, "latest", FAIL),
        (PackageKind.OCI, None, FAIL),
    ],
)
def test_only_one_exact_version_can_be_approved(
    kind: PackageKind, version: str | None, outcome: Outcome
) -> None:
    assert found(with_package(kind, "a", version))["version"] is outcome


@pytest.mark.parametrize("image", ["reg:5000/a", "a/b:latest"])
def test_an_image_without_an_exact_tag_fails(image: str) -> None:
    assert found(with_package(PackageKind.OCI, image))["version"] is FAIL


@pytest.mark.parametrize("image", ["a:1.0", "reg:5000/a/b:1.0", "a@" + DIGEST])
def test_an_image_may_name_its_version_itself(image: str) -> None:
    assert found(with_package(PackageKind.OCI, image))["version"] is PASS


@pytest.mark.parametrize(
    ("kind", "integrity", "outcome"),
    [
        (PackageKind.NPM, NPM.integrity, PASS),
        (PackageKind.NPM, f"sha1-abc= {NPM.integrity}", PASS),
        (PackageKind.NPM, "sha384-" + "a" * 64, PASS),
        (PackageKind.NPM, None, UNKNOWN),
        (PackageKind.NPM, "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", UNKNOWN),
        (PackageKind.NPM, "sha512-abc", FAIL),
        (PackageKind.NPM, DIGEST, FAIL),
        (PackageKind.NPM, "", FAIL),
        (PackageKind.PYPI, DIGEST, PASS),
        (PackageKind.PYPI, DIGEST.upper(), FAIL),
        (PackageKind.PYPI, None, UNKNOWN),
        (PackageKind.OCI, DIGEST, PASS),
        (PackageKind.OCI, None, UNKNOWN),
    ],
)
def test_a_digest_is_good_missing_or_bad(kind: PackageKind, integrity: str | None, outcome: Outcome) -> None:
    candidate = replace(CANDIDATE, package=Package(kind, "a", "1.0.0", integrity))
    assert found(candidate)["integrity"] is outcome


def test_deprecation_is_told_and_withdrawal_fails() -> None:
    told = {one.name: one for one in check(replace(OFFICIAL, deprecated="use b", heir="npm:b"))}
    assert told["lifetime"] == Check("lifetime", UNKNOWN, "deprecated: use b; npm:b takes its place")
    assert found(replace(OFFICIAL, deprecated="yanked: leaked a key"))["lifetime"] is FAIL


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("https://mcp.example/mcp", PASS),
        ("https://mcp.example:8443/mcp?a=b", PASS),
        ("http://127.0.0.1:8000/mcp", PASS),
        ("http://[::1]:8000/mcp", PASS),
        ("http://localhost/mcp", PASS),
        ("http://mcp.example/mcp", FAIL),
        ("http://localhost.example/mcp", FAIL),
        ("http://127.0.0.1.example/mcp", FAIL),
        ("http://0x7f000001/mcp", FAIL),
        ("https://user:pass@mcp.example/mcp", FAIL),
        ("https://127.0.0.1@evil.example/mcp", FAIL),
        ("https:///mcp", FAIL),
        ("https://a:b/mcp", FAIL),
        ("https://[::1/mcp", FAIL),
        ("file:///etc/passwd", FAIL),
        ("javascript:alert(1)", FAIL),
        ("-oProxyCommand=x", FAIL),
        ("https://mcp.example/ --x", FAIL),
        ("https://mcp.example/\n", FAIL),
        ("https://mcp.exаmple/", FAIL),
        ("", FAIL),
    ],
)
def test_a_remote_is_encrypted_or_on_this_machine(url: str, outcome: Outcome) -> None:
    answer = found(replace(REMOTE, package=Package(PackageKind.SSE, url)))
    assert answer["address"] is outcome
    assert "version" not in answer
    assert answer["integrity"] is UNKNOWN


@pytest.mark.parametrize(
    ("origin", "evidence", "outcome"),
    [
        (Origin.OFFICIAL, "namespace", PASS),
        (Origin.KNOWN_PUBLISHER, "repository", PASS),
        (Origin.OFFICIAL, "", UNKNOWN),
        (Origin.UNPROVEN, "", UNKNOWN),
        (Origin.UNPROVEN, "a claim", UNKNOWN),
    ],
)
def test_an_origin_without_proof_is_told(origin: Origin, evidence: str, outcome: Outcome) -> None:
    assert found(replace(CANDIDATE, origin=origin, origin_evidence=evidence))["origin"] is outcome


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, package=replace(NPM, version="1.2.4")),
        replace(PLAN, candidate_id="npm:other"),
        replace(PLAN, command=("npx", "-y", "@example/redis-mcp")),
        replace(PLAN, command=("npx", "-y", "@example/redis-mcp@1.2.30")),
        replace(PLAN, command=()),
    ],
)
def test_a_plan_for_something_else_fails(plan: LaunchPlan) -> None:
    assert found(CANDIDATE, plan)["plan"] is FAIL


def test_plans_of_every_kind_pass() -> None:
    named = replace(PLAN, command=("npx", "-y", "--package=@example/redis-mcp@1.2.3", "redis"))
    assert found(CANDIDATE, named)["plan"] is PASS
    pypi = with_package(PackageKind.PYPI, "a", "1.0")
    plan = replace(PLAN, package=pypi.package, command=("uvx", "--from", "a==1.0", "a"))
    assert found(pypi, plan)["plan"] is PASS
    remote = replace(PLAN, candidate_id=REMOTE.id, package=REMOTE.package, command=())
    assert found(REMOTE, remote)["plan"] is PASS
    assert found(REMOTE, replace(remote, command=("sh",)))["plan"] is FAIL


@given(st.sampled_from(PackageKind), st.text(max_size=30), st.none() | st.text(max_size=20))
def test_any_text_gets_an_answer(kind: PackageKind, identifier: str, text: str | None) -> None:
    package = Package(kind, identifier, text, text, executable=text)
    answer = check(replace(CANDIDATE, package=package))
    assert len({one.name for one in answer}) == len(answer)
    assert all(one.evidence for one in answer)


def test_what_nothing_confirms_to_be_the_server_fails() -> None:
    claim = replace(CANDIDATE, unconfirmed="a list names this package, and nothing confirms it")
    (found,) = [one for one in check(claim) if one.name == "claim"]
    assert (found.outcome, found.evidence) == (Outcome.FAIL, claim.unconfirmed)
    assert not [one for one in check(CANDIDATE) if one.name == "claim"]
