"""What a connected host can be relied on for: the way to a new tool, how to ask, and how much it takes.

Pure. Order of truth: what was observed, what was declared, the table of hosts, and else the assumption
that the list of tools is frozen and nothing can be asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from warroom_mcp.hosts.abilities import Abilities, Elicitation

LEAST_RESULT = 8 * 1024
"""Below this a shortened result would say little more than that it was shortened."""
_MESSAGE_BYTES = 10 * 1024 * 1024
"""Where nothing is known: most clients are built with the TypeScript SDK, whose default this is."""
_NOTE_BYTES = 1024
"""For what stands around a result or a page: the envelope, and how to read on."""
_NEVER = Elicitation(form=False, url=False)


class Route(StrEnum):
    """The way to a tool of a child: by its own name, or through `use_tool`, which always works."""

    NATIVE = "native"
    USE_TOOL = "use_tool"


class Asking(StrEnum):
    """How a person behind a host can be asked."""

    FORM = "form"
    URL = "url"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host was seen doing in this session.

    `relisted` tells whether it listed the tools again after the latest announcement that was waited for,
    None while there was none; `called_native` whether it ever called a child's tool by name.
    """

    relisted: bool | None = None
    called_native: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """What a connection said of itself, in the handshake or in the metadata of a modern request.

    `listens` tells whether it subscribed to changes of the tools, which only modern hosts can say; None
    is not known.
    """

    elicitation: Elicitation = _NEVER
    modern: bool = False
    listens: bool | None = None


def decide_route(seen: Seen, declared: Declared, abilities: Abilities) -> Route:
    """Which way to a new tool works on this host, as far as can be told.

    Listing again is no proof alone: a host that is known to throw new tools away is believed when it
    calls one. A declaration can only rule the native way out: who does not listen is not told.
    """
    if seen.called_native:
        return Route.NATIVE
    if seen.relisted is False:
        return Route.USE_TOOL
    if seen.relisted is None and declared.modern and declared.listens is False:
        return Route.USE_TOOL
    believed = abilities.relists is not False if seen.relisted else abilities.relists is True
    return Route.NATIVE if believed else Route.USE_TOOL


def decide_asking(declared: Declared, abilities: Abilities) -> Asking:
    """How to ask the person: only in a way that is declared, and not in one that is known to fail."""
    if declared.elicitation.form and abilities.elicitation.form is not False:
        return Asking.FORM
    if declared.elicitation.url and abilities.elicitation.url is not False:
        return Asking.URL
    return Asking.NONE


def native_budget(abilities: Abilities, own: int) -> int | None:
    """How many tools of children a host takes beside the `own` ones; None if no limit is known.

    The tools of its other servers are not seen from here, so there may be room for fewer.
    """
    return None if abilities.tool_budget is None else max(0, abilities.tool_budget - own)


def split_by_budget(
    names: Sequence[str], used: Mapping[str, float], budget: int | None
) -> tuple[list[str], list[str]]:
    """The tools that a host is shown, and those that it finds by `find_tools` and calls by `use_tool`.

    `names` are in the order of their addition; `used` holds when a tool was last called. Those that were
    called stay, the latest first when even they are too many, then the earliest added. Both lists keep
    the order, so that an addition takes nothing away that the model was using.
    """
    if budget is None or len(names) <= budget:
        return list(names), []
    order = sorted(range(len(names)), key=lambda i: (names[i] not in used, -used.get(names[i], 0.0), i))
    kept = set(order[: max(0, budget)])
    return (
        [name for i, name in enumerate(names) if i in kept],
        [name for i, name in enumerate(names) if i not in kept],
    )


def message_limit(abilities: Abilities) -> int:
    """The longest message that can be sent to a host on stdio; a longer one would end the connection."""
    return abilities.max_message_bytes or _MESSAGE_BYTES


def result_limit(abilities: Abilities, setting: int) -> int:
    """The largest result that is handed out whole: the setting's, or less where a host takes less."""
    limits = [setting, message_limit(abilities) - _NOTE_BYTES]
    if abilities.max_output_bytes is not None:
        limits.append(abilities.max_output_bytes)
    return max(LEAST_RESULT, min(limits))


def page_limit(abilities: Abilities, page_bytes: int) -> int:
    """The largest page of a large result: the usual size, or less where a host would cut that."""
    if abilities.max_output_bytes is None:
        return page_bytes
    return min(page_bytes, max(abilities.max_output_bytes - _NOTE_BYTES, LEAST_RESULT // 2))
