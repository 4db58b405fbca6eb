"""Results that are too large for a host: what of them is shown, and how the rest is read page by page.

Pure: what is left out goes to `keep`, the store's shelf. Sizes are bytes of UTF-8, limits those of the
encoded result. What a child sent besides its contents (`isError`, `_meta`, unknown fields) stays.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from warroom_mcp.store.shelf import Kept, Page

    Keep = Callable[[bytes, str], Kept]

READ_TOOL: Final = "warroom__read_result"
SCHEME: Final = "warroom://results/"
RESULT_TEMPLATE: Final[dict[str, Any]] = {
    "uriTemplate": f"{SCHEME}{{id}}/{{page}}",
    "name": "large_result",
    "title": "Large result, by page",
    "description": "One page of a result that was too large to be handed out whole. The result names its id "
    "and the number of its pages; page 1 is the beginning.",
    "mimeType": "text/plain",
}

HEAD: Final = 2048
TAIL: Final = 1024
"""Of a text that is reduced, the bytes of its encoded beginning and end that stay."""
_NOTE = 1536
"""More than the note on one content and the link to it take."""
_LEAST_LARGE = 8 * 1024
"""Smaller contents are never reduced one by one: little would be won."""
_SHARE = 8
"""A content over this part of the room is large."""
_SHOWN = 80
"""Characters of a child's own names and addresses that a note repeats."""
_BINARY = "application/octet-stream"
_JSON = "application/json"
_TEXT = "text/plain"
_MIME = re.compile(r"[\w!#$&^.+-]{1,40}/[\w!#$&^.+-]{1,40}", re.ASCII)
_URI = re.compile(re.escape(SCHEME) + r"([0-9a-f]{1,64})(?:/([1-9][0-9]{0,8}))?")

Item = dict[str, Any]
_Replaced = Callable[[str, Item], list[Item]]
"""Puts a note in the place of a content, and the link to the whole where there is room for one."""


def shorten(
    method: str,
    result: Mapping[str, Any],
    limit: int,
    keep: Keep,
    *,
    has_output_schema: bool,
    media_limit: int | None = None,
) -> dict[str, Any] | None:
    """The result of a method in less than `limit` bytes, what was left out kept; None: it passes as it is.

    Images and audio count against `media_limit` if there is one: most hosts' limits are those of text.
    A structure that an output schema promises is never touched, as hosts would refuse the result without
    it: when that alone is over the limit, the result passes whole. What `keep` raises is raised.
    """
    shape = _SHAPES.get(method)
    if shape is None or result.get("resultType", "complete") != "complete":
        return None
    contents = result.get(shape.member, [])
    if not isinstance(contents, list):
        return None
    parts = [shape.part(item, keep) for item in contents]
    media = 0 if media_limit is None else sum(part.size for part in parts if part.media)
    size = _size(result) - media
    if size <= limit and media <= (media_limit or 0):
        return None
    rest = {**result, shape.member: []}
    notes: list[Item] = []
    if size > limit and method == "tools/call" and "structuredContent" in rest:
        if has_output_schema and not result.get("isError"):
            if _size(rest) + _NOTE > limit:
                return None
        elif _size(rest["structuredContent"]) > max(_LEAST_LARGE, limit // _SHARE):
            notes = _set_aside(rest.pop("structuredContent"), contents, keep)
    room = limit - _size(rest) - _size(notes)
    return {**rest, shape.member: [*_fit(parts, room, media_limit, shape, keep), *notes]}


# --- what fits ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """One content, and what can take its place; `media` is what hosts do not hand on as text.

    `size` and `reduced` are bytes, the latter at most what `reduce` makes.
    """

    item: Any
    size: int
    reduced: int
    media: bool
    reduce: Callable[[], list[Item]]


def _fit(parts: Sequence[_Part], room: int, media_room: int | None, shape: _Shape, keep: Keep) -> list[Any]:
    """Contents for the room: the largest are reduced; what then does not fit from the front is set aside."""
    reduced = _too_large(parts, room, media_room)
    costs = [_cost(part, i in reduced, media_room) for i, part in enumerate(parts)]
    if sum(costs) > room:
        room -= _NOTE
    shown: list[Any] = []
    left: list[Any] = []
    for i, part in enumerate(parts):
        if costs[i] and (left or costs[i] > room):
            left.append(part.item)
            continue
        room -= costs[i]
        shown += part.reduce() if i in reduced else [part.item]
    if left:
        kept = keep(_encode(left), _JSON)
        are = "1 content is" if len(left) == 1 else f"{len(left):,} contents are"
        note = f"[{are} left out here, together {kept.size:,} bytes of JSON. {_from_start(kept)}]"
        shown += shape.remainder(note, kept)
    return shown


def _too_large(parts: Sequence[_Part], room: int, media_room: int | None) -> set[int]:
    """Which contents to reduce: the largest, until the others have room or are small."""
    chosen: set[int] = set()
    # Of two that are as large, the one in front stays.
    order = sorted(range(len(parts)), key=lambda i: (-parts[i].size, -i))
    if media_room is not None:
        media = [i for i in order if parts[i].media]
        total = sum(parts[i].size for i in media)
        for i in media:
            if total <= media_room:
                break
            chosen.add(i)
            total -= parts[i].size
    total = sum(_cost(part, i in chosen, media_room) for i, part in enumerate(parts))
    for i in order:
        if total <= room or parts[i].size <= max(_LEAST_LARGE, room // _SHARE):
            break
        before = _cost(parts[i], i in chosen, media_room)
        if before > parts[i].reduced:
            chosen.add(i)
            total -= before - parts[i].reduced
    return chosen


def _cost(part: _Part, reduced: bool, media_room: int | None) -> int:
    if reduced:
        return part.reduced
    return 0 if part.media and media_room is not None else part.size


def _set_aside(structure: Any, contents: Sequence[Any], keep: Keep) -> list[Item]:
    """What stands for a structure that is left out; nothing if a text says the same, as it should."""
    if any(_says(block, structure) for block in contents):
        return []
    kept = keep(_encode(structure), _JSON)
    note = f"[The structured content, {kept.size:,} bytes of JSON, is left out here. {_from_start(kept)}]"
    return [_text_block(note), _link(kept, "structured content")]


def _says(block: Any, structure: Any) -> bool:
    text = block.get("text") if isinstance(block, dict) else None
    if not isinstance(text, str):
        return False
    # Widespread libraries wrap what is no object.
    wrapped = isinstance(structure, dict) and structure.keys() == {"result"}
    inner = structure["result"] if wrapped else structure
    if text == inner:
        return True
    try:
        said = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    return bool(said in (structure, inner))


# --- the contents of three methods -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where a method's contents stand, what one is, and what stands for those that are set aside."""

    member: str
    part: Callable[[Any, Keep], _Part]
    remainder: Callable[[str, Kept], list[Item]]


def _of_tool(item: Any, keep: Keep) -> _Part:
    def replaced(note: str, link: Item) -> list[Item]:
        if item["type"] == "text":
            return [{**item, "text": note}, link]
        said = {key: item[key] for key in ("annotations", "_meta") if key in item}
        return [_text_block(note), {**said, **link}]

    return _part(item, item, replaced, keep)


def _of_prompt(item: Any, keep: Keep) -> _Part:
    def replaced(note: str, link: Item) -> list[Item]:
        # A message has one content: the note names the resource, where a tool's result has the link too.
        return [{**item, "content": _text_block(note)}]

    return _part(item, item.get("content") if isinstance(item, dict) else None, replaced, keep)


def _of_resource(item: Any, keep: Keep) -> _Part:
    def replaced(note: str, link: Item) -> list[Item]:
        others = {key: value for key, value in item.items() if key != "blob"}
        # What was binary is now a note in words.
        return [{**others, **({"mimeType": _TEXT} if "blob" in item else {}), "text": note}]

    return _part(item, {"type": "resource", "resource": item}, replaced, keep)


_SHAPES: Final = {
    "tools/call": _Shape(
        "content", _of_tool, lambda note, kept: [_text_block(note), _link(kept, "further contents")]
    ),
    "prompts/get": _Shape(
        "messages", _of_prompt, lambda note, kept: [{"role": "user", "content": _text_block(note)}]
    ),
    "resources/read": _Shape(
        "contents", _of_resource, lambda note, kept: [{"uri": _uri(kept.id), "mimeType": _TEXT, "text": note}]
    ),
}


def _part(item: Any, block: Any, replaced: _Replaced, keep: Keep) -> _Part:
    """The part of one content; `block` is it as a tool would send it."""
    size = _size(item) + 1
    kind = block.get("type") if isinstance(block, dict) else None
    content = block.get("resource") if kind == "resource" else block
    if not isinstance(kind, str) or not isinstance(content, dict):
        return _Part(item, size, size, False, lambda: [item])
    name = _shown(content.get("uri")) or _shown(kind)
    media = kind in ("image", "audio")
    text = content.get("text") if kind in ("text", "resource") else None

    def reduce() -> list[Item]:
        if isinstance(text, str):
            kept = keep(_bytes(text), _mime(content, _TEXT))
            return replaced(
                _excerpt(text, kept, f" of {name}" if kind == "resource" else ""), _link(kept, name)
            )
        data, mime = _data(content, media) or (_encode(item), _JSON)
        kept = keep(data, mime)
        note = f"[Left out here: {name}, {mime}, {kept.size:,} bytes. {_from_start(kept)}]"
        return replaced(note, _link(kept, name))

    shown = HEAD + TAIL if isinstance(text, str) else 0
    return _Part(item, size, _size(replaced("", {})) + shown + _NOTE, media, reduce)


def _excerpt(text: str, kept: Kept, of: str) -> str:
    """Beginning and end of a text, and between them how much is left out and how to read it."""
    head, tail = _head(text, HEAD), _tail(text, TAIL)
    left = kept.size - len(_bytes(head)) - len(_bytes(tail))
    line = "" if head.endswith("\n") else "\n"
    note = f"[{left:,} of the {kept.size:,} bytes{of} are left out here. {_from_start(kept)}]"
    return f"{head}{line}{note}\n{tail}"


def _data(content: Item, media: bool) -> tuple[bytes, str] | None:
    """What is in base64, and its type; None if it is no base64."""
    try:
        return b64decode(content["data" if media else "blob"], validate=True), _mime(content, _BINARY)
    except (KeyError, TypeError, ValueError):
        return None


# --- pages -------------------------------------------------------------------------------------


def page_result(page: Page, result_id: str) -> dict[str, Any]:
    """The answer of the tool that reads one page; a block of its own says how to go on when there is more."""
    uri = _uri(result_id, page.number)
    if page.text:
        block = _text_block(page.data.decode())
    elif page.pages == 1 and page.mime.startswith(("image/", "audio/")):
        kind = page.mime.partition("/")[0]
        block = {"type": kind, "data": _base64(page.data), "mimeType": page.mime}
    else:
        block = {"type": "resource", "resource": _contents(page, uri)}
    return {"content": [block, *([_text_block(_next(page, result_id))] if _has_next(page) else [])]}


def page_contents(page: Page, uri: str) -> dict[str, Any]:
    """The answer to `resources/read` of one page; further contents say how to go on when there is more."""
    contents = [_contents(page, uri)]
    place = parse_result_uri(uri)
    if place is not None and _has_next(page):
        contents.append({"uri": uri, "mimeType": _TEXT, "text": _next(page, place[0])})
    return {"contents": contents}


def parse_result_uri(uri: str) -> tuple[str, int] | None:
    """Id and page of a result's address, the first page where none is named; None for any other address."""
    found = _URI.fullmatch(uri)
    return (found[1], int(found[2] or 1)) if found else None


def _contents(page: Page, uri: str) -> Item:
    # A part of an image is no image: hosts hand such on to models, which refuse the whole conversation.
    whole = page.pages == 1
    if page.text:
        return {"uri": uri, "mimeType": page.mime if whole else _TEXT, "text": page.data.decode()}
    return {"uri": uri, "mimeType": page.mime if whole else _BINARY, "blob": _base64(page.data)}


def _has_next(page: Page) -> bool:
    return page.number < page.pages


def _next(page: Page, result_id: str) -> str:
    return f"[Page {page.number} of {page.pages}. {_read_on(result_id, page.number + 1, page.pages)}]"


# --- words and values --------------------------------------------------------------------------


def _read_on(result_id: str, page: int, pages: int) -> str:
    arguments = f'{{"id": "{result_id}", "page": {page}}}'
    count = "1 page" if pages == 1 else f"{pages} pages"
    return (
        f'Read on with use_tool: tool="{READ_TOOL}", arguments={arguments} ({count}), '
        f"or read the resource {_uri(result_id, page)}."
    )


def _from_start(kept: Kept) -> str:
    # What is shown of a text is less than its first page.
    return f"Page 1 is the beginning. {_read_on(kept.id, 1, kept.pages)}"


def _head(text: str, room: int) -> str:
    """The beginning of a text, at most `room` bytes when encoded; up to a line's end if one is near."""
    shown = text[:room]
    while (size := _size(shown) - 2) > room:
        shown = shown[: len(shown) * room // size]
    line = shown.rfind("\n", len(shown) * 3 // 4)
    return shown[: line + 1] if line >= 0 else shown


def _tail(text: str, room: int) -> str:
    """The end of a text, at most `room` bytes when encoded; from a line's beginning if one is near."""
    shown = text[-room:]
    while (size := _size(shown) - 2) > room:
        shown = shown[len(shown) - len(shown) * room // size :]
    return shown[shown.find("\n", 0, len(shown) // 4) + 1 :]


def _shown(words: object) -> str:
    """A child's own words, fit for a note: short and on one line."""
    text = words if isinstance(words, str) else ""
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return "".join(c if c.isprintable() else "?" for c in text)


def _mime(content: Item, default: str) -> str:
    kind = str(content.get("mimeType")).partition(";")[0].strip()
    return kind if _MIME.fullmatch(kind) else default


def _text_block(text: str) -> Item:
    return {"type": "text", "text": text}


def _link(kept: Kept, name: str) -> Item:
    uri = _uri(kept.id)
    return {"type": "resource_link", "uri": uri, "name": name, "mimeType": kept.mime, "size": kept.size}


def _uri(result_id: str, page: int | None = None) -> str:
    return f"{SCHEME}{result_id}" if page is None else f"{SCHEME}{result_id}/{page}"


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _encode(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        # Half a surrogate pair, or a number of more than 64 bits: written as it came.
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def _size(value: Any) -> int:
    return len(_encode(value))
