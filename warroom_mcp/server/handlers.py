"""Runs the nine own tools: arguments in, a use case of War Room, an answer out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from anyio.abc import TaskGroup
from pydantic import BaseModel, ValidationError

from warroom_mcp.approvals import Asker
from warroom_mcp.errors import InvalidArguments, WarRoomError
from warroom_mcp.server import answers, tools
from warroom_mcp.server.asking import HandshakeAsker, ParkedFlow
from warroom_mcp.server.caller import Caller
from warroom_mcp.server.delivery import Delivery
from warroom_mcp.server.parking import Parking
from warroom_mcp.server.progress import reporting
from warroom_mcp.warroom import AsyncWarRoom
from warroom_mcp.wire.codec import encode

Result = dict[str, Any]
_Flow = Callable[[Asker], Awaitable[Result]]
_ASKING = frozenset({"handle_incident", "add_server"})
"""The tools that may have to ask the person."""


class OwnTools:
    """Dispatches own tools by name, but `use_tool`, which is a proxied call."""

    def __init__(
        self, war_room: AsyncWarRoom, delivery: Delivery, parking: Parking, tasks: TaskGroup
    ) -> None:
        self._war_room = war_room
        self._delivery = delivery
        self._parking = parking
        self._tasks = tasks

    async def call(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> None:
        """Answer a call of an own tool; every error of ours becomes a tool error with code and hint."""
        if name not in _ASKING or not caller.modern:
            asker = HandshakeAsker(caller, self._war_room.settings.ask_deadline)
            caller.answer(encode(await self._run(lambda: caller, name, arguments, asker)))
        elif "requestState" in caller.fields:
            self._parking.resume(caller)
        else:
            flow = ParkedFlow(self._parking, caller)
            flow.start(self._tasks, lambda asker: self._run(lambda: flow.caller, name, arguments, asker))

    async def _run(
        self, who: Callable[[], Caller], name: str, arguments: Mapping[str, Any], asker: Asker
    ) -> Result:
        caller = who()
        try:
            parsed = parsed_arguments(name, arguments)
            async with reporting(who, self._war_room.events):
                if name in _ASKING:
                    result: Result = await getattr(self, f"_{name}")(caller, parsed, asker)
                else:
                    result = await getattr(self, f"_{name}")(caller, parsed)
                return result
        except WarRoomError as error:
            return answers.failure(error)

    # --- tools that only read ----------------------------------------------------------------

    async def _analyze_problem(self, caller: Caller, given: tools.AnalyzeProblem) -> Result:
        return answers.result(answers.analysis(await self._war_room.analyze_problem(given.problem)))

    async def _find_servers(self, caller: Caller, given: tools.FindServers) -> Result:
        if isinstance(given.query, list):
            steps = await self._war_room.find_for_steps(given.query, limit=given.limit)
            return answers.result(answers.steps(steps))
        analysis = await self._war_room.finding.known(given.query or None, given.problem_id or None)
        found = await self._war_room.find_for(analysis, given.limit)
        return answers.result(answers.found(found, analysis))

    async def _list_servers(self, caller: Caller, given: tools.ListServers) -> Result:
        return answers.result(answers.servers(await self._war_room.list_servers()))

    async def _find_tools(self, caller: Caller, given: tools.FindTools) -> Result:
        queries = given.query if isinstance(given.query, list) else [given.query]
        matches = await self._war_room.find_tools(queries, given.limit)
        offered = () if matches else await self._war_room.finding.offered_tools(queries, given.limit)
        return answers.result(answers.tools(queries, matches, self._war_room.toolbox.tools(), offered))

    # --- tools that change what is there -----------------------------------------------------

    async def _handle_incident(self, caller: Caller, given: tools.HandleIncident, asker: Asker) -> Result:
        with self._delivery.hold() as hold:
            incident = await self._war_room.handle_incident(
                given.problem,
                auto_approve=given.auto_approve,
                asker=hold.paused(asker),
                speech=caller.speech,
            )
            await self._delivery.announce_and_wait(caller.host)
        return answers.result(answers.incident(incident, self._delivery.reach(caller.host)))

    async def _add_server(self, caller: Caller, given: tools.AddServer, asker: Asker) -> Result:
        with self._delivery.hold() as hold:
            added = await self._war_room.add_server(
                given.candidate_id,
                parameters=given.parameters,
                auto_approve=given.auto_approve,
                asker=hold.paused(asker),
                speech=caller.speech,
            )
            await self._delivery.announce_and_wait(caller.host)
        return answers.result(answers.added(added, self._delivery.reach(caller.host)))

    async def _remove_server(self, caller: Caller, given: tools.RemoveServer) -> Result:
        with self._delivery.hold():
            await self._war_room.remove_server(given.name)
            await self._delivery.announce_and_wait(caller.host)
        return answers.result({"removed": given.name})

    async def _optimize(self, caller: Caller, given: tools.Optimize) -> Result:
        with self._delivery.hold():
            proposals = await self._war_room.optimize(apply=given.apply)
            await self._delivery.announce_and_wait(caller.host)
        return answers.result(answers.proposals(proposals, applied=given.apply))


def parsed_arguments(name: str, arguments: Mapping[str, Any]) -> BaseModel:
    """The arguments of an own tool.

    Raises: InvalidArguments.
    """
    try:
        return tools.OWN_TOOLS[name].model_validate(dict(arguments))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc']))[:80]}: {e['msg'][:200]}" for e in error.errors()[:5]
        )
        raise InvalidArguments(f"The arguments do not fit the tool: {faults}.") from None
