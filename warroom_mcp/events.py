"""What happened, told to whoever listens in this process. Publishing never waits and never fails."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ToolboxChanged:
    """The published table changed: `kinds` is a subset of tools, prompts, resources."""

    server: str
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class ServerChanged:
    """A child moved to another state."""

    server: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A long piece of work moved on; `fraction` is 0..1, or None while the whole is unknown."""

    work: str
    message: str
    fraction: float | None = None


Event = ToolboxChanged | ServerChanged | Progress
Listener = Callable[[Event], None]


class Events:
    """A list of listeners. One that raises is logged and does not keep the others from hearing."""

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the returned function takes it away again."""
        token = object()
        self._listeners[token] = listener
        return lambda: self._listeners.pop(token, None) and None

    def publish(self, event: Event) -> None:
        """Tell every listener, in the order in which they came."""
        for listener in list(self._listeners.values()):
            try:
                listener(event)
            except Exception:
                _logger.exception("a listener failed on %r", event)
