"""Tells a waiting host that a call is alive: what is being done, and a beat while a person decides.

Hosts give up on a call that shows no life (60 s is a common limit, extended by progress).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from warroom_mcp.events import Event, Events, Progress
from warroom_mcp.server.caller import Caller

BEAT_SECONDS = 10.0


@asynccontextmanager
async def reporting(who: Callable[[], Caller], events: Events) -> AsyncIterator[None]:
    """While entered, pass progress on to the host, if it asked for progress of its present request.

    `who` is that request: a parked call goes on with another one.
    """
    latest: list[str] = []
    news = anyio.Event()

    def note(event: Event) -> None:
        if isinstance(event, Progress):
            latest.append(f"{event.work}: {event.message}")
            news.set()

    async def report() -> None:
        nonlocal news
        count = 0
        while True:
            with anyio.move_on_after(BEAT_SECONDS):
                await news.wait()
            news = anyio.Event()
            count += 1
            message = latest[-1] if latest else "working"
            latest.clear()
            who().report_progress(count, message)

    unsubscribe = events.subscribe(note)
    failed: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(report)
            try:
                yield
            except Exception as error:
                # Carried over the task group, which would wrap it.
                failed = error
            tasks.cancel_scope.cancel()
    finally:
        unsubscribe()
    if failed is not None:
        raise failed
