"""One entry of the config file: the shape that hosts read, and the approval that stands beside it.

The portable keys are what a host would start. They are believed only when they are exactly what the
approved plan renders to; whatever else an entry holds belongs to the person who wrote it there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from warroom_mcp.errors import InvalidInput, Refusal
from warroom_mcp.models import AddedServer, LaunchPlan, Package, PackageInput, PackageKind
from warroom_mcp.store.digest import digest
from warroom_mcp.store.plain import plain, validate

BLOCK = "warroom"
PORTABLE = ("type", "command", "args", "url", "env", "headers")
_BLOCK_KEYS = ("candidate", "package", "arguments", "secrets", "approved", "approvedBy", "added")
_TYPES = {PackageKind.HTTP: "http", PackageKind.SSE: "sse"}
_REFERENCE = re.compile(r"(?:env|keyring):[A-Za-z_][A-Za-z0-9_.-]{0,199}")

BY_HAND = "added by hand: not approved"
CHANGED = "changed after approval"
UNREADABLE = "its approval cannot be read: not approved"


# What reading a misshapen value raises.
_MISSHAPEN = (ValueError, TypeError, KeyError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What an entry's block says of the approval; nothing of it is believed yet."""

    candidate: str
    package: Package
    arguments: tuple[str, ...]
    secrets: tuple[str, ...]
    approved: str
    approved_by: str
    added: datetime


def to_entry(server: AddedServer, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The entry of an approved server; unknown keys of the entry that it replaces are kept.

    Raises:
        Refusal: the plan is not the one that was approved.
        InvalidInput: a secret is not a reference, or the plan has no portable form.
    """
    plan = server.plan
    if digest(plan) != server.approved:
        raise Refusal(f"What is to be added as {plan.server} differs from what was approved.")
    for name, reference in plan.secrets.items():
        if not _REFERENCE.fullmatch(reference):
            raise InvalidInput(
                f"The secret {name} of {plan.server} is not a reference.",
                hint="Give it as env:NAME or keyring:NAME; values are never stored.",
            )
    old = dict(before or {})
    kept = {key: value for key, value in old.items() if key not in PORTABLE and key != BLOCK}
    entry = {**_portable(plan), **kept, BLOCK: {**_unknown(old.get(BLOCK)), **_block(server)}}
    if from_entry(plan.server, entry) != server:
        raise InvalidInput(f"The plan of {plan.server} has parts that the config file cannot hold.")
    return entry


def from_entry(name: str, entry: object) -> AddedServer | str:
    """The approved server that an entry stands for, or the reason why it is none."""
    if not isinstance(entry, dict) or BLOCK not in entry:
        return BY_HAND
    try:
        claim = _claim(entry[BLOCK])
    except _MISSHAPEN:
        return UNREADABLE
    try:
        plan = _plan(name, entry, claim)
    except _MISSHAPEN:
        return CHANGED
    if digest(plan) != claim.approved or _portable(plan) != _told(entry):
        return CHANGED
    return AddedServer(plan, claim.approved, claim.approved_by, claim.added)


def _portable(plan: LaunchPlan) -> dict[str, Any]:
    """What a host would need to start a plan; empty parts are left out."""
    environment, headers = dict(plan.environment), dict(plan.headers)
    if plan.package.remote:
        entry: dict[str, Any] = {"type": _TYPES[plan.package.kind], "url": plan.package.identifier}
        headers.update(plan.secrets)
    else:
        entry = {"command": "".join(plan.command[:1]), "args": list(plan.command[1:])}
        environment.update(plan.secrets)
    entry.update(env=environment, headers=headers)
    return {key: value for key, value in entry.items() if value}


def _told(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry's portable part; empty parts, and the type that hosts write for a command, mean nothing."""
    told = {key: entry[key] for key in PORTABLE if key in entry and entry[key] not in ({}, [])}
    if told.get("type") == "stdio" and "command" in told:
        del told["type"]
    return told


def _block(server: AddedServer) -> dict[str, Any]:
    plan = server.plan
    return {
        "candidate": plan.candidate_id,
        "package": _short(plan.package),
        "arguments": list(plan.arguments),
        "secrets": sorted(plan.secrets),
        "approved": server.approved,
        "approvedBy": server.approved_by,
        "added": server.added.isoformat(),
    }


def _short(value: Package | PackageInput) -> dict[str, Any]:
    """A value without the fields that have their defaults: a person is to read it."""
    short: dict[str, Any] = {}
    for one in fields(value):
        item = getattr(value, one.name)
        if item != one.default:
            short[one.name] = [_short(i) for i in item] if one.name == "inputs" else plain(item)
    return short


def _unknown(block: object) -> dict[str, Any]:
    if not isinstance(block, dict):
        return {}
    return {key: value for key, value in block.items() if key not in _BLOCK_KEYS}


def _claim(block: Any) -> _Claim:
    return _Claim(
        candidate=_word(block["candidate"]),
        package=validate(Package, block["package"]),
        arguments=_list(block["arguments"]),
        secrets=_list(block["secrets"]),
        approved=_word(block["approved"]),
        approved_by=_word(block["approvedBy"]),
        added=datetime.fromisoformat(block["added"]),
    )


def _plan(name: str, entry: Mapping[str, Any], claim: _Claim) -> LaunchPlan:
    """The plan that an entry would be, if its claim held."""
    remote = claim.package.remote
    environment, headers = _words(entry.get("env", {})), _words(entry.get("headers", {}))
    holder = headers if remote else environment
    secrets = {secret: holder.pop(secret) for secret in claim.secrets}
    return LaunchPlan(
        server=name,
        candidate_id=claim.candidate,
        package=claim.package,
        command=() if remote else (_word(entry["command"]), *_list(entry.get("args", []))),
        arguments=claim.arguments,
        environment=environment,
        headers=headers,
        secrets=secrets,
    )


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _list(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return tuple(_word(item) for item in value)


def _words(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return {key: _word(item) for key, item in value.items()}
