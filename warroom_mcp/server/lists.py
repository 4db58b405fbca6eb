"""What hosts list: our own tools first, then the children's in the order in which they were added.

A list is encoded once for each change, however often it is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from warroom_mcp.events import Event, Events, ToolboxChanged
from warroom_mcp.server.greeting import introduction, listing
from warroom_mcp.toolbox import Exposed, Toolbox
from warroom_mcp.wire.codec import encode
from warroom_mcp.wire.items import fit

_logger = logging.getLogger(__name__)
_SOURCES = {
    "tools/list": ("tools", "tool"),
    "prompts/list": ("prompts", "prompt"),
    "resources/list": ("resources", "resource"),
    "resources/templates/list": ("resourceTemplates", "template"),
}
LISTS = frozenset(_SOURCES)


class Lists:
    """The encoded lists of the toolbox as it stands."""

    def __init__(self, toolbox: Toolbox, events: Events, *more_templates: Mapping[str, Any]) -> None:
        self._toolbox = toolbox
        self._more_templates = more_templates
        self._kept: dict[tuple[str, bool, frozenset[str]], bytes] = {}
        events.subscribe(self._note)

    def get(self, method: str, *, modern: bool, hidden: frozenset[str] = frozenset()) -> bytes:
        """The result of a list method for hosts of an era; `hidden` are tools beyond a host's budget."""
        key = (method, modern, hidden)
        if key not in self._kept:
            self._kept[key] = self._encoded(method, modern=modern, hidden=hidden)
        return self._kept[key]

    def _encoded(self, method: str, *, modern: bool, hidden: frozenset[str]) -> bytes:
        name, kind = _SOURCES[method]
        exposed = self._exposed(kind)
        items = [encode(item) for item in _fitting(exposed, kind, modern=modern, hidden=hidden)]
        if kind == "template":
            items += [encode(template) for template in self._more_templates]
        own = bytes(introduction()["tools"]).strip()[1:-1] if kind == "tool" else b""
        body = b",".join([own, *items] if own else items)
        return listing(name, b"".join((b"[", body, b"]")), modern=modern)

    def _exposed(self, kind: str) -> Iterable[Exposed]:
        if kind == "tool":
            return self._toolbox.tools()
        if kind == "prompt":
            return self._toolbox.prompts()
        return self._toolbox.resources() if kind == "resource" else self._toolbox.templates()

    def _note(self, event: Event) -> None:
        if isinstance(event, ToolboxChanged):
            self._kept.clear()


def _fitting(
    exposed: Iterable[Exposed], kind: str, *, modern: bool, hidden: frozenset[str]
) -> Iterable[Mapping[str, Any]]:
    """Each item by itself: a broken definition hides no other."""
    for one in exposed:
        if one.name in hidden:
            continue
        item = fit(kind, one.definition, modern=modern)
        if item is None:
            _logger.warning(
                "the %s %s of %s is not listed: hosts refuse its definition", kind, one.name, one.server
            )
        else:
            yield item
