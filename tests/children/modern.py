"""A child of 2026-07-28, or one that behaves oddly towards hosts of that era: raw JSON-RPC, standard library.

`modern.py MODE [PATH]`; PATH is a file to which the methods it is sent are added, over all its lives.

    modern      knows no handshake
    dual        speaks the era of its first request, and refuses the other one from then on
    silent      shakes hands, and says nothing to a request that it does not know
    exits       shakes hands, and exits at a request that it does not know
    neither     refuses both ways to begin
    stranger    speaks versions that nobody knows
    odd         answers both ways to begin with something that is no object
    strict      shakes hands, and refuses it for a reason of its own
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODE = sys.argv[1] if len(sys.argv) > 1 else "modern"
PATH = Path(sys.argv[2]) if len(sys.argv) > 2 else None
OBJECT = {"type": "object"}
TOOLS: list[dict[str, Any]] = [
    {"name": name, "inputSchema": OBJECT}
    for name in ("echo", "ask", "grow", "touch", "end_listening", "hang")
]
CAPABILITIES = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
SERVER = {"name": "modern", "version": "1"}
VERSION = "2026-07-28"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

era: str | None = {"modern": "modern", "silent": "legacy", "exits": "legacy"}.get(MODE)
listening: dict[str, Any] | None = None


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(request: dict[str, Any], result: Any) -> None:
    if era == "modern" and isinstance(result, dict):
        result = {"resultType": "complete", **result}
    send({"id": request["id"], "result": result})


def refuse(request: dict[str, Any], code: int, message: str) -> None:
    send({"id": request["id"], "error": {"code": code, "message": message}})


def content(text: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], **more}


def announce(method: str, **params: Any) -> None:
    if era == "legacy":
        send({"method": method, "params": params})
    elif listening is not None:
        send({"method": method, "params": {**params, "_meta": {SUBSCRIPTION: listening["id"]}}})


def initialize(request: dict[str, Any]) -> None:
    global era
    if MODE == "strict":
        refuse(request, -32602, "your plan does not include this")
    elif MODE == "odd":
        answer(request, [])
    elif era == "modern" or MODE == "neither":
        refuse(request, -32601, "Method not found")
    else:
        era = "legacy"
        version = "1999-01-01" if MODE == "stranger" else request["params"]["protocolVersion"]
        answer(request, {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": SERVER})


def discover(request: dict[str, Any]) -> None:
    global era
    if MODE == "exits":
        os._exit(4)
    if MODE == "silent":
        return
    if MODE == "odd":
        answer(request, [])
    elif era == "legacy" or MODE in ("neither", "strict"):
        refuse(request, -32601, "Method not found")
    else:
        era = "modern"
        versions = ["1999-01-01"] if MODE == "stranger" else [VERSION]
        answer(
            request,
            {
                "supportedVersions": versions,
                "capabilities": CAPABILITIES,
                "instructions": "Ask first.",
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": {"io.modelcontextprotocol/serverInfo": SERVER},
            },
        )


def call(request: dict[str, Any]) -> None:
    global listening
    params = request["params"]
    name = params["name"]
    if name == "ask":
        ask(request)
        return
    if name == "hang":
        return
    if name == "grow":
        TOOLS.append({"name": f"new{len(TOOLS)}", "inputSchema": OBJECT})
        announce("notifications/tools/list_changed")
    elif name == "touch":
        announce("notifications/resources/updated", uri="a://b")
    elif name == "end_listening" and listening is not None:
        answer(listening, {"_meta": {SUBSCRIPTION: listening["id"]}})
        listening = None
    answer(request, content(str(era), _seen=params.get("_meta"), _pid=os.getpid()))


def ask(request: dict[str, Any]) -> None:
    """Two rounds of questions; the state goes out and comes back with each."""
    params = request["params"]
    given = params.get("inputResponses")
    round_ = int(params.get("requestState", "state-0").removeprefix("state-"))
    if given and round_ >= 2:
        answer(request, content(json.dumps(given)))
        return
    question = {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": f"round {round_ + 1}", "requestedSchema": OBJECT},
    }
    asked = {"r0": question}
    answer(
        request,
        {"resultType": "input_required", "inputRequests": asked, "requestState": f"state-{round_ + 1}"},
    )


def listen(request: dict[str, Any]) -> None:
    global listening
    if era != "modern":
        refuse(request, -32601, "Method not found")
        return
    listening = request
    announce("notifications/subscriptions/acknowledged", notifications=request["params"]["notifications"])


def cancelled(message: dict[str, Any]) -> None:
    global listening
    if listening is not None and message["params"]["requestId"] == listening["id"]:
        listening = None


def list_tools(request: dict[str, Any]) -> None:
    answer(request, {"tools": TOOLS, "ttlMs": 0, "cacheScope": "private"})


def list_resources(request: dict[str, Any]) -> None:
    answer(request, {"resources": [{"uri": "a://b", "name": "b"}], "ttlMs": 0, "cacheScope": "private"})


def list_templates(request: dict[str, Any]) -> None:
    answer(request, {"resourceTemplates": [], "ttlMs": 0, "cacheScope": "private"})


HANDLERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "initialize": initialize,
    "server/discover": discover,
    "tools/list": list_tools,
    "tools/call": call,
    "resources/list": list_resources,
    "resources/templates/list": list_templates,
    "resources/subscribe": lambda request: answer(request, {}),
    "resources/unsubscribe": lambda request: answer(request, {}),
    "subscriptions/listen": listen,
    "notifications/cancelled": cancelled,
    "ping": lambda request: answer(request, {}),
}


def note(method: str) -> None:
    if PATH is not None:
        with PATH.open("a") as file:
            file.write(f"{method}\n")


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method", "")
        note(method)
        handler = HANDLERS.get(method)
        if handler is not None:
            handler(message)
        elif "id" in message:
            if MODE == "exits":
                os._exit(4)
            if MODE != "silent":
                refuse(message, -32601, "Method not found")


if __name__ == "__main__":
    main()
