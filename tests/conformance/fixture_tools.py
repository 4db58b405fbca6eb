"""The tools that the conformance suite calls by name, and what it wants of each."""

import base64
import json
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from tests.conformance.fixture_call import Call, Refused

Result = dict[str, Any]

# The suite's own pause: long enough for a host to see one notification before the next.
PAUSE = 0.05


@dataclass(frozen=True)
class Tool:
    """A tool as it is listed, and what it does."""

    listed: dict[str, Any]
    run: Callable[[Call], Awaitable[Result]]


TOOLS: dict[str, Tool] = {}

ADDED = {
    "name": "fixture_added_tool",
    "description": "Listed or not: test_trigger_tool_change turns it on and off.",
    "inputSchema": {"type": "object"},
}


def tool(
    description: str, schema: dict[str, Any] | None = None
) -> Callable[[Callable[[Call], Awaitable[Result]]], Callable[[Call], Awaitable[Result]]]:
    """List a function as the tool of its name."""

    def listed(run: Callable[[Call], Awaitable[Result]]) -> Callable[[Call], Awaitable[Result]]:
        name = run.__name__
        shown = {"name": name, "description": description, "inputSchema": schema or {"type": "object"}}
        TOOLS[name] = Tool(shown, run)
        return run

    return listed


def strings(**properties: str) -> dict[str, Any]:
    """A schema of required strings: their names and what they are for."""
    described = {name: {"type": "string", "description": purpose} for name, purpose in properties.items()}
    return {"type": "object", "properties": described, "required": list(properties)}


def text(words: str) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": words}


def content(*blocks: dict[str, Any] | str, **more: Any) -> Result:
    """A finished result."""
    shown = [text(block) if isinstance(block, str) else block for block in blocks]
    return {"resultType": "complete", "content": shown, **more}


def png() -> str:
    """A picture of one red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\xff\0\0")
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


def wav() -> str:
    """Four samples of silence."""
    silence = b"\x80" * 4
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    body = b"WAVE" + shape + struct.pack("<4sI", b"data", len(silence)) + silence
    return base64.b64encode(b"RIFF" + struct.pack("<I", len(body)) + body).decode()


def image() -> dict[str, Any]:
    """A block with a picture."""
    return {"type": "image", "data": png(), "mimeType": "image/png"}


def resource(uri: str, mime: str, words: str) -> dict[str, Any]:
    """A block that carries a resource."""
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": words}}


# --- answers of every kind -----------------------------------------------------------------------


@tool("Answers with a line of text.")
async def test_simple_text(call: Call) -> Result:
    return content("A line of text, as asked for.")


@tool("Answers with a picture.")
async def test_image_content(call: Call) -> Result:
    return content(image())


@tool("Answers with a sound.")
async def test_audio_content(call: Call) -> Result:
    return content({"type": "audio", "data": wav(), "mimeType": "audio/wav"})


@tool("Answers with a resource inside the result.")
async def test_embedded_resource(call: Call) -> Result:
    return content(resource("test://embedded-resource", "text/plain", "Carried inside a result."))


@tool("Answers with text, a picture and a resource.")
async def test_multiple_content_types(call: Call) -> Result:
    data = json.dumps({"test": "data", "value": 123})
    return content(
        "Three kinds at once:", image(), resource("test://mixed-content-resource", "application/json", data)
    )


@tool("Always fails.")
async def test_error_handling(call: Call) -> Result:
    raise Refused("This tool fails whenever it is called.")


SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@tool("Its schema uses words of JSON Schema 2020-12 that must survive the way.", SCHEMA_2020_12)
async def json_schema_2020_12_tool(call: Call) -> Result:
    return content(f"Called with {json.dumps(call.arguments, sort_keys=True)}")


@tool(
    "One of its arguments also travels as an HTTP header.",
    {
        "type": "object",
        "properties": {
            "region": {"type": "string", "description": "Any place", "x-mcp-header": "Region"},
            "query": {"type": "string", "description": "Anything"},
        },
        "required": ["region"],
    },
)
async def test_x_mcp_header(call: Call) -> Result:
    return content(f"The region is {call.arguments.get('region')!r}.")


# --- on the way to the answer --------------------------------------------------------------------


@tool("Logs three times at the level info.")
async def test_tool_with_logging(call: Call) -> Result:
    await call.log("Tool execution started")
    await anyio.sleep(PAUSE)
    await call.log("Tool processing data")
    await anyio.sleep(PAUSE)
    await call.log("Tool execution completed")
    return content("Logged three times.")


@tool("Logs once at the level info, for hosts that asked for it.")
async def test_logging_tool(call: Call) -> Result:
    await call.log("Only a host that asked for logs sees this")
    return content("Logged, if that was wanted.")


@tool("Tells its progress three times.")
async def test_tool_with_progress(call: Call) -> Result:
    await call.progress(0)
    for done in (50, 100):
        await anyio.sleep(PAUSE)
        await call.progress(done)
    return content("All of it is done.")


@tool("Closes its HTTP stream; the answer is there when the host comes back for it.")
async def test_reconnection(call: Call) -> Result:
    await call.close_stream()
    await anyio.sleep(2 * PAUSE)
    return content("Told after the stream was closed.")


@tool("Changes the list of tools.")
async def test_trigger_tool_change(call: Call) -> Result:
    call.state.more_tools = not call.state.more_tools
    await call.tools_changed()
    return content("There is another list of tools now.")


@tool("Changes the list of prompts.")
async def test_trigger_prompt_change(call: Call) -> Result:
    call.state.more_prompts = not call.state.more_prompts
    await call.prompts_changed()
    return content("There is another list of prompts now.")
