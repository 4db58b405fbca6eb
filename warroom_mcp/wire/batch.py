"""Writes that happen while one chunk of input is handled go out together behind it.

A host with many calls in flight sends dozens of messages in one chunk: as many writes to a child, one by
one, would cost more than everything else that is done with them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Outlet:
    """A way out. `write` takes bytes at once, or keeps what does not fit."""

    __slots__ = ("_held", "_write")

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._held: list[bytes] = []

    def send(self, data: bytes) -> None:
        """Write now, or together with what else is written while a chunk is handled."""
        if not _depth:
            self._write(data)
            return
        if not self._held:
            _waiting.append(self)
        self._held.append(data)

    def release(self) -> None:
        """Write what was held back."""
        held, self._held = self._held, []
        if held:
            self._write(held[0] if len(held) == 1 else b"".join(held))


_logger = logging.getLogger(__name__)
_waiting: list[Outlet] = []
_depth = 0


@contextmanager
def together() -> Iterator[None]:
    """While entered, outlets hold back what they are given; all of it is written at the end."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            waiting, _waiting[:] = _waiting[:], []
            for outlet in waiting:
                try:
                    outlet.release()
                except Exception:  # one way out that is broken must not silence the others
                    _logger.exception("what was written cannot be sent")
