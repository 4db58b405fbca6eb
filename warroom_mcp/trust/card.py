"""The card: what a person reads before approving, line by line, with nothing hidden and no secret shown."""

import re
from collections.abc import Iterator, Mapping, Sequence

from warroom_mcp.models import Approver, Candidate, Decision, LaunchPlan
from warroom_mcp.trust.checks import Check, Outcome
from warroom_mcp.trust.visible import ascii_only, escape_visible, quoted

# Longer texts of strangers would push what matters out of sight; commands and values are never cut.
_LONGEST = 300
_REFERENCE = re.compile(r"(?:env|keyring):[A-Za-z_][A-Za-z0-9_.-]{0,199}")
# Said in place of what must not be shown: the person sees that something is wrong.
_HIDDEN_VALUE = "(a value instead of a reference: not shown)"


def card(
    candidate: Candidate,
    plan: LaunchPlan,
    decision: Decision,
    checks: Sequence[Check],
    *,
    evidence: Sequence[str] = (),
) -> tuple[str, ...]:
    """The lines of the card; `evidence` are the parts of the problem that the candidate was found for.

    Each line is one line on a screen: whatever could break or hide it is escaped.
    """
    return (
        *_start(plan),
        *_receives(plan),
        *_identity(candidate, plan),
        *_trust(decision),
        *_findings(checks),
        *_life(candidate),
        *_score(candidate),
        *_reason(candidate, evidence),
    )


def _start(plan: LaunchPlan) -> Iterator[str]:
    yield f"Server: {quoted(plan.server)}"
    if plan.package.remote:
        yield f"Connects to: {quoted(plan.package.identifier)}"
    if plan.command:
        yield f"Runs: {' '.join(map(quoted, plan.command))}"
    for word in (plan.package.identifier, *plan.command):
        if not word.isascii():
            yield f"  Careful, not plain letters: {quoted(word)} is {ascii_only(word)}"


def _receives(plan: LaunchPlan) -> Iterator[str]:
    secret = {one.name for one in plan.package.inputs if one.secret}
    lines = [f"  argument {quoted(word)}" for word in plan.arguments]
    lines += _values("variable", plan.environment, secret)
    lines += _values("header", plan.headers, secret)
    lines += [
        f"  secret {quoted(name)} from {_reference(plan.secrets[name])}" for name in sorted(plan.secrets)
    ]
    if not lines:
        yield "Receives: nothing from you"
        return
    yield "Receives:"
    yield from lines


def _values(kind: str, values: Mapping[str, str], secret: set[str]) -> list[str]:
    return [
        f"  {kind} {quoted(name)} = {_HIDDEN_VALUE if name in secret else quoted(values[name])}"
        for name in sorted(values)
    ]


def _reference(reference: str) -> str:
    return reference if _REFERENCE.fullmatch(reference) else _HIDDEN_VALUE


def _identity(candidate: Candidate, plan: LaunchPlan) -> Iterator[str]:
    package = plan.package
    yield f"Package: {package.kind} {quoted(package.identifier)}, version {_told(package.version)}"
    yield f"Integrity: {_told(package.integrity)}"
    origin = candidate.origin.value.replace("_", " ")
    yield f"Origin: {origin}{_after(': ', candidate.origin_evidence)}"
    if candidate.repository:
        yield f"Repository, as it says: {_short(candidate.repository)}"
    if candidate.description:
        yield f"It says of itself: {_short(candidate.description)}"


def _trust(decision: Decision) -> Iterator[str]:
    yield f"Trust level: {decision.level}. {_short(decision.reason)}"
    if decision.approver is Approver.ADMINISTRATOR:
        yield "An administrator has to confirm it, outside of the chat."
    if decision.auto_approve_refused:
        yield _short(decision.auto_approve_refused)


def _findings(checks: Sequence[Check]) -> Iterator[str]:
    open_points = [check for check in checks if check.outcome is not Outcome.PASS]
    for check in sorted(open_points, key=lambda check: check.outcome is not Outcome.FAIL):
        word = "FAILED" if check.outcome is Outcome.FAIL else "not certain"
        yield f"Check {word}: {_short(check.name)}: {_short(check.evidence)}"
    if not open_points:
        yield f"Checks: all {len(checks)} passed" if checks else "Checks: none were made"


def _life(candidate: Candidate) -> Iterator[str]:
    weekly = "unknown" if candidate.weekly_downloads is None else f"{candidate.weekly_downloads:,}"
    yield f"Downloads a week: {weekly}"
    yield f"Last update: {candidate.updated or 'unknown'}"
    if candidate.deprecated is not None:
        yield f"DEPRECATED: {_short(candidate.deprecated) or 'no reason given'}"
        yield f"  Takes its place: {quoted(candidate.heir) if candidate.heir else 'nothing known'}"


def _score(candidate: Candidate) -> Iterator[str]:
    if not candidate.score.parts:
        yield "Score: none"
        return
    yield f"Score: {candidate.score.total}/100"
    for part in candidate.score.parts:
        yield f"  {_short(part.name)} {part.points:.0f}/{part.maximum}: {_short(part.why)}"


def _reason(candidate: Candidate, evidence: Sequence[str]) -> Iterator[str]:
    known = ", ".join(f"{quoted(k)}={quoted(v)}" for k, v in sorted(candidate.parameters.items()))
    need = f"for {quoted(candidate.need)}" if candidate.need else "it was asked for"
    yield f"Why: {need}{_after(', found in the problem: ', known)}"
    for line in evidence:
        yield f"  from the problem: {_short(line)}"


def _told(text: str | None) -> str:
    return quoted(text) if text else "unknown"


def _after(words: str, text: str) -> str:
    return f"{words}{_short(text)}" if text else ""


def _short(text: str) -> str:
    """Prose on one line, cut at a bound that is told."""
    if len(text) <= _LONGEST:
        return escape_visible(text)
    return f"{escape_visible(text[:_LONGEST])}... ({len(text) - _LONGEST:,} more characters)"
