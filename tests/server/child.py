"""A well-behaved child with something of everything: raw JSON-RPC on stdio, standard library only.

`child.py [PATH]`; PATH is a file that a cancellation is written to.
"""

import json
import sys
from pathlib import Path
from typing import Any

PATH = Path(sys.argv[1]) if len(sys.argv) > 1 else None
OBJECT: dict[str, Any] = {"type": "object"}
LOOK: dict[str, Any] = {
    "name": "look",
    "title": "Look around",
    "description": "Looks at the containers that run.",
    "inputSchema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"depth": {"type": "integer", "minimum": 1, "x-ours": True}},
        "$defs": {"unused": {"type": "string"}},
        "additionalProperties": False,
    },
    "outputSchema": {"type": "object", "properties": {"seen": {"type": "string"}}},
    "annotations": {"readOnlyHint": True, "title": "Look"},
    "_meta": {"example.org/tag": [1, {"deep": None}]},
    "x-unknown": {"kept": True},
}
TOOLS: list[dict[str, Any]] = [
    LOOK,
    *(
        {"name": n, "inputSchema": OBJECT}
        for n in ("echo", "list", "fail", "refuse", "steps", "hang", "grow")
    ),
    *({"name": n, "inputSchema": OBJECT} for n in ("bare", "odd")),
    # Structured results that are no objects exist since 2026-07-28 only.
    {"name": "count", "inputSchema": OBJECT, "outputSchema": {"type": "array"}},
]
PROMPTS = [{"name": "greet", "description": "Says hello", "arguments": [{"name": "who", "required": True}]}]
RESOURCES = [{"uri": "notes://today", "name": "today", "mimeType": "text/plain"}]
TEMPLATES = [{"uriTemplate": "notes://{day}", "name": "a day"}]


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(value: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": value}]


def call(request: dict[str, Any]) -> dict[str, Any] | None:
    params = request["params"]
    match params["name"]:
        case "look":
            return {"content": text("much"), "structuredContent": {"seen": "much"}, "_meta": {"a/b": 1}}
        case "list" | "count":
            return {"content": text("[1,2]"), "structuredContent": [1, 2]}
        case "fail":
            return {"content": text("no such table"), "isError": True, "_meta": {"hint": "x"}}
        case "steps":
            token = params.get("_meta", {}).get("progressToken")
            for step in (1, 2):
                note = {"progressToken": token, "progress": step, "total": 2, "message": f"step {step}"}
                send({"method": "notifications/progress", "params": note})
        case "bare":
            return {"structuredContent": {"a": 1}}
        case "odd":
            return {"content": [{"type": "smell", "strength": 3}]}
        case "hang":
            return None
        case "grow":
            TOOLS.append({"name": f"new{len(TOOLS)}", "inputSchema": OBJECT})
            send({"method": "notifications/tools/list_changed"})
    seen = {"arguments": params.get("arguments"), "meta": params.get("_meta")}
    return {"content": text(json.dumps(seen))}


def prompt(request: dict[str, Any]) -> dict[str, Any]:
    who = request["params"]["arguments"]["who"]
    return {"messages": [{"role": "user", "content": {"type": "text", "text": f"Hello {who}"}}]}


def read(request: dict[str, Any]) -> dict[str, Any]:
    uri = request["params"]["uri"]
    return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": f"of {uri}"}]}


def complete(request: dict[str, Any]) -> dict[str, Any]:
    reference = request["params"]["ref"]
    of = reference.get("name") or reference.get("uri")
    return {"completion": {"values": [f"{of}:{request['params']['argument']['value']}"], "total": 1}}


def initialize(request: dict[str, Any]) -> dict[str, Any]:
    offers: dict[str, Any] = {
        "tools": {"listChanged": True},
        "prompts": {},
        "resources": {},
        "completions": {},
    }
    return {
        "protocolVersion": request["params"]["protocolVersion"],
        "capabilities": offers,
        "serverInfo": {"name": "rich", "version": "1"},
    }


HANDLERS: dict[str, Any] = {
    "initialize": initialize,
    "tools/list": lambda request: {"tools": TOOLS},
    "tools/call": call,
    "prompts/list": lambda request: {"prompts": PROMPTS},
    "prompts/get": prompt,
    "resources/list": lambda request: {"resources": RESOURCES},
    "resources/templates/list": lambda request: {"resourceTemplates": TEMPLATES},
    "resources/read": read,
    "completion/complete": complete,
}


def answer(request: dict[str, Any]) -> None:
    method, params = request["method"], request.get("params") or {}
    if method == "tools/call" and params["name"] == "refuse":
        send({"id": request["id"], "error": {"code": -32042, "message": "not today", "data": {"why": [1]}}})
    elif method not in HANDLERS:
        send({"id": request["id"], "error": {"code": -32601, "message": "Method not found"}})
    elif (result := HANDLERS[method](request)) is not None:
        send({"id": request["id"], "result": result})


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer(message)
        elif message["method"] == "notifications/cancelled" and PATH is not None:
            PATH.write_text("cancelled")


if __name__ == "__main__":
    main()
