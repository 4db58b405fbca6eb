"""Runs Python text in processes of their own, which never outlive the test."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the text with the arguments in `sys.argv[1:]`; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[str], told: str | None = None) -> str:
    """What the process printed, after `told` was given to it; it must have ended well."""
    out, err = process.communicate(told, timeout=120)
    assert process.returncode == 0, err
    return out
