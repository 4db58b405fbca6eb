"""`warroom serve` without children: time to the first answers, memory, tokens of the own tools.

    python -m benchmarks.serve [--rounds 7]

Beside: a Python that answers the same request without importing anything, the limit; and a server of
the SDK's `MCPServer` with one tool.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import psutil

from benchmarks.figures import spread, table
from warroom_mcp.server.tools import INSTRUCTIONS, own_definitions

_INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "0"},
    },
}
_INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}

_FLOOR = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {"tools": []}}), flush=True)
"""
_PLAIN_SDK = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("plain")
@server.tool()
def echo(text: str) -> str:
    return text
server.run()
"""

SERVERS = {
    "limit (no imports)": [sys.executable, "-c", _FLOOR],
    "plain MCPServer": [sys.executable, "-c", _PLAIN_SDK],
    "warroom serve": [sys.executable, "-m", "warroom_mcp", "serve"],
}


def measure(argv: Sequence[str]) -> tuple[float, float, float]:
    """Seconds to the first answer, seconds to the tool list, resident bytes at rest."""
    with tempfile.TemporaryDirectory() as home:
        begin = time.perf_counter()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "WARROOM_HOME": home},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        _send(process, _INITIALIZE)
        process.stdout.readline()
        first = time.perf_counter() - begin
        _send(process, _INITIALIZED)
        _send(process, _LIST)
        process.stdout.readline()
        listed = time.perf_counter() - begin
        resident = psutil.Process(process.pid).memory_info().rss
        process.stdin.close()
        process.wait(10)
        return first, listed, float(resident)


def _send(process: "subprocess.Popen[bytes]", message: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for argv in SERVERS.values():
        measure(argv)
    figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in SERVERS}
    for _ in range(rounds):
        for name, argv in SERVERS.items():
            figures[name].append(measure(argv))
    base = next(iter(SERVERS))
    print(f"start to the first answer, {rounds} rounds in turn: median (min..max)")
    table({name: [1000 * f[0] for f in rows] for name, rows in figures.items()}, base=base, unit="ms")
    print("start to the tool list")
    table({name: [1000 * f[1] for f in rows] for name, rows in figures.items()}, base=base, unit="ms")
    print("resident memory at rest")
    table({name: [f[2] / 1e6 for f in rows] for name, rows in figures.items()}, base=base, unit="MB")
    text = json.dumps(own_definitions(), separators=(",", ":"))
    print(
        f"own tools: {len(own_definitions())} definitions, {len(text)} characters, {len(text) / 4:.0f} tokens"
    )
    print(f"instructions: {len(INSTRUCTIONS)} characters, {len(INSTRUCTIONS) / 4:.0f} tokens")
    print(
        f"largest description: {spread([float(len(d['description'])) for d in own_definitions()])} characters"
    )


if __name__ == "__main__":
    main()
