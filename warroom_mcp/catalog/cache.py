"""What the catalog needs from whoever remembers registry answers; it never stores anything itself."""

from datetime import datetime
from typing import Protocol


class CachedAnswer(Protocol):
    """An answer as it was kept: its bytes, and when they were fetched (timezone-aware)."""

    @property
    def body(self) -> bytes:
        """The kept JSON document."""
        ...

    @property
    def fetched(self) -> datetime:
        """When it came from the registry."""
        ...


class AnswerCache(Protocol):
    """Remembers registry answers by key."""

    async def answer(self, key: str) -> CachedAnswer | None:
        """The newest answer kept under that key, however old."""
        ...

    async def keep_answer(self, key: str, body: bytes, fetched: datetime) -> None:
        """Keep an answer, in place of an older one of the same key."""
        ...
