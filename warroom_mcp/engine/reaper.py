"""The watchdog: ends a War Room's children when War Room itself died without ending them.

A program of its own, run as `python -I -S reaper.py`; standard library only. Its standard input is a pipe
that only War Room can write to. War Room writes one line per fact:

    +marker         a child with this marker is about to start
    +marker pgid    it started, as the leader of this process group
    -marker         it is gone, with everything it started
    !marker         it is gone, and what it started is to be ended now

The end of input means that War Room is dead, by whatever means: the watchdog then ends all that is left
and leaves. It has a session of its own and is no child of War Room's, so that neither a signal to War Room's
group nor the killing of its process tree takes it along. POSIX only.
"""

import contextlib
import os
import signal
import sys
import time

MARKER = "WARROOM_CHILD"
PATIENCE = 1.0
"""Seconds that the children get to leave after SIGTERM."""
DEADLINE = 4.5
"""Seconds after which the watchdog gives up and leaves."""
INTERVAL = 0.05

Watched = dict[str, int | None]


def note(line: str, watched: Watched) -> None:
    """Apply one line of input; what makes no sense is ignored."""
    fact, _, group = line[1:].partition(" ")
    if line.startswith("+") and fact:
        watched[fact] = int(group) if group.isdecimal() and int(group) > 1 else watched.get(fact)
    elif line.startswith("-"):
        watched.pop(fact, None)


def listen(stream: int, watched: Watched) -> None:
    """Read facts until the writing end is closed."""
    rest = b""
    while chunk := os.read(stream, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            fact = line.decode("ascii", "replace").strip()
            if fact.startswith("!"):
                watched.pop(fact[1:], None)  # its group was killed, and may be somebody else's by now
                end_all({fact[1:]: None})
            else:
                note(fact, watched)


def marked(markers: set[str]) -> set[int]:
    """The processes whose environment carries one of the markers (Linux; elsewhere none are found)."""
    wanted = {f"{MARKER}={marker}".encode() for marker in markers}
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc"):
            if entry.isdecimal() and int(entry) != os.getpid() and _environment(entry) & wanted:
                found.add(int(entry))
    return found


def _environment(pid: str) -> set[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return set(file.read().split(b"\0"))
    except OSError:
        return set()


def send(signum: int, watched: Watched) -> bool:
    """Signal every group and every marked process; tells whether there was anyone to signal."""
    hit = False
    for group in [group for group in watched.values() if group]:
        with contextlib.suppress(OSError):
            os.killpg(group, signum)
            hit = True
    for pid in marked(set(watched)):
        with contextlib.suppress(OSError):
            os.kill(pid, signum)
            hit = True
    return hit


def end_all(watched: Watched) -> None:
    """SIGTERM, a little patience, then SIGKILL until nobody is left or the deadline passed."""
    start = time.monotonic()
    send(signal.SIGTERM, watched)
    while time.monotonic() - start < PATIENCE and send(0, watched):
        time.sleep(INTERVAL)
    while time.monotonic() - start < DEADLINE and send(signal.SIGKILL, watched):
        time.sleep(INTERVAL)


def main() -> None:
    """Leave War Room's session and tree, then watch."""
    if os.fork():
        os._exit(0)
    os.setsid()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watched: Watched = {}
    listen(sys.stdin.fileno(), watched)
    if watched:
        end_all(watched)


if __name__ == "__main__":
    main()
