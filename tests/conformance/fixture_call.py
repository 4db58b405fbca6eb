"""What a tool or prompt of the fixture sees of its call: the same in both eras of the protocol.

A question to the host is one `await call.ask(...)`. Before 2026-07-28 it is a request of the server's own;
from then on the call ends with `input_required`, comes back with the answers, and runs again from its start.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.jsonrpc import INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

type_of_answer: dict[str, type[BaseModel]] = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}
type_of_question: dict[
    str, type[types.ElicitRequest] | type[types.CreateMessageRequest] | type[types.ListRootsRequest]
] = {
    "elicitation/create": types.ElicitRequest,
    "sampling/createMessage": types.CreateMessageRequest,
    "roots/list": types.ListRootsRequest,
}
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

Question = dict[str, Any]
Answer = dict[str, Any]
Context = ServerRequestContext[Any, Any]


class Refused(Exception):
    """The tool cannot do it; the host's model reads why."""


class InputRequired(Exception):
    """The call ends here and comes back with the answers."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__()
        self.result = result


@dataclass
class State:
    """What the fixture remembers between calls."""

    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    levels: dict[str, str] = field(default_factory=dict)
    watched: set[str] = field(default_factory=set)
    more_tools: bool = False
    more_prompts: bool = False
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))


def form(message: str, required: bool = True, **properties: dict[str, Any]) -> Question:
    """A question for the person in front of the host."""
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(properties)
    return {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": schema},
    }


def sampling(prompt: str, tokens: int = 100) -> Question:
    """A question for the host's model."""
    message = {"role": "user", "content": {"type": "text", "text": prompt}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": tokens}}


def roots() -> Question:
    """Which folders the host works in."""
    return {"method": "roots/list", "params": {}}


def is_modern(ctx: Context) -> bool:
    """Whether this request is of an era without a handshake."""
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def session_of(ctx: Context) -> str:
    """A name for the connection that a request came over; on stdio there is only one."""
    return "" if ctx.request is None else str(ctx.request.headers.get("mcp-session-id", ""))


class Call:
    """One call of a tool, or one request for a prompt.

    Raises:
        MCPError: the call carries a `requestState` that this server did not give out for it.
    """

    def __init__(
        self,
        ctx: Context,
        params: types.CallToolRequestParams | types.GetPromptRequestParams,
        state: State,
    ) -> None:
        self.name = params.name
        self.arguments: dict[str, Any] = dict(params.arguments or {})
        self.state = state
        self._ctx = ctx
        self._resumed = params.request_state is not None
        self._answers = self._unsealed(params.request_state)
        for key, answer in (params.input_responses or {}).items():
            self._answers[key] = answer.model_dump(by_alias=True, mode="json", exclude_none=True)

    def can(self, capability: str) -> bool:
        """Whether the host declared it: elicitation, sampling or roots."""
        return getattr(self._ctx.session.client_capabilities, capability, None) is not None

    def require(self, capability: str) -> None:
        """Go on only with a host that has a capability."""
        if self.can(capability):
            return
        if not is_modern(self._ctx):
            raise Refused(f"The host does not offer {capability}.")
        needed: dict[str, Any] = {"requiredCapabilities": {capability: {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, f"Only for hosts with {capability}", needed)

    async def ask(self, questions: Mapping[str, Question], *, sealed: bool = False) -> dict[str, Answer]:
        """The host's answers, by the names of the questions.

        `sealed`: earlier answers travel in `requestState`, without which later ones do not count.
        """
        for question in questions.values():
            self.require(question["method"].partition("/")[0])
        if not is_modern(self._ctx):
            return {name: await self._send(question) for name, question in questions.items()}
        if sealed and not self._resumed:
            self._answers.clear()
        if missing := {name: each for name, each in questions.items() if name not in self._answers}:
            result: dict[str, Any] = {"resultType": "input_required", "inputRequests": missing}
            raise InputRequired(result | ({"requestState": self._sealed()} if sealed else {}))
        return {name: self._answers[name] for name in questions}

    async def progress(self, done: int) -> None:
        """Tell how much of 100 is done, if the host wants to know."""
        await self._ctx.session.report_progress(done, 100)

    async def log(self, text: str) -> None:
        """Tell the host something at the level info, if it listens at that level."""
        lowest = self.state.levels.get(session_of(self._ctx), LEVELS[0])
        if is_modern(self._ctx) or LEVELS.index(lowest) <= LEVELS.index("info"):
            await self._ctx.session.send_log_message("info", text, "fixture", self._ctx.request_id)

    async def tools_changed(self) -> None:
        """Tell every host that listens, in the way of its era."""
        await self.state.bus.publish(ToolsListChanged())
        await self._ctx.session.send_tool_list_changed()

    async def prompts_changed(self) -> None:
        """Tell every host that listens, in the way of its era."""
        await self.state.bus.publish(PromptsListChanged())
        await self._ctx.session.send_prompt_list_changed()

    async def close_stream(self) -> None:
        """Close the HTTP stream of this call, so that the host has to come back for the answer."""
        if self._ctx.close_sse_stream is not None:
            await self._ctx.close_sse_stream()

    async def _send(self, question: Question) -> Answer:
        method = question["method"]
        answer = await self._ctx.session.send_request(
            type_of_question[method].model_validate(question),
            type_of_answer[method],
            metadata=ServerMessageMetadata(related_request_id=self._ctx.request_id),
        )
        dumped: Answer = answer.model_dump(by_alias=True, mode="json", exclude_none=True)
        return dumped

    def _mac(self, payload: bytes) -> str:
        return hmac.new(self.state.key, self.name.encode() + b"\0" + payload, hashlib.sha256).hexdigest()

    def _sealed(self) -> str:
        payload = base64.urlsafe_b64encode(json.dumps(self._answers).encode())
        return f"{payload.decode()}.{self._mac(payload)}"

    def _unsealed(self, token: str | None) -> dict[str, Answer]:
        if token is None:
            return {}
        payload, _, mac = token.partition(".")
        if not hmac.compare_digest(self._mac(payload.encode()).encode(), mac.encode()):
            raise MCPError(INVALID_PARAMS, "This requestState is not one of mine for this call")
        answers: dict[str, Answer] = json.loads(base64.urlsafe_b64decode(payload))
        return answers
