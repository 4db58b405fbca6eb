"""Asks a child what it offers: every page, every field as it came, and one bad item spoils no list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from msgspec import Raw

from warroom_mcp.errors import ChildProtocolError
from warroom_mcp.models import Definitions
from warroom_mcp.wire.codec import RpcError, value_of

PAGES = 100
"""Pages of one list that are read; a cursor that never ends ends here."""
ITEMS = 20_000
"""Items of one list that are kept."""
SHOWN_NOTES = 5

KINDS: Final = ("tools", "prompts", "resources", "templates")
_METHODS = {
    "tools": ("tools/list", "tools", "name"),
    "prompts": ("prompts/list", "prompts", "name"),
    "resources": ("resources/list", "resources", "uri"),
    "templates": ("resources/templates/list", "resourceTemplates", "uriTemplate"),
}
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """What was listed, and what was left out of it, in words."""

    definitions: Definitions
    notes: tuple[str, ...] = ()

    def without_tools(self, names: Collection[str]) -> Definitions:
        """The definitions without some of the tools."""
        kept = tuple(tool for tool in self.definitions.tools if tool["name"] not in names)
        return replace(self.definitions, tools=kept)


Ask = Callable[[str, Mapping[str, Any]], Awaitable[Raw]]
"""Sends one request, with what the connection's era demands, and returns the encoded result."""


async def list_offers(
    ask: Ask, offered: Mapping[str, Any], kinds: Collection[str], before: Definitions
) -> Listing:
    """List the given kinds, as far as the child says it has them; other kinds stay as they were before.

    `offered` are the child's capabilities.

    Raises:
        ChildProtocolError: the tools cannot be listed. Other kinds are then empty, and noted.
        warroom_mcp.wire.peer.Unanswered: the connection ended, or an answer was broken.
    """
    found: dict[str, Any] = {}
    notes: list[str] = []
    for kind in KINDS:
        if kind not in kinds:
            continue
        has = offered.get("resources" if kind == "templates" else kind) is not None
        found[kind] = await _listed(ask, kind, notes) if has else ()
    return Listing(replace(before, **found), tuple(notes[:SHOWN_NOTES]))


async def _listed(ask: Ask, kind: str, notes: list[str]) -> tuple[Item, ...]:
    try:
        return await _all_pages(ask, kind, notes)
    except RpcError as error:
        if kind == "tools":
            raise ChildProtocolError(f"Its tools cannot be listed: {error.message[:200]}") from error
        if kind != "templates":  # many servers with resources do not know of templates
            notes.append(f"its {kind} cannot be listed: {error.message[:200]}")
        return ()


async def _all_pages(ask: Ask, kind: str, notes: list[str]) -> tuple[Item, ...]:
    method, key, identity = _METHODS[kind]
    kept: dict[str, Item] = {}
    cursors: set[str] = set()
    cursor: str | None = None
    for _ in range(PAGES):
        page = value_of(await ask(method, {"cursor": cursor} if cursor is not None else {}))
        items = page.get(key) if isinstance(page, dict) else None
        if not isinstance(items, list):
            raise ChildProtocolError(f"The answer to {method} has no list of {key}.")
        for item in items:
            _keep(item, kind, identity, kept, notes)
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str):
            return tuple(kept.values())
        if cursor in cursors or len(kept) > ITEMS:
            break
        cursors.add(cursor)
    notes.append(f"its list of {kind} has no end; {len(kept)} were taken")
    return tuple(kept.values())[:ITEMS]


def _keep(item: Any, kind: str, identity: str, kept: dict[str, Item], notes: list[str]) -> None:
    """One item, if it can be addressed and, for a tool, called."""
    name = item.get(identity) if isinstance(item, dict) else None
    if not isinstance(name, str) or not name:
        notes.append(f"one of its {kind} was left out: it has no {identity}")
    elif kind == "tools" and (fault := _schema_fault(item.get("inputSchema"))):
        notes.append(f"the tool {name[:80]!r} was left out: {fault}")
    elif name in kept:
        notes.append(f"one of its {kind} was left out: {name[:80]!r} is listed twice")
    else:
        kept[name] = item


def _schema_fault(schema: Any) -> str | None:
    """Why a tool with this schema cannot be called: arguments always are an object."""
    if not isinstance(schema, dict):
        return "it has no inputSchema"
    if schema.get("type", "object") != "object":
        return "its inputSchema is not that of an object"
    return None
