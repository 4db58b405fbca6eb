"""A child that misbehaves on demand: raw JSON-RPC on stdio, standard library only.

`fake.py MODE [PATH]`; PATH is a file that some modes write process ids or counters to.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODE = sys.argv[1] if len(sys.argv) > 1 else "ok"
PATH = Path(sys.argv[2]) if len(sys.argv) > 2 else None
OBJECT = {"type": "object"}
TOOLS: list[dict[str, Any]] = [
    {"name": "echo", "description": "Says it again", "inputSchema": OBJECT, "x-unknown": {"kept": [1]}},
    {"name": "look", "inputSchema": OBJECT, "annotations": {"readOnlyHint": True}},
]


def write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def send(message: dict[str, Any]) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}))


def answer(request: dict[str, Any], result: dict[str, Any]) -> None:
    send({"id": request["id"], "result": result})


def refuse(request: dict[str, Any], code: int, message: str) -> None:
    send({"id": request["id"], "error": {"code": code, "message": message}})


def content(text: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], **more}


def count() -> int:
    """How often this was asked, over all lives of the child."""
    assert PATH is not None
    seen = int(PATH.read_text()) if PATH.exists() else 0
    PATH.write_text(str(seen + 1))
    return seen


def start_grandchild(new_session: bool) -> None:
    assert PATH is not None
    other = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(600)"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=new_session,
    )
    PATH.write_text(f"{os.getpid()} {other.pid}")


def start_daemon() -> None:
    """A process that left the group, the session and the tree before anyone could look."""
    assert PATH is not None
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for stream in (0, 1, 2):
            os.close(stream)
        part = PATH.with_suffix(".part")
        part.write_text(str(os.getpid()))
        part.rename(PATH)
        time.sleep(600)
    os.wait()


def initialize(request: dict[str, Any]) -> None:
    if MODE == "no_initialize" or (MODE == "silent_again" and count() > 0):
        return
    if MODE == "modern":
        refuse(request, -32601, "Method not found")
        return
    capabilities: dict[str, Any] = {"tools": {"listChanged": True}}
    if MODE == "everything":
        capabilities |= {"prompts": {}, "resources": {}}
    answer(
        request,
        {
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": capabilities,
            "serverInfo": {"name": "fake", "version": "1", "client": request["params"]["clientInfo"]["name"]},
            "instructions": "Be gentle.",
        },
    )


def discover(request: dict[str, Any]) -> None:
    if MODE != "modern":
        refuse(request, -32601, "Method not found")
        return
    answer(
        request,
        {
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}},
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "fake", "version": "1"}},
        },
    )


def list_tools(request: dict[str, Any]) -> None:
    cursor = (request.get("params") or {}).get("cursor")
    if MODE == "endless_cursor":
        page = int(cursor or 0)
        tool = {"name": f"tool{page}", "inputSchema": OBJECT}
        answer(request, {"tools": [tool], "nextCursor": str(page + 1)})
    elif MODE == "same_cursor":
        answer(request, {"tools": TOOLS, "nextCursor": "again"})
    elif MODE == "pages":
        first = {"tools": TOOLS[:1], "nextCursor": "two"}
        answer(request, first if cursor is None else {"tools": TOOLS[1:]})
    elif MODE == "broken_tool":
        broken: list[Any] = [{"name": "bare"}, {"inputSchema": OBJECT}, "nonsense", {"name": 3}, TOOLS[0]]
        answer(request, {"tools": [*broken, *TOOLS]})
    elif MODE == "many_tools":
        answer(request, {"tools": [*TOOLS, *({"name": f"t{n}", "inputSchema": OBJECT} for n in range(9998))]})
    elif MODE == "badly_typed":
        number = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        answer(request, {"tools": [{**tool, "outputSchema": number} for tool in TOOLS]})
    elif MODE == "no_list":
        refuse(request, -32603, "the list is lost")
    elif MODE == "slow_list":
        return
    elif MODE == "modern":
        answer(request, {"resultType": "complete", "tools": TOOLS, "ttlMs": 0, "cacheScope": "private"})
    else:
        answer(request, {"tools": TOOLS})
    while WAITING:  # calls that are answered once the list was asked for
        answer(WAITING.pop(), content("gone, and answered"))


WAITING: list[dict[str, Any]] = []


def call(request: dict[str, Any]) -> None:
    params = request["params"]
    arguments = params.get("arguments") or {}
    mode = arguments.get("mode") or MODE
    if mode in MISBEHAVIOUR:
        MISBEHAVIOUR[mode](request)
    elif mode == "modern":
        answer(request, {"resultType": "complete", **content("modern"), "_seen": params.get("_meta")})
    else:
        answer(request, content(json.dumps(arguments), _seen=params.get("_meta"), **{"x-extra": 1}))


def crash(request: dict[str, Any]) -> None:
    sys.stderr.write("one last word\n")
    sys.stderr.flush()
    os._exit(3)


def crash_once(request: dict[str, Any]) -> None:
    if count() == 0:
        crash(request)
    answer(request, content("second life"))


def half_line_then_crash(request: dict[str, Any]) -> None:
    sys.stdout.write('{"jsonrpc": "2.0", "id": ')
    sys.stdout.flush()
    crash(request)


def progress(request: dict[str, Any]) -> None:
    token = request["params"].get("_meta", {}).get("progressToken")
    for step in range(int(request["params"]["arguments"].get("steps", 3))):
        time.sleep(float(request["params"]["arguments"].get("pause", 0)))
        note = {"progressToken": token, "progress": step + 1, "total": 3, "message": f"step {step + 1}"}
        send({"method": "notifications/progress", "params": note})
    answer(request, content("done"))


def invalid_utf8(request: dict[str, Any]) -> None:
    text = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": content("<here>")})
    sys.stdout.buffer.write(text.encode().replace(b"<here>", b"a\xff\xfeb") + b"\n")
    sys.stdout.buffer.flush()


def deep(request: dict[str, Any]) -> None:
    depth = int(request["params"]["arguments"].get("depth", 100_000))
    write(f'{{"jsonrpc": "2.0", "id": {request["id"]}, "result": {{"a": {"[" * depth}{"]" * depth}}}}}')


def deep_id_last(request: dict[str, Any]) -> None:
    nested = "[" * 300 + "]" * 300
    write(f'{{"result": {{"a": {nested}, "id": 77}}, "jsonrpc": "2.0", "id": {request["id"]}}}')


def truncated(request: dict[str, Any]) -> None:
    write('{"jsonrpc": "2.0", "result": {"content": [')


def surrogate(request: dict[str, Any]) -> None:
    text = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": content("<here>")})
    write(text.replace("<here>", "a\\ud800b"))


def big(request: dict[str, Any]) -> None:
    answer(request, content("x" * int(request["params"]["arguments"]["size"])))


def endless(request: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        while True:
            sys.stdout.write("x" * 65536)


def rubbish(request: dict[str, Any]) -> None:
    for line in ("\x1b[31mred\x1b[0m", "plain words", "[1, 2]", '"text"', "", "{not json"):
        write(line)
    answer(request, content("still here"))


def wrong_id(request: dict[str, Any]) -> None:
    answer({"id": 4711}, content("to nobody"))
    answer(request, content("to you"))
    answer(request, content("to you again"))


def no_result(request: dict[str, Any]) -> None:
    send({"id": request["id"], "result": "a text, not an object"})


def change_list(request: dict[str, Any]) -> None:
    TOOLS.append({"name": f"new{len(TOOLS)}", "inputSchema": OBJECT})
    for _ in range(20):
        send({"method": "notifications/tools/list_changed"})
    answer(request, content("changed"))


def stderr_flood(request: dict[str, Any]) -> None:
    for _ in range(int(request["params"]["arguments"].get("times", 64))):
        sys.stderr.write("e" * 65536)
    sys.stderr.write("\nthe end\n")
    sys.stderr.flush()
    answer(request, content("flooded"))


def drip(request: dict[str, Any]) -> None:
    arguments = request["params"]["arguments"]
    for letter in json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": content("dripped")}) + "\n":
        time.sleep(float(arguments["pause"]))
        sys.stdout.write(letter)
        sys.stdout.flush()


def badly_typed(request: dict[str, Any]) -> None:
    answer(request, content("no number", structuredContent={"n": "no number"}))


def flood(request: dict[str, Any]) -> None:
    """Notifications by the thousand, before the answer."""
    arguments = request["params"]["arguments"]
    note = {"jsonrpc": "2.0", "method": arguments["method"], "params": arguments.get("params", {})}
    for _ in range(int(arguments["times"])):
        sys.stdout.write(json.dumps(note) + "\n")
    answer(request, content("flooded"))


def vanish(request: dict[str, Any]) -> None:
    """The called tool leaves the list in mid-call; the call is answered after the next listing."""
    del TOOLS[0]
    WAITING.append(request)
    send({"method": "notifications/tools/list_changed"})


def deaf(request: dict[str, Any]) -> None:
    """Reads nothing any more."""
    threading.Event().wait()


def error(request: dict[str, Any]) -> None:
    send({"id": request["id"], "error": {"code": -32000, "message": "no luck", "data": {"why": [1]}}})


def close_stdout(request: dict[str, Any]) -> None:
    os.close(1)
    threading.Event().wait()


def close_stdin(request: dict[str, Any]) -> None:
    os.close(0)
    threading.Event().wait()


def ask_back(request: dict[str, Any], method: str = "roots/list") -> None:
    send({"id": "mine", "method": method})
    answered = json.loads(sys.stdin.readline())
    if MODE == "talkative":
        send({"method": "notifications/message", "params": {"level": "info", "data": "asked"}})
    said = {key: value for key, value in answered.items() if key in ("result", "error")}
    answer(request, content(json.dumps(said)))


MISBEHAVIOUR: dict[str, Callable[[dict[str, Any]], None]] = {
    "crash": crash,
    "crash_once": crash_once,
    "half_line": half_line_then_crash,
    "hang": lambda request: None,
    "progress": progress,
    "invalid_utf8": invalid_utf8,
    "deep": deep,
    "deep_id_last": deep_id_last,
    "truncated": truncated,
    "surrogate": surrogate,
    "big": big,
    "endless": endless,
    "rubbish": rubbish,
    "wrong_id": wrong_id,
    "no_result": no_result,
    "change_list": change_list,
    "stderr_flood": stderr_flood,
    "drip": drip,
    "badly_typed": badly_typed,
    "flood": flood,
    "vanish": vanish,
    "deaf": deaf,
    "error": error,
    "close_stdout": close_stdout,
    "close_stdin": close_stdin,
    "ask_back": ask_back,
    "ping_back": lambda request: ask_back(request, "ping"),
}


def cancelled(message: dict[str, Any]) -> None:
    if PATH is not None:
        PATH.write_text(json.dumps(message["params"]))


HANDLERS = {
    "initialize": initialize,
    "server/discover": discover,
    "tools/list": list_tools,
    "tools/call": call,
    "prompts/list": lambda request: answer(request, {"prompts": [{"name": "ask"}, {"title": "nameless"}]}),
    "resources/list": lambda request: answer(request, {"resources": [{"uri": "a://b", "name": "b"}, {}]}),
    "resources/templates/list": lambda request: refuse(request, -32601, "Method not found"),
    "ping": lambda request: answer(request, {}),
    "notifications/cancelled": cancelled,
}


def prepare() -> None:
    if MODE == "exit":
        sys.stderr.write("the API key is missing\n")
        sys.exit(2)
    if MODE == "rubbish_first":
        write("Welcome to the fake server!")
        write("\x1b[32mlistening\x1b[0m")
    if MODE == "start_once" and count() > 0:
        sys.exit(7)
    if MODE in ("ignore_term", "ignore_all"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if MODE in ("grandchild", "setsid"):
        start_grandchild(MODE == "setsid")
    if MODE == "daemon":
        start_daemon()


def main() -> None:
    prepare()
    for line in sys.stdin:
        message = json.loads(line)
        handler = HANDLERS.get(message.get("method", ""))
        if handler is not None:
            handler(message)
        elif "id" in message:
            refuse(message, -32601, "Method not found")
    if MODE in ("ignore_all", "ignore_eof"):
        time.sleep(600)


if __name__ == "__main__":
    main()
