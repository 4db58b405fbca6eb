"""Who asks: a connected host, and one request of it until it is answered. The same for every transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from msgspec import Raw

from warroom_mcp.models import Speech
from warroom_mcp.wire.codec import Fields, RpcError, encode, fields_of, value_of
from warroom_mcp.wire.protocol import (
    META_CAPABILITIES,
    META_CLIENT,
    META_LOG_LEVEL,
    PROGRESS_TOKEN,
    is_modern,
)

Tell = Callable[[str, bytes], None]
"""Sends a notification that belongs to no request."""
Ask = Callable[[str, Raw], Awaitable[Raw]]
"""Asks a host something; raises RpcError."""


@dataclass(eq=False)
class Host:
    """One connected host: what it said of itself, and what it was seen doing.

    `tell` and `ask` are None where nothing can be said or asked outside of a request; `greeted` whether it
    shook hands. `behind` tells whether it has still to list the tools since the latest announcement;
    `relisted` whether it did so when it was last waited for; `called_native` whether it ever called a
    child's tool by name;
    `listens` whether it subscribed to changes of the tools; `used` when it last called which tool.
    """

    version: str
    name: str | None = None
    release: str | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    tell: Tell | None = None
    ask: Ask | None = None
    greeted: bool = False
    initialized: bool = False
    log_level: str | None = None
    behind: bool = False
    relisted: bool | None = None
    called_native: bool = False
    listens: bool | None = None
    used: dict[str, float] = field(default_factory=dict)
    modern: bool = field(init=False)
    _listed: anyio.Event = field(default_factory=anyio.Event)
    _speech: Speech | None = None

    def __post_init__(self) -> None:
        # Asked several times a call, so it is no property.
        self.modern = is_modern(self.version)

    def shook_hands(self, params: Mapping[str, Any], version: str) -> None:
        """Note what `initialize` said."""
        self.version, self.greeted = version, True
        self.capabilities = _mapping(params.get("capabilities"))
        self.introduced(_mapping(params.get("clientInfo")))
        self._speech = Speech(False, self.capabilities)

    def introduced(self, info: Mapping[str, Any]) -> None:
        """Note what it calls itself."""
        name, release = info.get("name"), info.get("version")
        self.name = name if isinstance(name, str) else None
        self.release = release if isinstance(release, str) else None

    def speech(self, capabilities: Mapping[str, Any]) -> Speech:
        """How it speaks, in a request with these capabilities."""
        known = self._speech
        if known is None or (known.capabilities is not capabilities and known.capabilities != capabilities):
            known = self._speech = Speech(self.modern, capabilities)
        return known

    def listed(self) -> None:
        """It has asked for the tools."""
        self.behind = False
        self._listed.set()
        self._listed = anyio.Event()

    async def wait_for_list(self) -> None:
        """Return as soon as it has listed the tools since the latest announcement."""
        while self.behind:
            await self._listed.wait()


class Caller:
    """One request of a host. It is answered once; `on_cancel` is called if the host gives it up.

    Subclasses carry it over a transport: `_reply`, `_reject`, `notify` and `ask`.
    """

    def __init__(self, host: Host, request_id: bytes, method: str, fields: Fields) -> None:
        self.host = host
        self.modern = host.modern
        self.id = request_id
        self.method = method
        self.fields = fields
        self.answered = False
        self.on_cancel: Callable[[], None] | None = None
        given = fields.get("_meta")
        self.meta: Fields = _fields(given) if given is not None else {}
        self.capabilities = host.capabilities
        if host.modern:
            self.capabilities = _mapping(value_of(self.meta.get(META_CAPABILITIES)))
            if META_CLIENT in self.meta and host.name is None:
                host.introduced(_mapping(value_of(self.meta[META_CLIENT])))

    @property
    def speech(self) -> Speech:
        """How its host speaks."""
        return self.host.speech(self.capabilities)

    @property
    def progress_token(self) -> Raw | None:
        """What the host wants progress to be called, if it wants any."""
        return self.meta.get(PROGRESS_TOKEN)

    @property
    def log_level(self) -> str | None:
        """The least level of log messages that the host wants with this request."""
        wanted = value_of(self.meta.get(META_LOG_LEVEL)) if self.modern else self.host.log_level
        return wanted if isinstance(wanted, str) else None

    def value(self, name: str) -> Any:
        """One parameter, decoded; None if it is not there."""
        return value_of(self.fields.get(name))

    def answer(self, result: bytes | Raw) -> None:
        """Answer with an encoded result; what comes after the first answer is dropped."""
        if not self.answered:
            # What is over leads to nothing any more: circles of such objects would wait for the collector.
            self.answered, self.on_cancel = True, None
            self._reply(bytes(result))

    def fail(self, error: RpcError) -> None:
        """Answer with an error."""
        if not self.answered:
            self.answered, self.on_cancel = True, None
            self._reject(error)

    def given_up(self) -> None:
        """The host no longer wants the answer."""
        given_up, self.on_cancel = self.on_cancel, None
        self.answered = True
        if given_up is not None:
            given_up()

    def report_progress(self, progress: float, message: str | None = None) -> None:
        """Tell the host how far it is, if it wants to know."""
        if (token := self.progress_token) is not None and not self.answered:
            said = {"message": message} if message is not None else {}
            self.notify(
                "notifications/progress", encode({PROGRESS_TOKEN: token, "progress": progress, **said})
            )

    def notify(self, method: str, params: bytes) -> None:
        """Send a notification that belongs to this request."""
        raise NotImplementedError

    async def ask(self, method: str, params: bytes | Raw) -> Raw:
        """Ask the host something within this request, in the era that has it.

        Raises: RpcError.
        """
        raise NotImplementedError

    def _reply(self, result: bytes) -> None:
        raise NotImplementedError

    def _reject(self, error: RpcError) -> None:
        raise NotImplementedError


def shows_forms(capabilities: Mapping[str, Any]) -> bool:
    """Whether a host shows forms; a capability without sub-capabilities is the older way to say so."""
    elicitation = capabilities.get("elicitation")
    return isinstance(elicitation, Mapping) and ("form" in elicitation or "url" not in elicitation)


def opens_urls(capabilities: Mapping[str, Any]) -> bool:
    """Whether a host opens an address for the person."""
    elicitation = capabilities.get("elicitation")
    return isinstance(elicitation, Mapping) and "url" in elicitation


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _fields(raw: Raw) -> Fields:
    try:
        return fields_of(raw)
    except (ValueError, RecursionError):
        return {}
