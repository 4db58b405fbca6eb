"""Says of an error what was kept in spite of it: whoever reads it should not have to look."""

from collections.abc import Iterator
from contextlib import contextmanager

from warroom_mcp.errors import Refusal, WarRoomError

NOT_ADDED = "Nothing was added; the servers that are there run on."
STILL_ADDED = "The server stays added, and the others run on."
FILE_AND_SERVERS = "The file stays as it is, and the running servers run on."
NO_PROBLEM = "Nothing was stored and nothing was started."


@contextmanager
def telling_kept(words: str) -> Iterator[None]:
    """Put `words` into the details of a failure that leaves this block; an inner block knows better.

    A refusal is no failure: its details say what waits, and for whom.
    """
    try:
        yield
    except Refusal:
        raise
    except WarRoomError as error:
        error.details.setdefault("kept", words)
        raise
