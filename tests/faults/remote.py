"""A remote MCP server that turns everybody away once it is told to, and counts who comes all the same."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OBJECT = {"type": "object"}


class Remote:
    """`status` is what it answers instead of results, None while it is well; `requests` what it was sent."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.requests: list[str] = []
        self.url = ""

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """The result of a request; None for a notification."""
        method = message.get("method")
        if method == "initialize":
            return {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "far", "version": "1"},
            }
        if method == "tools/list":
            return {"tools": [{"name": "echo", "inputSchema": OBJECT, "annotations": {"readOnlyHint": True}}]}
        if method == "tools/call":
            return {"content": [{"type": "text", "text": json.dumps(message["params"].get("arguments"))}]}
        return {} if "id" in message else None


@contextmanager
def remote() -> Iterator[Remote]:
    """A running one, on loopback."""
    state = Remote()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append(f"POST {body.get('method')}")
            if state.status is not None:
                self._send(state.status, b"no")
            elif (result := state.answer(body)) is None:
                self._send(202, b"")
            else:
                self._send(200, json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": result}).encode())

        def do_GET(self) -> None:
            state.requests.append("GET")
            self._send(state.status or 405, b"")

        def do_DELETE(self) -> None:
            state.requests.append("DELETE")
            self._send(state.status or 200, b"")

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/mcp"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
