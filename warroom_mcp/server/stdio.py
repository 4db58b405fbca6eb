"""The host's end of stdio: bytes in by callback, bytes out without waiting.

While it is open, descriptor 0 is empty and descriptor 1 leads to stderr: what children or libraries print
by mistake never reaches the host.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Callable
from typing import Self

_CHUNK = 256 * 1024
MAX_UNREAD = 64 * 1024 * 1024
"""Bytes that wait for a host to read them; one that leaves more is taken for gone."""


class HostPipes:
    """Stdin and stdout of this process as the connection to a host.

    `on_data` gets what the host writes, `on_end` is called once when it has left.
    """

    def __init__(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_data = on_data
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._over = False
        self._broken = False
        self._pump: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._in, self._out = _divert(0, os.devnull), _divert(1, None)
        if _private_pipe(self._out):
            os.set_blocking(self._out, False)
        try:
            self._loop.add_reader(self._in, self._readable)
        except PermissionError:
            # Files and the null device have no readiness, and never block for long.
            self._pump = self._loop.create_task(self._read_file())
        return self

    def __exit__(self, *exc: object) -> None:
        self._end_reading()
        self._loop.remove_writer(self._out)
        _restore(0, self._in)
        _restore(1, self._out)

    def send(self, data: bytes) -> None:
        """Write; what the host does not take at once is kept and written later."""
        if self._broken:
            return
        if not self._unsent:
            try:
                sent = os.write(self._out, data)
            except BlockingIOError:
                sent = 0
            except OSError:  # a host that has gone reads no more
                self._break()
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._out, self._writable)
        self._unsent += data
        if len(self._unsent) > MAX_UNREAD:
            self._break()

    @property
    def unsent(self) -> int:
        """Bytes that the host has not taken yet."""
        return len(self._unsent)

    def _writable(self) -> None:
        try:
            del self._unsent[: os.write(self._out, memoryview(self._unsent)[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        if not self._unsent:
            self._loop.remove_writer(self._out)

    def _readable(self) -> None:
        try:
            data = os.read(self._in, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._on_data(data)
        else:
            self._end()

    async def _read_file(self) -> None:
        while data := os.read(self._in, _CHUNK):
            self._on_data(data)
            await asyncio.sleep(0)
        self._end()

    def _end(self) -> None:
        if not self._over:
            self._end_reading()
            # Its answers still go out: a script that pipes requests in and closes the pipe waits for them.
            self._on_end()

    def _end_reading(self) -> None:
        self._over = True
        self._loop.remove_reader(self._in)
        if self._pump is not None:
            self._pump.cancel()

    def _break(self) -> None:
        self._broken = True
        self._unsent.clear()
        self._loop.remove_writer(self._out)
        self._end()


def _private_pipe(wire: int) -> bool:
    """Whether blocking mode is ours to change; a terminal or file shares it with other processes."""
    mode = os.fstat(wire).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _divert(fd: int, to: str | None) -> int:
    """Move a standard descriptor out of everyone's reach; in its place comes `to`, or stderr."""
    (sys.stdin if fd == 0 else sys.stdout).flush()
    wire = os.dup(fd)
    os.set_inheritable(wire, False)
    target = os.open(to, os.O_RDONLY) if to else os.dup(2)
    os.dup2(target, fd)
    os.close(target)
    return wire


def _restore(fd: int, wire: int) -> None:
    os.dup2(wire, fd)
    os.close(wire)
