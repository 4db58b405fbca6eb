"""A host in memory, of either era, in front of a War Room whose catalog and packages are the test's own."""

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext, IncomingMessage
from mcp.client.subscriptions import ToolsListChanged
from mcp.shared.dispatcher import CallOptions, ProgressFnT
from mcp.shared.message import SessionMessage
from mcp_types import (
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    Implementation,
    PromptListChangedNotification,
    ResourceListChangedNotification,
    ToolListChangedNotification,
    jsonrpc_message_adapter,
)

from tests.catalog.memory import Told, candidate
from tests.children.processes import fake
from warroom_mcp.catalog import Catalog
from warroom_mcp.errors import InstallFailed, UnknownCandidate
from warroom_mcp.events import Events
from warroom_mcp.models import Candidate, LaunchPlan, Origin, Package, PackageKind
from warroom_mcp.server.front import Front
from warroom_mcp.server.gateway import Gateway
from warroom_mcp.settings import Settings
from warroom_mcp.store.index import SqliteIndex
from warroom_mcp.warroom import AsyncWarRoom
from warroom_mcp.wire.peer import ConnectionLost

HANDSHAKE, MODERN = "legacy", "2026-07-28"
ERAS = (HANDSHAKE, MODERN)
APPROVE: dict[str, Any] = {"action": "accept", "content": {"decision": "approve"}}
REFUSE: dict[str, Any] = {"action": "accept", "content": {"decision": "refuse"}}
CHILD = Path(__file__).parent / "child.py"

Form = Callable[[str], Awaitable[Mapping[str, Any]]]


def official(name: str, **changes: Any) -> Candidate:
    """A candidate that a person may approve in the chat."""
    package = Package(PackageKind.NPM, name, "1.2.3", integrity="sha512-" + "A" * 86 + "==")
    return candidate(
        name,
        **{
            "package": package,
            "origin": Origin.OFFICIAL,
            "origin_evidence": "published by its makers",
            "technologies": (name,),
            "description": f"Tools for {name}",
            **changes,
        },
    )


class Shelf(Catalog):
    """A catalog that knows what it was given, and asks no registry."""

    async def lookup(self, candidate_id: str) -> Candidate:
        for source in self._given or ():
            if found := await source.lookup(candidate_id):
                return found
        raise UnknownCandidate(f"No source knows {candidate_id}.")

    async def resolve(self, candidate: Candidate) -> Candidate:
        return candidate


@dataclass(frozen=True)
class Program:
    """An installed package: the rich child, or the fake one in the mode that its name says."""

    name: str
    note: Path
    passes: frozenset[str] = frozenset()

    def command(self, plan: LaunchPlan) -> tuple[str, ...]:
        if self.name.startswith("rich"):
            return sys.executable, "-S", "-E", str(CHILD), str(self.note)
        return tuple(fake(self.name, self.note))


class Installer:
    """Installs nothing; a package called missing cannot be had."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self._home = settings.home

    async def install(self, package: Package) -> Program:
        if package.identifier == "missing":
            raise InstallFailed("it is not there")
        return Program(package.identifier, self._home.parent / f"{package.identifier}.note")


def war_room(home: Path, *candidates: Candidate, **settings: Any) -> AsyncWarRoom:
    """A War Room of the test's own; its installer has to be replaced by the `no_installing` fixture."""
    deadlines: dict[str, Any] = {"relist_wait": 20, "start_deadline": 10, "stop_deadline": 1}
    chosen = Settings(**{"home": home, **deadlines, **settings})
    shelf = candidates or (official("rich"), official("rich-two"), official("ok"))
    made = AsyncWarRoom(chosen)
    made._catalog = Shelf(
        chosen, made._store, SqliteIndex(chosen.index), sources=[Told("shelf", shelf)], curated=False
    )
    return made


@dataclass
class Host:
    """One connected host. `log` is what it saw and did, in order; `cards` the forms it showed."""

    war_room: AsyncWarRoom
    era: str
    form: Form | None
    client: Client = field(init=False)
    log: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    news: anyio.Event = field(default_factory=anyio.Event)

    async def raw(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_progress: ProgressFnT | None = None,
    ) -> dict[str, Any]:
        """Send a request and return the result object as it came."""
        session = self.client.session
        request: dict[str, Any] = {"method": method, "params": json.loads(json.dumps(params or {}))}
        options: CallOptions = {}
        session._stamp(request, options)
        if on_progress is not None:
            options["on_progress"] = on_progress
        return await session._dispatcher.send_raw_request(method, request["params"], options)

    async def call(
        self, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Call a tool once and return the result object, which may be a question."""
        return await self.raw("tools/call", {"name": tool, "arguments": dict(arguments or {}), **more})

    async def own(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call one of War Room's own tools, answer its forms, and return the structured answer.

        Not by the SDK's `call_tool`, which lists the tools on its own account.
        """
        result = await self.call(tool, arguments)
        while result.get("resultType") == "input_required":
            card = result["inputRequests"]["approval"]["params"]["message"]
            self.cards.append(card)
            assert self.form is not None
            answer = {"approval": await self.form(card)}
            state = result["requestState"]
            result = await self.call(tool, arguments, requestState=state, inputResponses=answer)
        content: dict[str, Any] = result["structuredContent"]
        assert json.loads(result["content"][0]["text"]) == content
        assert result["isError"] == ("error" in content)
        return content

    async def error(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """As `own`, for a call that has to fail."""
        answer = await self.own(tool, **arguments)
        error: dict[str, Any] = answer["error"]
        assert {"code", "message", "hint", "retryable"} <= error.keys()
        return error

    async def names(self) -> list[str]:
        """The names of the listed tools, in their order."""
        self.log.append("listed")
        return [tool["name"] for tool in (await self.raw("tools/list"))["tools"]]

    async def until(self, entry: str, times: int = 1) -> None:
        """Return when the log has an entry so many times."""
        while self.log.count(entry) < times:
            await self.news.wait()

    def note(self, entry: str) -> None:
        """Add to the log."""
        self.log.append(entry)
        self.news.set()
        self.news = anyio.Event()

    async def tickets(self) -> list[str]:
        """The states of all tickets of this War Room."""
        return [ticket.state.value for ticket in await self.war_room._store.tickets()]


async def approve(card: str) -> Mapping[str, Any]:
    """A person who agrees."""
    return APPROVE


class Pipes(AbstractAsyncContextManager[Any]):
    """A gateway at the other end of a host's pipes, for the SDK's client."""

    def __init__(self, room: AsyncWarRoom) -> None:
        self._room = room
        self._manager: AbstractAsyncContextManager[Any] = self._opened()

    async def __aenter__(self) -> Any:
        return await self._manager.__aenter__()

    async def __aexit__(self, *exc: Any) -> None:
        await self._manager.__aexit__(*exc)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Any]:
        to_host, from_us = anyio.create_memory_object_stream[SessionMessage | Exception](10_000)
        to_us, from_host = anyio.create_memory_object_stream[SessionMessage](10_000)
        with to_host, from_us, to_us, from_host:
            async with anyio.create_task_group() as tasks:
                gateway = Gateway(self._room)
                await tasks.start(gateway.run)
                front = Front(lambda line: _write(to_host, line), lambda: None, is_empty=lambda: False)
                front.ready(gateway)
                tasks.start_soon(_feed, front, from_host)
                yield from_us, to_us
                front.peer.close(ConnectionLost("the host has left"))
                tasks.cancel_scope.cancel()


def _write(to_host: MemoryObjectSendStream[SessionMessage | Exception], data: bytes) -> None:
    with suppress(anyio.BrokenResourceError):  # the host has left
        for line in data.splitlines():
            to_host.send_nowait(SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False)))


async def _feed(front: Front, from_host: MemoryObjectReceiveStream[SessionMessage]) -> None:
    async for sent in from_host:
        front.feed(sent.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")


@asynccontextmanager
async def connected(
    era: str,
    room: AsyncWarRoom,
    *,
    form: Form | None = approve,
    relists: bool = True,
    name: str | None = None,
    gate: anyio.Event | None = None,
) -> AsyncIterator[Host]:
    """A host of an era. `form` None means that it shows no forms; `gate` delays its listing again."""
    host = Host(room, era, form)

    async def on_form(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        host.cards.append(params.message)
        assert form is not None
        return ElicitResult.model_validate(await form(params.message))

    async def on_change() -> None:
        host.note("tools changed")
        if gate is not None:
            await gate.wait()
        if relists:
            await host.names()

    async def on_message(message: IncomingMessage) -> None:
        match message:
            case ToolListChangedNotification() if era == HANDSHAKE:
                tasks.start_soon(on_change)
            case PromptListChangedNotification():
                host.note("prompts changed")
            case ResourceListChangedNotification():
                host.note("resources changed")

    async def listen(*, task_status: Any) -> None:
        async with host.client.listen(tools_list_changed=True) as events:
            task_status.started()
            async for event in events:
                assert isinstance(event, ToolsListChanged)
                await on_change()

    client = Client(
        Pipes(room),
        mode=era,
        elicitation_callback=on_form if form is not None else None,
        message_handler=on_message,
        client_info=Implementation(name=name, version="1") if name else None,
        cache=None,
    )
    with anyio.fail_after(10):
        async with client, anyio.create_task_group() as tasks:
            host.client = client
            if era == MODERN:
                await tasks.start(listen)
            yield host
            tasks.cancel_scope.cancel()
