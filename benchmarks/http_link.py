"""The client's side of MCP over HTTP with a stream of events: for peers that offer nothing else.

Blocking sockets and as many connections as calls are in flight; about twice the cost of the pipes.
"""

import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

from benchmarks.wire_client import Gone

_HOST = "127.0.0.1"
_RETRY = 0.005


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server((_HOST, 0)) as server:
        return int(server.getsockname()[1])


class Connection:
    """One HTTP/1.1 connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection((_HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._left: int | None = None

    def request(self, head: bytes, body: bytes = b"") -> None:
        """Send a request; `head` is its first line."""
        lines = (
            head + f" HTTP/1.1\r\nHost: {_HOST}:{self._port}\r\n".encode(),
            b"Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n",
            f"Content-Length: {len(body)}\r\n\r\n".encode() if body else b"\r\n",
        )
        self._socket.sendall(b"".join((*lines, body)))

    def status(self) -> int:
        """Read a response up to its body."""
        first = self._file.readline()
        if not first:
            raise Gone("the connection was closed")
        self._left = None
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                self._left = int(value)
        return int(first.split()[1])

    def chunk(self) -> bytes:
        """The next piece of the body; nothing at its end."""
        if self._left is not None:
            size, self._left = self._left, 0
            return self._file.read(size)
        line = self._file.readline()
        if not line:
            raise Gone("the stream was closed")
        data = self._file.read(int(line, 16))
        self._file.readline()
        return data

    def finish(self) -> int:
        """Read a whole response away; its status."""
        status = self.status()
        while self.chunk():
            pass
        return status

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class EventLink:
    """`GET` opens the stream on which all answers come; each message is a `POST` of its own."""

    def __init__(self, port: int, path: str, alive: Callable[[], bool]) -> None:
        self.window = 1
        self._port = port
        self._idle: deque[Connection] = deque()
        self._busy: deque[Connection] = deque()
        self._rest = b""
        self._stream = _opened(port, path, alive)
        self._post = b"POST " + self._events()[0]

    def send(self, messages: Sequence[bytes]) -> None:
        try:
            for message in messages:
                connection = self._free()
                connection.request(self._post, message)
                self._busy.append(connection)
        except OSError as error:
            raise Gone(str(error)) from error

    def receive(self) -> list[bytes]:
        try:
            return self._events()
        except OSError as error:
            raise Gone(str(error)) from error

    def close(self) -> None:
        for connection in (*self._idle, *self._busy, self._stream):
            connection.close()

    def _free(self) -> Connection:
        while len(self._busy) >= self.window:
            connection = self._busy.popleft()
            if (status := connection.finish()) >= 300:
                raise Gone(f"a message was answered with {status}")
            self._idle.append(connection)
        return self._idle.pop() if self._idle else Connection(self._port)

    def _events(self) -> list[bytes]:
        parts = [self._rest]
        while True:
            chunk = self._stream.chunk().replace(b"\r\n", b"\n")
            if not chunk:
                raise Gone("the stream ended")
            parts.append(chunk)
            if b"\n\n" not in chunk and not chunk.startswith(b"\n"):
                continue
            *events, self._rest = b"".join(parts).split(b"\n\n")
            if found := [data for event in events if (data := _data(event))]:
                return found
            parts = [self._rest]


def _data(event: bytes) -> bytes:
    start = event.find(b"data: ")
    return event[start + 6 :] if start >= 0 else b""


def _opened(port: int, path: str, alive: Callable[[], bool]) -> Connection:
    """The stream, as soon as the server listens and has it."""
    while alive():
        try:
            connection = Connection(port)
        except OSError:
            time.sleep(_RETRY)
            continue
        connection.request(f"GET {path}".encode())
        if connection.status() == 200:
            return connection
        connection.close()
        time.sleep(_RETRY)
    raise Gone("it ended before it listened")
