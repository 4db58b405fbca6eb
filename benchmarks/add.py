"""From the approval to visible tools, beside `npx -y` and `uvx` of the same exact package.

    python -m benchmarks.add [--rounds 3]

Cold: nothing is installed and the package manager's cache is empty. Warm: the cache is filled and, for
War Room, the package is installed from an earlier addition. Timed on the host's side: from the moment
in which the person's answer leaves until the host's list shows the tools.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext, IncomingMessage
from mcp.client.stdio import StdioServerParameters
from mcp_types import ElicitRequestParams, ElicitResult, ToolListChangedNotification

from benchmarks.figures import table


@dataclass(frozen=True)
class Subject:
    """One exact package and the plain way to start it."""

    candidate: str
    plain: tuple[str, ...]


SUBJECTS = (
    Subject(
        "npm:@modelcontextprotocol/server-everything",
        ("npx", "-y", "@modelcontextprotocol/server-everything"),
    ),
    Subject("pypi:mcp-server-time", ("uvx", "mcp-server-time")),
)


def _environment(base: Path) -> dict[str, str]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith("WARROOM_")}
    caches = {"npm_config_cache": str(base / "npm"), "UV_CACHE_DIR": str(base / "uv")}
    return {**keep, **caches, "WARROOM_HOME": str(base / "home")}


async def plain(subject: Subject, base: Path) -> float:
    """Seconds from starting the plain command to its tool list."""
    parameters = StdioServerParameters(
        command=subject.plain[0], args=list(subject.plain[1:]), env=_environment(base)
    )
    begin = time.perf_counter()
    async with Client(parameters, mode="legacy") as client:
        await client.list_tools()
        return time.perf_counter() - begin


async def through_warroom(subject: Subject, base: Path) -> float:
    """Seconds from the person's approval to a list that shows the tools."""
    approved = 0.0
    visible = anyio.Event()
    seen = 0.0

    async def on_form(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        nonlocal approved
        approved = time.perf_counter()
        return ElicitResult(action="accept", content={"decision": "approve"})

    async def relist() -> None:
        nonlocal seen
        names = [t.name for t in (await client.list_tools()).tools]
        if any("__" in name for name in names):
            seen = time.perf_counter()
            visible.set()

    async def on_message(message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            tasks.start_soon(relist)

    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "warroom_mcp", "serve"], env=_environment(base)
    )
    client = Client(parameters, mode="legacy", elicitation_callback=on_form, message_handler=on_message)
    async with anyio.create_task_group() as tasks, client:
        result = await client.call_tool("add_server", {"candidate_id": subject.candidate})
        if result.is_error:
            raise SystemExit(f"{subject.candidate} was not added: {result.structured_content}")
        await visible.wait()
        tasks.cancel_scope.cancel()
    return seen - approved


async def round_of(subject: Subject, run: Callable[[Subject, Path], Awaitable[float]]) -> tuple[float, float]:
    """One cold and one warm time, on caches of their own."""
    base = Path(tempfile.mkdtemp(prefix="warroom-bench-"))
    try:
        cold = await run(subject, base)
        # Approvals, servers and answers are forgotten; what is installed and cached stays.
        for file in (base / "home").glob("*.json*"):
            file.unlink()
        for file in (base / "home").glob("state.db*"):
            file.unlink()
        warm = await run(subject, base)
        return cold, warm
    finally:
        with suppress(OSError):
            shutil.rmtree(base)


async def measure(rounds: int) -> None:
    for subject in SUBJECTS:
        names = {" ".join(subject.plain): plain, "warroom add_server": through_warroom}
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for _ in range(rounds):
            for name, run in names.items():
                figures[name].append(await round_of(subject, run))
        base = next(iter(names))
        for index, label in enumerate(("cold", "warm")):
            print(f"{subject.candidate}, {label}, {rounds} rounds in turn: median (min..max)")
            table({n: [f[index] for f in rows] for n, rows in figures.items()}, base=base, unit="s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    anyio.run(measure, parser.parse_args().rounds)


if __name__ == "__main__":
    main()
