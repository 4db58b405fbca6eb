"""A host made of the SDK's client: starts `warroom serve`, answers forms, re-lists when told to."""

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext, IncomingMessage
from mcp.client.stdio import StdioServerParameters
from mcp_types import (
    CallToolResult,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    TextContent,
    ToolListChangedNotification,
)

MODES = {"handshake": "legacy", "modern": "2026-07-28"}


@dataclass
class Host:
    """One connected host. `cards` are the approvals it was shown, `lists` its lists after a change."""

    client: Client
    answer: str | None
    relists: bool
    cards: list[str] = field(default_factory=list)
    changes: int = 0
    before_answer: Callable[[], Awaitable[None]] | None = None

    async def tool_names(self) -> set[str]:
        """The names of the listed tools."""
        return {tool.name for tool in (await self.client.list_tools()).tools}

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> CallToolResult:
        """Call a tool."""
        result = await self.client.call_tool(tool, dict(arguments or {}))
        assert isinstance(result, CallToolResult)
        return result

    async def own(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call one of War Room's own tools and return its structured answer."""
        result = await self.call(tool, arguments)
        assert isinstance(result.structured_content, dict)
        assert json.loads(text(result)) == result.structured_content
        return result.structured_content


def text(result: CallToolResult) -> str:
    """All text of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


@asynccontextmanager
async def connected(
    era: str,
    home: Path,
    *,
    answer: str | None = "approve",
    relists: bool = True,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Host]:
    """A host of an era, connected over stdio; `answer` None means a host that shows no forms."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "warroom_mcp", "serve"],
        env={**_passed_on(), "WARROOM_HOME": str(home), **(env or {})},
    )
    host: Host | None = None

    async def on_form(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        assert host is not None
        host.cards.append(params.message)
        if host.before_answer is not None:
            await host.before_answer()
        assert host.answer is not None
        return ElicitResult(action="accept", content={"decision": host.answer})

    async def on_message(message: IncomingMessage) -> None:
        assert host is not None
        # In the modern era the same event comes through the subscription, where it is counted.
        if era == "handshake" and isinstance(message, ToolListChangedNotification):
            host.changes += 1
            if host.relists:
                tasks.start_soon(host.client.list_tools)

    client = Client(
        parameters,
        mode=MODES[era],
        elicitation_callback=on_form if answer is not None else None,
        message_handler=on_message,
        cache=None,
    )
    async with anyio.create_task_group() as tasks, client:
        host = Host(client, answer, relists)
        if era == "modern" and relists:
            await tasks.start(_listen, host)
        yield host
        tasks.cancel_scope.cancel()


async def _listen(host: Host, *, task_status: Any) -> None:
    """What a modern host does: a standing subscription, and a new list after each change."""
    async with host.client.listen(tools_list_changed=True) as events:
        task_status.started()
        async for _ in events:
            host.changes += 1
            await host.client.list_tools()


def _passed_on() -> dict[str, str]:
    """What a host's environment holds beyond the SDK's default: where registries and certificates are."""
    wanted = ("WARROOM_", "NPM_CONFIG", "npm_config", "UV_", "PIP_", "SSL_", "NODE_EXTRA", "HTTP", "http")
    return {name: value for name, value in os.environ.items() if name.startswith(wanted)}
