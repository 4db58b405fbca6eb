"""Who has to agree before a candidate is started: a table of trust levels, and nothing else decides it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from warroom_mcp.errors import InvalidInput
from warroom_mcp.models import Approver, Candidate, Decision, Origin, TrustLevel, Verdict
from warroom_mcp.trust.checks import Check, Outcome, is_yanked

# From most to least trusted; blocked stands apart, as nothing reaches it.
_ORDER = (TrustLevel.OFFICIAL, TrustLevel.VERIFIED, TrustLevel.COMMUNITY)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator has laid down; no tool that a model can call changes it.

    `auto_approve` is the least trusted level that needs no person when a caller asks for that, or None
    for no level. `verified_downloads` counts weekly downloads. `denied` holds candidate ids
    (`npm:name`) or bare package names that are never started.
    """

    auto_approve: TrustLevel | None = TrustLevel.OFFICIAL
    verified_downloads: int = 1000
    denied: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.auto_approve is TrustLevel.BLOCKED:
            raise InvalidInput("What is blocked cannot be approved automatically.")

    @classmethod
    def from_setting(cls, level: str) -> Self:
        """The default policy with another `auto_approve` level, or `none`.

        Raises:
            InvalidInput: there is no such level.
        """
        word = level.strip().lower()
        if word == "none":
            return cls(auto_approve=None)
        if word not in _ORDER:
            raise InvalidInput(
                f"{level[:40]!r} is no level for auto_approve.",
                hint=f"Set WARROOM_AUTO_APPROVE_LEVEL to one of none, {', '.join(_ORDER)}.",
            )
        return cls(auto_approve=TrustLevel(word))

    def covers(self, level: TrustLevel) -> bool:
        """Whether a caller's wish for automatic approval is granted at this level."""
        if self.auto_approve is None or level not in _ORDER:
            return False
        return _ORDER.index(level) <= _ORDER.index(self.auto_approve)


def level_of(candidate: Candidate, policy: Policy, checks: Sequence[Check] = ()) -> TrustLevel:
    """The trust level of a candidate, as far as the given checks tell."""
    return _level(candidate, policy, checks)[0]


def decide(
    candidate: Candidate,
    policy: Policy,
    *,
    auto_approve: bool,
    remembered: bool,
    checks: Sequence[Check],
) -> Decision:
    """Whether a candidate may be started, who has to be asked, and why.

    `remembered` says that a person has approved exactly this before; it counts for the official level
    only. `auto_approve` is the caller's wish; where policy does not grant it, the decision says so.
    """
    level, reason = _level(candidate, policy, checks)
    wish = auto_approve and policy.covers(level)
    refused = _refusal(policy, level) if auto_approve and not wish else None
    remember = level is TrustLevel.OFFICIAL
    if level is TrustLevel.BLOCKED:
        return Decision(Verdict.DENY, level, reason, auto_approve_refused=refused)
    approver = Approver.ADMINISTRATOR if level is TrustLevel.COMMUNITY else Approver.PERSON
    if remember and remembered:
        known = f"{reason}. This version was approved before"
        return Decision(Verdict.ALLOW, level, known, approver, remember)
    if wish:
        granted = f"{reason}. Approved automatically, as asked for and as policy allows at this level"
        return Decision(Verdict.ALLOW, level, granted, approver, remember)
    asked = f"{reason}. {_ASKED[level]}"
    return Decision(Verdict.ASK, level, asked, approver, remember, refused)


_ASKED = {
    TrustLevel.OFFICIAL: "A person approves the first use of each version",
    TrustLevel.VERIFIED: "A person approves it every time it is added",
    TrustLevel.COMMUNITY: "An administrator confirms it, outside of the chat",
}


def _level(candidate: Candidate, policy: Policy, checks: Sequence[Check]) -> tuple[TrustLevel, str]:
    if blocked := _blocked(candidate, policy, checks):
        return TrustLevel.BLOCKED, blocked
    level, reason = _earned(candidate, policy)
    if candidate.deprecated is not None:
        heir = f", {candidate.heir} takes its place" if candidate.heir else ""
        reason += f"; but it is deprecated ({candidate.deprecated or 'no reason given'}{heir})"
    return level, reason


def _blocked(candidate: Candidate, policy: Policy, checks: Sequence[Check]) -> str | None:
    if _names(candidate) & {_same(name) for name in policy.denied}:
        return f"{candidate.id} is on the deny list"
    if is_yanked(candidate):
        return f"this version was withdrawn from the registry ({candidate.deprecated})"
    failed = [f"{check.name}: {check.evidence}" for check in checks if check.outcome is Outcome.FAIL]
    return f"a check failed ({'; '.join(failed)})" if failed else None


def _earned(candidate: Candidate, policy: Policy) -> tuple[TrustLevel, str]:
    if candidate.origin is Origin.OFFICIAL:
        evidence = f": {candidate.origin_evidence}" if candidate.origin_evidence else ""
        return TrustLevel.OFFICIAL, f"official{evidence}"
    weekly, wanted = candidate.weekly_downloads, policy.verified_downloads
    if weekly is None:
        return TrustLevel.COMMUNITY, "not official, and its weekly downloads are unknown"
    if weekly < wanted:
        return TrustLevel.COMMUNITY, f"not official, and {weekly:,} weekly downloads are below {wanted:,}"
    return TrustLevel.VERIFIED, f"not official, but {weekly:,} weekly downloads, and no check failed"


def _refusal(policy: Policy, level: TrustLevel) -> str:
    if level is TrustLevel.BLOCKED:
        return "auto_approve was not honoured: what is blocked is never approved"
    if policy.auto_approve is None:
        return "auto_approve was not honoured: the operator's policy allows it at no level"
    return (
        f"auto_approve was not honoured: the operator's policy allows it up to the level "
        f"{policy.auto_approve}, and this server is {level}"
    )


def _names(candidate: Candidate) -> set[str]:
    """Every spelling under which a deny list may name a candidate; its package counts, not only its id."""
    package = candidate.package
    kind = "remote" if package.remote else package.kind.value
    bare = package.identifier.partition("@sha256:")[0]
    head, slash, tail = bare.rpartition("/")
    untagged = bare if package.remote else head + slash + (tail.partition(":")[0])
    spelled = {package.identifier, bare, untagged}
    return {_same(name) for name in {candidate.id, *spelled, *(f"{kind}:{name}" for name in spelled)}}


def _same(name: str) -> str:
    """One form for spellings that registries take for the same name: a deny list rather names too much."""
    return re.sub(r"[-_.]+", "-", name.strip().rstrip("/").casefold())
