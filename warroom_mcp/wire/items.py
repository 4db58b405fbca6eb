"""Whether a listed item is one that hosts accept: their parsers take a whole list or nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

_Text = str | None | UnsetType
_Object = dict[str, Any] | None | UnsetType
_Flag = bool | int | float | str | None | UnsetType
"""Some parsers take "true" and 1 for a flag; a list or an object is taken by none."""


class _Icon(msgspec.Struct):
    src: str
    mimeType: _Text = UNSET  # noqa: N815
    sizes: list[str] | UnsetType | None = UNSET
    theme: Literal["light", "dark"] | UnsetType | None = UNSET


class _Argument(msgspec.Struct):
    name: str
    title: _Text = UNSET
    description: _Text = UNSET
    required: _Flag = UNSET


class _Hints(msgspec.Struct):
    title: _Text = UNSET
    readOnlyHint: _Flag = UNSET  # noqa: N815
    destructiveHint: _Flag = UNSET  # noqa: N815
    idempotentHint: _Flag = UNSET  # noqa: N815
    openWorldHint: _Flag = UNSET  # noqa: N815


class _Notes(msgspec.Struct):
    audience: list[Literal["user", "assistant"]] | UnsetType | None = UNSET
    priority: int | float | str | UnsetType | None = UNSET
    lastModified: _Text = UNSET  # noqa: N815


class _Named(msgspec.Struct):
    name: str
    title: _Text = UNSET
    description: _Text = UNSET
    icons: list[_Icon] | UnsetType | None = UNSET
    meta: _Object = msgspec.field(default=UNSET, name="_meta")


class _Schema(msgspec.Struct):
    type: Literal["object"]
    dialect: _Text = msgspec.field(default=UNSET, name="$schema")


class _OlderSchema(_Schema):
    properties: dict[str, dict[str, Any] | bool] | UnsetType | None = UNSET
    required: list[str] | UnsetType | None = UNSET


class _Tool(_Named):
    inputSchema: dict[str, Any] = {}  # noqa: N815  # the wire's name; never changed
    outputSchema: _Object = UNSET  # noqa: N815
    annotations: _Hints | UnsetType | None = UNSET


class _Prompt(_Named):
    arguments: list[_Argument] | UnsetType | None = UNSET


class _Resource(_Named, kw_only=True):
    uri: str
    mimeType: _Text = UNSET  # noqa: N815
    annotations: _Notes | UnsetType | None = UNSET
    size: int | float | str | UnsetType | None = UNSET


class _Template(_Named, kw_only=True):
    uriTemplate: str  # noqa: N815
    mimeType: _Text = UNSET  # noqa: N815
    annotations: _Notes | UnsetType | None = UNSET


_SHAPES: dict[str, type[_Named]] = {
    "tool": _Tool,
    "prompt": _Prompt,
    "resource": _Resource,
    "template": _Template,
}


def fit(kind: str, item: Mapping[str, Any], *, modern: bool) -> Mapping[str, Any] | None:
    """One listed item as a host of that era takes it, None if it takes it in no way.

    `kind` is tool, prompt, resource or template. Nothing is changed but an output schema that is not that
    of an object, which hosts until 2025-11-25 refuse: for them it is left out.
    """
    try:
        msgspec.convert(item, _SHAPES[kind])
    except (ValueError, RecursionError):
        return None
    if kind != "tool":
        return item
    if not _is_schema(item.get("inputSchema"), _Schema if modern else _OlderSchema):
        return None
    output = item.get("outputSchema")
    if not (modern or output is None or _is_schema(output, _OlderSchema)):
        return {key: value for key, value in item.items() if key != "outputSchema"}
    return item


def _is_schema(schema: object, shape: type[_Schema]) -> bool:
    try:
        msgspec.convert(schema, shape)
    except (ValueError, RecursionError):
        return False
    return True
