"""Runs the nine own tools: arguments in, a use case of War Room, an answer out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp.server.context import ServerRequestContext
from pydantic import BaseModel, ValidationError

from warroom_mcp import sdk
from warroom_mcp.approvals import Asker
from warroom_mcp.errors import InvalidArguments, WarRoomError
from warroom_mcp.server import answers, tools
from warroom_mcp.server.asking import HandshakeAsker, Parking
from warroom_mcp.server.delivery import Delivery
from warroom_mcp.server.progress import reporting
from warroom_mcp.server.proxy import Proxy
from warroom_mcp.warroom import AsyncWarRoom

Context = ServerRequestContext[Any, Any]
Result = dict[str, Any]
_Flow = Callable[[Asker], Awaitable[Result]]


class OwnTools:
    """Dispatches own tools by name. Those that may ask a person are parked on modern hosts."""

    def __init__(self, war_room: AsyncWarRoom, delivery: Delivery, parking: Parking, proxy: Proxy) -> None:
        self._war_room = war_room
        self._delivery = delivery
        self._parking = parking
        self._proxy = proxy

    async def call(self, ctx: Context, name: str, arguments: Mapping[str, Any]) -> Result:
        """The tool's answer; every error of ours becomes a tool error with code and hint."""
        try:
            parsed = _parse(tools.OWN_TOOLS[name], arguments)
            async with reporting(ctx, self._war_room.events):
                result: Result = await getattr(self, f"_{name}")(ctx, parsed)
                return result
        except WarRoomError as error:
            return answers.failure(error)

    # --- tools that only read ----------------------------------------------------------------

    async def _analyze_problem(self, ctx: Context, given: tools.AnalyzeProblem) -> Result:
        return answers.result(answers.analysis(await self._war_room.analyze_problem(given.problem)))

    async def _find_servers(self, ctx: Context, given: tools.FindServers) -> Result:
        found = await self._war_room.find_servers(
            given.query or None, problem_id=given.problem_id or None, limit=given.limit
        )
        return answers.result(answers.found(found))

    async def _list_servers(self, ctx: Context, given: tools.ListServers) -> Result:
        return answers.result(answers.servers(await self._war_room.list_servers()))

    async def _find_tools(self, ctx: Context, given: tools.FindTools) -> Result:
        matches = await self._war_room.find_tools(given.query, given.limit)
        return answers.result(answers.tools(given.query, matches, self._war_room.toolbox.tools()))

    # --- tools that change what is there -----------------------------------------------------

    async def _handle_incident(self, ctx: Context, given: tools.HandleIncident) -> Result:
        host = self._delivery.host(ctx)

        async def flow(asker: Asker) -> Result:
            with self._delivery.hold() as hold:
                incident = await self._war_room.handle_incident(
                    given.problem, auto_approve=given.auto_approve, asker=hold.paused(asker)
                )
                await self._delivery.announce_and_wait(host)
            return answers.result(answers.incident(incident, host.route))

        return await self._asking(ctx, "handle_incident", flow)

    async def _add_server(self, ctx: Context, given: tools.AddServer) -> Result:
        host = self._delivery.host(ctx)

        async def flow(asker: Asker) -> Result:
            with self._delivery.hold() as hold:
                added = await self._war_room.add_server(
                    given.candidate_id,
                    parameters=given.parameters,
                    auto_approve=given.auto_approve,
                    asker=hold.paused(asker),
                )
                await self._delivery.announce_and_wait(host)
            return answers.result(answers.added(added, host.route))

        return await self._asking(ctx, "add_server", flow)

    async def _remove_server(self, ctx: Context, given: tools.RemoveServer) -> Result:
        with self._delivery.hold():
            await self._war_room.remove_server(given.name)
            await self._delivery.announce_and_wait(self._delivery.host(ctx))
        return answers.result({"removed": given.name})

    async def _optimize(self, ctx: Context, given: tools.Optimize) -> Result:
        host = self._delivery.host(ctx)
        with self._delivery.hold():
            proposals = await self._war_room.optimize(apply=given.apply)
            await self._delivery.announce_and_wait(host)
        return answers.result(answers.proposals(proposals, applied=given.apply))

    async def _use_tool(self, ctx: Context, given: tools.UseTool) -> Result:
        await self._war_room.follow()
        tool = self._war_room.toolbox.resolve(given.tool)
        return await self._proxy.call(ctx, tool, given.arguments)

    async def _asking(self, ctx: Context, tool: str, flow: _Flow) -> Result:
        """Run a flow that may ask the person, in the way of the host's era."""
        if not sdk.is_modern(ctx.protocol_version):
            return await flow(HandshakeAsker(ctx, self._war_room.settings.ask_deadline))
        params = ctx.params or {}
        token = params.get("requestState")
        if isinstance(token, str):
            responses = params.get("inputResponses")
            return await self._parking.resume(tool, token, responses if isinstance(responses, dict) else {})
        if not sdk.has_form_elicitation(ctx.session):
            return await flow(_Nobody())
        return await self._parking.run(tool, flow)


class _Nobody:
    """No way to a person: every question stays a ticket."""

    administrator = False

    async def ask(self, ticket: object) -> None:
        return None


def _parse(model: type[BaseModel], arguments: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate(dict(arguments))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc']))[:80]}: {e['msg'][:200]}" for e in error.errors()[:5]
        )
        raise InvalidArguments(f"The arguments do not fit the tool: {faults}.") from None
