"""The table of trust levels, whole."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trust.examples import CANDIDATE, NPM, OFFICIAL, REMOTE
from warroom_mcp.errors import InvalidInput
from warroom_mcp.models import Approver, Candidate, Origin, Package, PackageKind, TrustLevel, Verdict
from warroom_mcp.trust import Check, Outcome, Policy, decide, level_of

ALLOW, ASK, DENY = Verdict.ALLOW, Verdict.ASK, Verdict.DENY
PERSON, ADMINISTRATOR = Approver.PERSON, Approver.ADMINISTRATOR
BY_LEVEL = {
    TrustLevel.OFFICIAL: OFFICIAL,
    TrustLevel.VERIFIED: CANDIDATE,
    TrustLevel.COMMUNITY: replace(CANDIDATE, weekly_downloads=999),
    TrustLevel.BLOCKED: replace(OFFICIAL, deprecated="yanked: broken"),
}
RANK = [TrustLevel.OFFICIAL, TrustLevel.VERIFIED, TrustLevel.COMMUNITY]
PASSED = (Check("name", Outcome.PASS, "well formed"), Check("integrity", Outcome.UNKNOWN, "none"))
FAILED = (*PASSED, Check("version", Outcome.FAIL, "no exact version"))


@pytest.mark.parametrize(
    ("level", "auto_approve", "remembered", "covered"),
    list(product(TrustLevel, (False, True), (False, True), (None, *RANK))),
)
def test_the_whole_table(
    level: TrustLevel, auto_approve: bool, remembered: bool, covered: TrustLevel | None
) -> None:
    decision = decide(
        BY_LEVEL[level],
        Policy(auto_approve=covered),
        auto_approve=auto_approve,
        remembered=remembered,
        checks=PASSED,
    )
    granted = (
        auto_approve
        and level is not TrustLevel.BLOCKED
        and covered is not None
        and RANK.index(level) <= RANK.index(covered)
    )
    known = remembered and level is TrustLevel.OFFICIAL
    expected = DENY if level is TrustLevel.BLOCKED else ALLOW if granted or known else ASK
    assert (decision.level, decision.verdict) == (level, expected)
    assert decision.approver is (ADMINISTRATOR if level is TrustLevel.COMMUNITY else PERSON)
    assert decision.remember is (level is TrustLevel.OFFICIAL)
    assert (decision.auto_approve_refused is not None) == (
        auto_approve and not granted and decision.verdict is not ALLOW
    )


@pytest.mark.parametrize(
    ("candidate", "level"),
    [
        (OFFICIAL, TrustLevel.OFFICIAL),
        (replace(OFFICIAL, weekly_downloads=None), TrustLevel.OFFICIAL),
        (replace(OFFICIAL, deprecated="archived"), TrustLevel.OFFICIAL),
        (replace(CANDIDATE, weekly_downloads=1_000), TrustLevel.VERIFIED),
        (replace(CANDIDATE, weekly_downloads=999), TrustLevel.COMMUNITY),
        (replace(CANDIDATE, weekly_downloads=None), TrustLevel.COMMUNITY),
        (replace(CANDIDATE, weekly_downloads=0, origin=Origin.KNOWN_PUBLISHER), TrustLevel.COMMUNITY),
        (replace(OFFICIAL, deprecated="Yanked by its publisher"), TrustLevel.BLOCKED),
    ],
)
def test_levels_are_earned(candidate: Candidate, level: TrustLevel) -> None:
    assert level_of(candidate, Policy(), PASSED) is level


def test_a_failed_check_blocks_and_an_unknown_one_does_not() -> None:
    for candidate in BY_LEVEL.values():
        assert level_of(candidate, Policy(), FAILED) is TrustLevel.BLOCKED
    assert level_of(CANDIDATE, Policy(), PASSED) is TrustLevel.VERIFIED
    decision = decide(OFFICIAL, Policy(), auto_approve=True, remembered=True, checks=FAILED)
    assert decision.verdict is DENY
    assert "version: no exact version" in decision.reason


def test_a_deprecated_official_server_is_told_as_such() -> None:
    candidate = replace(OFFICIAL, deprecated="archived", heir="npm:new")
    decision = decide(candidate, Policy(), auto_approve=False, remembered=False, checks=PASSED)
    assert decision.level is TrustLevel.OFFICIAL
    assert "deprecated (archived, npm:new takes its place)" in decision.reason


@pytest.mark.parametrize(
    ("candidate", "denied"),
    [
        (CANDIDATE, "npm:@example/redis-mcp"),
        (CANDIDATE, "@Example/Redis_MCP"),
        (replace(CANDIDATE, id="npm:harmless"), "npm:@example/redis-mcp"),
        (replace(CANDIDATE, package=Package(PackageKind.PYPI, "Redis_MCP.server")), "pypi:redis-mcp-server"),
        (REMOTE, "remote:https://MCP.example/mcp/"),
        (replace(CANDIDATE, package=Package(PackageKind.OCI, "reg:5000/a/b:1.0")), "oci:reg:5000/a/b"),
        (
            replace(CANDIDATE, package=Package(PackageKind.OCI, "a/b:1@sha256:" + "0" * 64)),
            "oci:a/b",
        ),
    ],
)
def test_what_is_denied_is_blocked_in_every_spelling(candidate: Candidate, denied: str) -> None:
    policy = Policy(denied=frozenset({denied}), auto_approve=TrustLevel.COMMUNITY)
    decision = decide(candidate, policy, auto_approve=True, remembered=True, checks=PASSED)
    assert decision.verdict is DENY
    assert "deny list" in decision.reason


def test_a_deny_list_does_not_name_others() -> None:
    policy = Policy(denied=frozenset({"npm:@example/redis", "redis-mcp", "pypi:@example/redis-mcp"}))
    assert level_of(CANDIDATE, policy, PASSED) is TrustLevel.VERIFIED


def test_a_wish_that_is_not_granted_is_answered_in_words() -> None:
    decision = decide(CANDIDATE, Policy(), auto_approve=True, remembered=False, checks=PASSED)
    assert decision.auto_approve_refused == (
        "auto_approve was not honoured: the operator's policy allows it up to the level official, "
        "and this server is verified"
    )


@pytest.mark.parametrize(
    ("setting", "level"),
    [("official", TrustLevel.OFFICIAL), (" None ", None), ("Community", TrustLevel.COMMUNITY)],
)
def test_the_setting_names_a_level(setting: str, level: TrustLevel | None) -> None:
    assert Policy.from_setting(setting) == Policy(auto_approve=level)


@pytest.mark.parametrize("setting", ["", "blocked", "all", "official,verified"])
def test_a_setting_that_names_no_level_is_refused(setting: str) -> None:
    with pytest.raises(InvalidInput, match="no level"):
        Policy.from_setting(setting)


def test_a_policy_cannot_approve_what_is_blocked() -> None:
    with pytest.raises(InvalidInput):
        Policy(auto_approve=TrustLevel.BLOCKED)


candidates = st.builds(
    Candidate,
    id=st.sampled_from(["npm:a", "npm:b"]),
    name=st.text(max_size=3),
    description=st.text(max_size=3),
    package=st.sampled_from([NPM, REMOTE.package, Package(PackageKind.PYPI, "x")]),
    origin=st.sampled_from(Origin),
    weekly_downloads=st.none() | st.integers(-1, 3000),
    deprecated=st.none() | st.sampled_from(["", "old", "yanked", "yanked: x"]),
)
policies = st.builds(
    Policy,
    auto_approve=st.sampled_from([None, *RANK]),
    verified_downloads=st.integers(0, 3000),
    denied=st.frozensets(st.sampled_from(["npm:a", "x"])),
)
checks = st.lists(st.builds(Check, st.just("c"), st.sampled_from(Outcome), st.text(max_size=3)), max_size=3)


@given(candidates, policies, st.booleans(), st.booleans(), checks)
def test_nothing_is_allowed_that_policy_does_not_allow(
    candidate: Candidate, policy: Policy, auto_approve: bool, remembered: bool, found: list[Check]
) -> None:
    decision = decide(candidate, policy, auto_approve=auto_approve, remembered=remembered, checks=found)
    assert decision.level is level_of(candidate, policy, found)
    assert decision.reason
    blocked = (
        any(check.outcome is Outcome.FAIL for check in found)
        or (candidate.deprecated or "").startswith("yanked")
        or candidate.id in policy.denied
        or candidate.package.identifier in policy.denied
    )
    assert (decision.verdict is DENY) == blocked == (decision.level is TrustLevel.BLOCKED)
    if decision.verdict is ALLOW:
        by_policy = auto_approve and policy.covers(decision.level)
        assert by_policy or (remembered and candidate.origin is Origin.OFFICIAL)
    if decision.level is TrustLevel.COMMUNITY:
        assert decision.approver is ADMINISTRATOR
