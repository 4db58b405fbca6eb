"""The live table of everything exposed: which name leads to which child.

The one place of admission: a name that is not in this table cannot be called, on any path. Names and
ranking are pure; the table itself is a value that is replaced on each change, so a reader never sees
half of one.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from warroom_mcp.echo import echoed
from warroom_mcp.errors import UnknownTool
from warroom_mcp.events import Events, ToolboxChanged
from warroom_mcp.models import Definitions

if TYPE_CHECKING:
    from warroom_mcp.toolsearch import ToolSearch

# Many hosts allow 64 characters including their own prefix; `mcp__warroom__` takes 14 of them.
MAX_NAME = 50
SEPARATOR = "__"
OWN_NAMES = frozenset(
    {
        "add_server",
        "analyze_problem",
        "find_servers",
        "find_tools",
        "handle_incident",
        "list_servers",
        "optimize",
        "remove_server",
        "use_tool",
    }
)
"""Names that no child's tool takes, also where names have no prefix."""
# Longer ones are no addresses; matching them against a child's templates would take its time.
MAX_URI = 4096
# A template of more expressions is matched by none of its URIs: each multiplies the ways to try.
MAX_EXPRESSIONS = 6
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Exposed:
    """One thing that a child offers, under the name that hosts see.

    `definition` is what the host lists: the child's own object with nothing but the name changed.
    """

    name: str
    server: str
    original: str
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Table:
    tools: dict[str, Exposed] = field(default_factory=dict)
    prompts: dict[str, Exposed] = field(default_factory=dict)
    resources: dict[str, Exposed] = field(default_factory=dict)
    templates: dict[str, Exposed] = field(default_factory=dict)


class _Search:
    """The index of the exposed tools, made at the first search and kept in step with the table."""

    def __init__(self) -> None:
        self._search: ToolSearch | None = None
        self._seen: dict[str, Exposed] = {}

    def follow(self, tools: Mapping[str, Exposed]) -> None:
        """Take up what is new and forget what is gone."""
        from warroom_mcp.toolsearch import ToolSearch, text_of

        search = self._search = self._search or ToolSearch()
        for name in [name for name, tool in self._seen.items() if tools.get(name) != tool]:
            search.drop(name)
            del self._seen[name]
        for name, tool in tools.items():
            if name not in self._seen:
                search.put(name, text_of(tool.original, tool.definition, tool.server))
                self._seen[name] = tool

    def names(self, queries: Sequence[str], limit: int) -> tuple[str, ...]:
        """The exposed names that fit, best first."""
        return self._search.search(queries, limit) if self._search else ()


class Toolbox:
    """What is callable now. Servers are appended, never reordered: hosts cache their prompts.

    With `plain`, a tool keeps its own name where that is free.
    """

    def __init__(self, events: Events, *, plain: bool = False) -> None:
        self._events = events
        self._plain = plain
        self._servers: dict[str, Definitions] = {}
        self._table = _Table()
        self._search = _Search()

    def publish(self, server: str, definitions: Definitions) -> None:
        """Expose what a server offers, in the place of what it offered before."""
        if self._servers.get(server) == definitions:
            return
        before = self._servers.get(server, Definitions())
        self._servers[server] = definitions
        self._rebuild()
        self._events.publish(ToolboxChanged(server, _changed(before, definitions)))

    def withdraw(self, server: str) -> None:
        """Take away everything of a server; its names are not callable from this moment."""
        definitions = self._servers.pop(server, None)
        if definitions is not None:
            self._rebuild()
            self._events.publish(ToolboxChanged(server, _changed(definitions, Definitions())))

    @property
    def servers(self) -> tuple[str, ...]:
        """The names of the published servers, oldest first."""
        return tuple(self._servers)

    def tools(self, server: str | None = None) -> tuple[Exposed, ...]:
        """All exposed tools, or those of one server, in stable order."""
        return tuple(t for t in self._table.tools.values() if server is None or t.server == server)

    def prompts(self) -> tuple[Exposed, ...]:
        """All exposed prompts."""
        return tuple(self._table.prompts.values())

    def resources(self) -> tuple[Exposed, ...]:
        """All exposed resources, under their own URIs."""
        return tuple(self._table.resources.values())

    def templates(self) -> tuple[Exposed, ...]:
        """All exposed resource templates, under their own URI templates."""
        return tuple(self._table.templates.values())

    def resolve(self, name: str) -> Exposed:
        """The tool of an exposed name; a bare tool name works when only one server has it.

        Raises:
            UnknownTool: nothing is exposed under that name; close names are in the hint.
        """
        if found := self._table.tools.get(name):
            return found
        # A name with a prefix is meant for that server: another's tool of that name must not answer.
        bare = [t for t in self._table.tools.values() if t.original == name and SEPARATOR not in name]
        if len(bare) == 1:
            return bare[0]
        close = get_close_matches(name, [*self._table.tools, *(t.original for t in bare)], n=3, cutoff=0.5)
        hint = f"Close names: {', '.join(close)}." if close else UnknownTool.hint
        raise UnknownTool(f"No tool is exposed under the name {echoed(name)}.", hint=hint)

    def prompt(self, name: str) -> Exposed | None:
        """The prompt of an exposed name."""
        return self._table.prompts.get(name)

    def resource_server(self, uri: str) -> str | None:
        """The server that answers for a URI: by exact match first, then by template."""
        if found := self._table.resources.get(uri):
            return found.server
        if len(uri) > MAX_URI:
            return None
        for name, template in self._table.templates.items():
            if _template_pattern(name).fullmatch(uri):
                return template.server
        return None

    def search(self, queries: Sequence[str], limit: int = 10) -> tuple[Exposed, ...]:
        """Tools whose name, description or arguments fit, best first; several queries take turns."""
        table = self._table
        self._search.follow(table.tools)
        return tuple(table.tools[name] for name in self._search.names(queries, limit))

    def _rebuild(self) -> None:
        table = _Table()
        for server, definitions in self._servers.items():
            self._expose(table.tools, server, definitions.tools)
            self._expose(table.prompts, server, definitions.prompts)
            _route(table.resources, server, definitions.resources, "uri")
            _route(table.templates, server, definitions.templates, "uriTemplate")
        self._table = table

    def _expose(
        self, table: dict[str, Exposed], server: str, definitions: Sequence[Mapping[str, Any]]
    ) -> None:
        for definition in definitions:
            original = str(definition["name"])
            free = self._plain and original not in table and original not in OWN_NAMES
            name = original if free else exposed_name(server, original, table)
            table[name] = Exposed(name, server, original, {**definition, "name": name})


def exposed_name(server: str, original: str, taken: Iterable[str] = ()) -> str:
    """`server__tool` in the characters and the length that every host accepts, unlike all of `taken`."""
    plain = _FOREIGN.sub("_", f"{server}{SEPARATOR}{original}")
    if len(plain) <= MAX_NAME and plain not in taken:
        return plain
    digest = hashlib.sha256(f"{server}\0{original}".encode()).hexdigest()[:8]
    return f"{plain[: MAX_NAME - 9]}_{digest}"


def first_line(definition: Mapping[str, Any], width: int = 160) -> str:
    """The first line of a tool's description, cut to `width` characters."""
    text = str(definition.get("description") or definition.get("title") or "").strip()
    line = text.split("\n", 1)[0]
    return line if len(line) <= width else line[: width - 3].rstrip() + "..."


def _route(
    table: dict[str, Exposed], server: str, definitions: Sequence[Mapping[str, Any]], key: str
) -> None:
    for definition in definitions:
        address = str(definition[key])
        # The first server keeps a URI that two claim: what was reachable stays what it was.
        table.setdefault(address, Exposed(address, server, address, definition))


def _template_pattern(template: str) -> re.Pattern[str]:
    """RFC 6570 as far as routing needs it: an expression stands for any text, `{x}` not across a slash."""
    # Expressions side by side are one to the matcher, which would otherwise try every way to share.
    joined = re.sub(r"(?:\{[^{}]*\}){2,}", "{+any}", template)
    parts = re.split(r"(\{[^{}]*\})", joined)
    if len(parts) > 2 * MAX_EXPRESSIONS + 1:
        return re.compile(r"(?!)")
    return re.compile("".join(_expression(p) if p.startswith("{") else re.escape(p) for p in parts))


def _expression(part: str) -> str:
    return ".*" if part[1:2] in "+#/?&;" else "[^/]+"


def _changed(before: Definitions, after: Definitions) -> frozenset[str]:
    kinds = {
        "tools": before.tools != after.tools,
        "prompts": before.prompts != after.prompts,
        "resources": (before.resources, before.templates) != (after.resources, after.templates),
    }
    return frozenset(kind for kind, differs in kinds.items() if differs)
