"""What can be said of a candidate before anything of it is fetched: pass, fail, or unknown, with evidence.

Unknown is told to the person and not punished: a registry that is silent is no proof of anything. A
failed check blocks. Later kinds of checks (release age, install scripts, look-alike names) are
further functions in `CHECKS`, or further values that a caller adds to the answer of `check`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from warroom_mcp.models import Candidate, LaunchPlan, Origin, Package, PackageKind
from warroom_mcp.packages import image_of, name_problem, version_problem


class Outcome(StrEnum):
    """How a check came out."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what was seen."""

    name: str
    outcome: Outcome
    evidence: str


def check(candidate: Candidate, plan: LaunchPlan | None = None) -> tuple[Check, ...]:
    """All checks that apply to a candidate, and those of the plan for it, where there is one."""
    found = [answer for one in CHECKS if (answer := one(candidate)) is not None]
    if plan is not None:
        found.append(_plan(candidate, plan))
    return tuple(found)


def is_yanked(candidate: Candidate) -> bool:
    """Whether the registry has withdrawn this version, which is more than deprecating it."""
    return (candidate.deprecated or "").lower().startswith("yanked")


_SRI = re.compile(r"sha512-[A-Za-z0-9+/]{86}==|sha384-[A-Za-z0-9+/]{64}|sha256-[A-Za-z0-9+/]{43}=")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_INTEGRITY = {PackageKind.NPM: _SRI, PackageKind.PYPI: _SHA256, PackageKind.OCI: _SHA256}
# Digests of old packages, which can be forged: better than nothing, and told as not enough.
_WEAK = re.compile(r"(?:sha1|md5)[-:][A-Za-z0-9+/=]+")


def _name(candidate: Candidate) -> Check | None:
    package = candidate.package
    if package.remote:
        return None
    if problem := name_problem(package):
        return Check("name", Outcome.FAIL, problem)
    return Check("name", Outcome.PASS, f"{package.identifier} is well formed")


def _claim(candidate: Candidate) -> Check | None:
    if not candidate.unconfirmed:
        return None
    return Check("claim", Outcome.FAIL, candidate.unconfirmed)


def _version(candidate: Candidate) -> Check | None:
    package = candidate.package
    if package.remote:
        return None
    if problem := version_problem(package):
        return Check("version", Outcome.FAIL, f"{problem}, so an approval could not bind one")
    exact = image_of(package).reference if package.kind is PackageKind.OCI else package.version
    return Check("version", Outcome.PASS, f"exactly {exact}")


def _integrity(candidate: Candidate) -> Check | None:
    package = candidate.package
    if package.remote:
        return Check("integrity", Outcome.UNKNOWN, "it runs elsewhere: what it runs can change at any time")
    if package.kind is PackageKind.SOURCE:
        return None
    digest = _digest_of(package) if package.kind is PackageKind.OCI else package.integrity
    if digest is None:
        return Check("integrity", Outcome.UNKNOWN, "the registry gave no digest of the content")
    # npm may list several digests; one that is strong suffices, as every one is compared.
    if any(_INTEGRITY[package.kind].fullmatch(one) for one in digest.split(" ")):
        return Check("integrity", Outcome.PASS, digest)
    if _WEAK.fullmatch(digest):
        return Check("integrity", Outcome.UNKNOWN, f"the registry gave only a weak digest: {digest[:100]}")
    return Check("integrity", Outcome.FAIL, f"{digest[:120]!r} is no digest that could be verified")


def _lifetime(candidate: Candidate) -> Check:
    if is_yanked(candidate):
        return Check("lifetime", Outcome.FAIL, f"withdrawn from the registry ({candidate.deprecated})")
    if candidate.deprecated is not None:
        heir = f"; {candidate.heir} takes its place" if candidate.heir else ""
        return Check("lifetime", Outcome.UNKNOWN, f"deprecated: {candidate.deprecated or 'no reason'}{heir}")
    return Check("lifetime", Outcome.PASS, "nothing says that it is deprecated or yanked")


def _address(candidate: Candidate) -> Check | None:
    if not candidate.package.remote:
        return None
    if problem := name_problem(candidate.package):
        return Check("address", Outcome.FAIL, problem)
    return Check("address", Outcome.PASS, "encrypted, or on this machine")


def _origin(candidate: Candidate) -> Check:
    evidence = candidate.origin_evidence
    if candidate.origin is Origin.UNPROVEN:
        return Check("origin", Outcome.UNKNOWN, f"nothing proves who stands behind it{_more(evidence)}")
    if not evidence:
        return Check("origin", Outcome.UNKNOWN, f"told as {_words(candidate.origin)}, without evidence")
    return Check("origin", Outcome.PASS, f"{_words(candidate.origin)}: {evidence}")


def _plan(candidate: Candidate, plan: LaunchPlan) -> Check:
    """Whether the plan starts the very package that was looked at, in the very version."""
    package = candidate.package
    if plan.package != package or plan.candidate_id != candidate.id:
        return Check("plan", Outcome.FAIL, "the plan is for another package than the one that was checked")
    pin = {PackageKind.NPM: "@", PackageKind.PYPI: "=="}.get(package.kind)
    exact = f"{package.identifier}{pin}{package.version}"
    if pin and exact not in {word.removeprefix("--package=") for word in plan.command}:
        return Check("plan", Outcome.FAIL, f"the command does not name exactly {exact}")
    if package.remote == bool(plan.command):
        return Check("plan", Outcome.FAIL, "the plan and the kind of the package do not agree")
    return Check("plan", Outcome.PASS, "it starts what was checked, and nothing else")


CHECKS: tuple[Callable[[Candidate], Check | None], ...] = (
    _name,
    _claim,
    _version,
    _integrity,
    _lifetime,
    _address,
    _origin,
)
"""The checks of a candidate, in the order in which they are told; None where one does not apply."""


def _digest_of(package: Package) -> str | None:
    """The digest that names an image, given apart or inside of its reference."""
    if package.integrity is not None:
        return package.integrity
    _, found, digest = package.identifier.partition("@")
    return digest if found else None


def _words(origin: Origin) -> str:
    return origin.value.replace("_", " ")


def _more(evidence: str) -> str:
    return f" ({evidence})" if evidence else ""
