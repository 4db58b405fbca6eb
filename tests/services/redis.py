"""A real Redis, from PATH."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.process import free_port, running


def redis_program() -> str | None:
    """Where redis-server is, if it is."""
    return shutil.which("redis-server")


@contextmanager
def redis_server(directory: Path) -> Iterator[int]:
    """An empty Redis on a free loopback port; yields the port."""
    program = redis_program()
    assert program is not None
    port = free_port()
    argv = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    with running(argv, port, directory / "redis.log"):
        yield port
