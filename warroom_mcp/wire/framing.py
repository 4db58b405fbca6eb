"""Newline framing of byte streams, in linear time and within a limit."""

HEAD = 400


class LineTooLong(ValueError):
    """A line grew over `limit` bytes before its end came; `head` is how it begins."""

    def __init__(self, limit: int, head: bytes = b"") -> None:
        super().__init__(f"a line is longer than {limit} bytes")
        self.limit = limit
        self.head = head


class LineSplitter:
    """Cuts chunks into lines: each byte is looked at once, and no more than `limit` of them are kept.

    In the place of a line over the limit comes one LineTooLong; its rest is skipped, and the stream
    goes on behind its newline.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes | LineTooLong]:
        """The lines that end within this chunk, without their newlines."""
        *ends, rest = chunk.split(b"\n")
        found: list[bytes | LineTooLong] = []
        if not (self._size or self._skipping) and len(chunk) <= self._limit:
            # Nothing is left from before: the lines are there already.
            found.extend(ends)
            ends = []
        for end in ends:
            if over := self._keep(end):
                found.append(over)
            elif not self._skipping:
                found.append(b"".join(self._parts))
            self._forget()
            self._skipping = False
        if over := self._keep(rest):
            found.append(over)
        return found

    def _keep(self, part: bytes) -> LineTooLong | None:
        if self._skipping:
            return None
        self._size += len(part)
        if self._size > self._limit:
            head = b"".join([*self._parts, part[:HEAD]])[:HEAD]
            self._forget()
            self._skipping = True
            return LineTooLong(self._limit, head)
        self._parts.append(part)
        return None

    def _forget(self) -> None:
        self._parts.clear()
        self._size = 0
