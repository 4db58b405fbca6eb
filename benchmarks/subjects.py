"""What is measured: the child itself, the floor, War Room and its peers, and how each is started."""

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http_link import free_port
from benchmarks.peers import FASTMCP, MCP_HUB, MCP_PROXY, SUPERGATEWAY, Peer
from benchmarks.session import CHILD, ROOT, Start

# One session for each child that stays open: the fastest way that fastmcp has.
_FASTMCP = """
import asyncio, json, sys
from contextlib import AsyncExitStack
from fastmcp import Client, FastMCP
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy

async def main(children):
    async with AsyncExitStack() as stack:
        proxies = {}
        for name, (command, *args) in children.items():
            client = Client(StdioTransport(command, args), mode="legacy")
            proxies[name] = create_proxy(await stack.enter_async_context(client))
        if len(proxies) == 1:
            (server,) = proxies.values()
        else:
            server = FastMCP("proxies")
            for name, proxy in proxies.items():
                server.mount(proxy, namespace=name)
        await server.run_async(transport="stdio", show_banner=False)

asyncio.run(main(json.loads(sys.argv[1])))
"""
_MCP_PROXY = """
import asyncio, json, sys
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server.stdio import stdio_server
from mcp_proxy.proxy_server import create_proxy_server

async def main(command, *args):
    parameters = StdioServerParameters(command=command, args=args)
    async with stdio_client(parameters) as child, ClientSession(*child) as session:
        app = await create_proxy_server(session)
        async with stdio_server() as host:
            await app.run(*host, app.create_initialization_options())

asyncio.run(main(*json.loads(sys.argv[1])))
"""


@dataclass(frozen=True)
class Children:
    """How many echo children stand behind a subject, and how many tools each has."""

    count: int
    tools: int = 1

    @property
    def command(self) -> tuple[str, ...]:
        more = ("--tools", str(self.tools)) if self.tools > 1 else ()
        return (sys.executable, str(CHILD), *more)

    def named(self) -> dict[str, tuple[str, ...]]:
        """The command of each child under a name."""
        return {f"echo{number}": self.command for number in range(self.count)}


@dataclass(frozen=True)
class Subject:
    """One gateway. `alone` and `several` say why it cannot run without, or with many, children."""

    name: str
    via: str
    start: Callable[[Children, Path], Start]
    peer: Peer | None = None
    alone: str = ""
    several: str = ""

    @property
    def is_peer(self) -> bool:
        return self.peer is not None


def _direct(children: Children, home: Path) -> Start:
    return Start(children.command)


def _floor(children: Children, home: Path) -> Start:
    relay = str(ROOT / "benchmarks" / "relay.py")
    return Start((sys.executable, relay, str(children.count), *children.command))


def _warroom(children: Children, home: Path) -> Start:
    env = {"WARROOM_HOME": str(home / "state"), "WARROOM_MAX_RESULT_BYTES": "20000000"}
    if not children.count:
        return Start((sys.executable, "-m", "warroom_mcp", "serve"), env)
    options = ("--home", str(home / "state"), "--stdio", "--command", shlex.join(children.command))
    several = ("--count", str(children.count)) if children.count > 1 else ()
    argv = (sys.executable, "-m", "tests.preloaded", *options, "--name", "echo", *several)
    return Start(argv, env)


def _fastmcp(children: Children, home: Path) -> Start:
    env = {"FASTMCP_LOG_LEVEL": "ERROR", "FASTMCP_CHECK_FOR_UPDATES": "off"}
    return Start((FASTMCP.python, "-c", _FASTMCP, json.dumps(children.named())), env)


def _mcp_proxy(children: Children, home: Path) -> Start:
    return Start((MCP_PROXY.python, "-c", _MCP_PROXY, json.dumps(children.command)))


def _mcp_hub(children: Children, home: Path) -> Start:
    config = home / "mcp-hub.json"
    servers = {name: {"command": argv[0], "args": argv[1:]} for name, argv in children.named().items()}
    config.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    env: Mapping[str, str] = {f"XDG_{kind}_HOME": str(home / kind) for kind in ("STATE", "DATA", "CONFIG")}
    port = free_port()
    argv = ("node", MCP_HUB.script, "--port", str(port), "--config", str(config))
    return Start(argv, env, port, "/mcp")


def _supergateway(children: Children, home: Path) -> Start:
    port = free_port()
    options = ("--logLevel", "none", "--port", str(port), "--stdio", shlex.join(children.command))
    return Start(("node", SUPERGATEWAY.script, *options), port=port, path="/sse")


_ONE = "stands before one server"
SUBJECTS = (
    Subject("direct", "the child itself", _direct, alone="no gateway", several="no gateway"),
    Subject("floor", "stdio, raw relay", _floor),
    Subject("warroom", "stdio", _warroom),
    Subject("fastmcp", "stdio, create_proxy over connected clients", _fastmcp, FASTMCP),
    Subject(
        "mcp-proxy",
        "stdio by its create_proxy_server; its command has stdio on one side only",
        _mcp_proxy,
        MCP_PROXY,
        alone=_ONE,
        several="no joint list of several servers",
    ),
    Subject("mcp-hub", "HTTP with SSE, it has no stdio", _mcp_hub, MCP_HUB),
    Subject(
        "supergateway",
        "HTTP with SSE, it has stdio on one side only",
        _supergateway,
        SUPERGATEWAY,
        alone=_ONE,
        several="no joint list of several servers",
    ),
)
NAMES = tuple(subject.name for subject in SUBJECTS)
