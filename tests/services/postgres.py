"""A real PostgreSQL, from PATH or where Debian puts it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.services.process import free_port, running, unprivileged_user


def postgres_program(name: str) -> str | None:
    """Where a program of PostgreSQL is, if it is; the newest version wins."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(installed[0]) if installed else None)


@contextmanager
def postgres_server() -> Iterator[int]:
    """A fresh cluster with the superuser `postgres`, trusting loopback; yields the port."""
    initdb, postgres = postgres_program("initdb"), postgres_program("postgres")
    assert initdb is not None
    assert postgres is not None
    user, port = unprivileged_user(), free_port()
    # Not below pytest's own directory, which only its owner may enter.
    with TemporaryDirectory(prefix="warroom-pg-") as base:
        data = Path(base) / "data"
        data.mkdir()
        if user is not None:
            shutil.chown(base, user)
            shutil.chown(data, user)
        subprocess.run(
            [initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"],
            check=True,
            capture_output=True,
            user=user,
        )
        argv = [postgres, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", base, "-F"]
        with running(argv, port, Path(base) / "postgres.log", user=user):
            yield port
