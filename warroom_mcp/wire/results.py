"""What of a result has to be known to pass it on, and what the other era cannot say or demands.

Results are looked at, not read into models: fields that nobody here knows survive.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from warroom_mcp.wire.codec import Fields, encode, fields_of

COMPLETE = "complete"
INPUT_REQUIRED = "input_required"

_CACHEABLE = frozenset({"resources/read"})


class _Block(msgspec.Struct, gc=False):
    type: str
    text: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    uri: Raw | UnsetType = UNSET
    resource: Raw | UnsetType = UNSET


class _Message(msgspec.Struct, gc=False):
    role: str
    content: Raw


class _Contents(msgspec.Struct, gc=False):
    uri: str


class _Tool(msgspec.Struct, gc=False):
    content: list[_Block] | UnsetType = UNSET
    isError: bool | UnsetType | None = UNSET  # noqa: N815  # the wire's name
    resultType: str | UnsetType = UNSET  # noqa: N815
    structuredContent: Raw | UnsetType = UNSET  # noqa: N815
    task: Raw | UnsetType = UNSET


class _Prompt(msgspec.Struct, gc=False):
    messages: list[_Message] | UnsetType = UNSET
    resultType: str | UnsetType = UNSET  # noqa: N815


class _Resource(msgspec.Struct, gc=False):
    contents: list[_Contents] | UnsetType = UNSET
    resultType: str | UnsetType = UNSET  # noqa: N815


class _Completion(msgspec.Struct, gc=False):
    completion: dict[str, Raw] | UnsetType = UNSET
    resultType: str | UnsetType = UNSET  # noqa: N815


class _Any(msgspec.Struct, gc=False):
    resultType: str | UnsetType = UNSET  # noqa: N815


_TOOL = msgspec.json.Decoder(_Tool)
_OTHERS: dict[str, tuple[msgspec.json.Decoder[Any], str]] = {
    "prompts/get": (msgspec.json.Decoder(_Prompt), "messages"),
    "resources/read": (msgspec.json.Decoder(_Resource), "contents"),
    "completion/complete": (msgspec.json.Decoder(_Completion), "completion"),
}
_ANY = msgspec.json.Decoder(_Any)
_NEEDED = {"text": "text", "image": "data", "audio": "data", "resource_link": "uri", "resource": "resource"}


class Look(msgspec.Struct, gc=False):
    """What a result is. `fault` says in words why it is no result of its method; None when it is one."""

    kind: str = COMPLETE
    """`resultType`; "task" also for a task of 2025-11-25."""
    error: bool = False
    told_kind: bool = False
    lacks_content: bool = False
    odd_structure: bool = False
    fault: str | None = None


def look(method: str, result: Raw) -> Look:
    """See what a result of a method is; costs next to nothing for a small one, and never raises."""
    try:
        if method == "tools/call":
            return _look_at_call(_TOOL.decode(result))
        decoder, needed = _OTHERS.get(method, (_ANY, ""))
        found = decoder.decode(result)
    except (ValueError, RecursionError) as error:
        return Look(fault=str(error))
    told = found.resultType is not UNSET
    seen = Look(found.resultType if told else COMPLETE, told_kind=told)
    if needed and seen.kind == COMPLETE and getattr(found, needed) is UNSET:
        seen.fault = f"it has no {needed}"
    return seen


def _look_at_call(found: _Tool) -> Look:
    told = not isinstance(found.resultType, UnsetType)
    kind = found.resultType if not isinstance(found.resultType, UnsetType) else COMPLETE
    if not isinstance(found.task, UnsetType) and isinstance(found.content, UnsetType):
        kind = "task"
    seen = Look(kind, found.isError is True, told)
    if kind != COMPLETE:
        return seen
    if isinstance(found.content, UnsetType):
        seen.lacks_content = True
    else:
        for block in found.content:
            needed = _NEEDED.get(block.type)
            if needed is not None and not _says(getattr(block, needed), needed):
                seen.fault = f"a {block.type} block of it has no {needed}"
    if not isinstance(found.structuredContent, UnsetType):
        seen.odd_structure = not bytes(found.structuredContent).startswith(b"{")
    return seen


def _says(value: Raw | UnsetType, member: str) -> bool:
    if isinstance(value, UnsetType):
        return False
    return bytes(memoryview(bytes(value))[:1]) == (b"{" if member == "resource" else b'"')


def translate(method: str, result: Raw, seen: Look, *, modern: bool) -> bytes | Raw:
    """The result in the shape of the host's era: nothing is lost but what that era cannot say."""
    if not modern:
        if not (seen.told_kind or seen.odd_structure or seen.lacks_content):
            return result
        fields = fields_of(result)
        fields.pop("resultType", None)
        if seen.odd_structure:
            # Until 2025-11-25 structured content is an object; the text content says the same.
            fields.pop("structuredContent", None)
        return encode(_with_content(fields, seen))
    missing = b"" if seen.told_kind else b'"resultType":"complete",'
    if method in _CACHEABLE and seen.kind == COMPLETE:
        fields = fields_of(result)
        fields.setdefault("resultType", Raw(b'"complete"'))
        fields.setdefault("ttlMs", Raw(b"0"))
        fields.setdefault("cacheScope", Raw(b'"private"'))
        return encode(fields)
    if seen.lacks_content:
        fields = fields_of(result)
        fields.setdefault("resultType", Raw(b'"complete"'))
        return encode(_with_content(fields, seen))
    return _with_head(missing, result) if missing else result


def _with_content(fields: Fields, seen: Look) -> Fields:
    if seen.lacks_content:
        # Required by the schema, but hosts made with the TypeScript SDK take its absence for nothing.
        fields["content"] = Raw(b"[]")
    return fields


def _with_head(head: bytes, result: Raw) -> bytes:
    """An encoded object with members put in front."""
    body = bytes(result).lstrip()[1:].lstrip()
    return b"".join((b"{", head[:-1] if body.startswith(b"}") else head, body))
