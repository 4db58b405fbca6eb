"""Logs: to stderr only, without secrets. Stdout belongs to MCP."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

_HANDLER = "warroom"
_NOT_SHOWN = "[not shown: it could not be redacted]"
# What a terminal acts on; a log line may carry the text of a child. Tracebacks keep their lines.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def configure_logging(level: str | int = "INFO", json: bool = False) -> None:
    """Send this package's logs from `level` on, and those of libraries from WARNING on, to stderr.

    Everything logs through the standard library; `extra` becomes fields. Lines for people, or one JSON
    object a line. Secrets are taken out of every text. Calling it again replaces what was set up before.
    """
    _install(_Late(json), level)


class _Late(logging.Handler):
    """Becomes the real handler at the first record: loading it takes time that a start has not."""

    def __init__(self, json: bool) -> None:
        super().__init__()
        self.set_name(_HANDLER)
        self._json = json
        self._real: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._real is None:
            self._real = _handler(self._json)
        self._real.emit(record)


def _handler(json: bool) -> logging.Handler:
    import structlog

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _without_formatted,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Before redaction: a traceback quotes the values that were at hand.
                structlog.processors.format_exc_info,
                redact_event,
                _renderer(json),
            ],
        )
    )
    return handler


def redact_event(logger: object, name: str, event: "EventDict") -> "EventDict":
    """A structlog processor: no text of the event keeps a secret or a control character."""
    return {key: _clean(value) for key, value in event.items()}


def _without_formatted(logger: object, name: str, event: "EventDict") -> "EventDict":
    """What another handler's formatter left on the record is no field of ours."""
    for key in ("message", "asctime"):
        event.pop(key, None)
    return event


def _renderer(json: bool) -> "Processor":
    import structlog

    if json:
        return structlog.processors.JSONRenderer(default=str)
    # The traceback is text by then; the plain formatter is the one that takes it as it is.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _install(handler: logging.Handler, level: str | int) -> None:
    root = logging.getLogger()
    for old in [one for one in root.handlers if one.get_name() == _HANDLER]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("warroom_mcp").setLevel(level.upper() if isinstance(level, str) else level)


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {_text(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item) for item in value]
    try:
        # Other objects are shown by their words, which may hold a secret as well.
        return _text(str(value))
    except Exception:
        # A log line must never break what it tells about, nor be written unredacted.
        return _NOT_SHOWN


def _text(text: str) -> str:
    # Imported late: most runs log nothing.
    from warroom_mcp.redaction import redact

    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", redact(text).text)
