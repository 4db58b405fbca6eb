"""A callback of the loop can start tasks where sniffio is installed, as it is with some extras."""

import asyncio
import contextvars

import anyio
import sniffio

from warroom_mcp.loops import name_asyncio


async def start_from_a_callback() -> str:
    """What becomes of a task that a callback starts, in a loop that `asyncio.run` made."""
    name_asyncio()
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        told.set_result("done")

    async with anyio.create_task_group() as tasks:
        asyncio.get_running_loop().call_soon(tasks.start_soon, work)
        with anyio.fail_after(5):
            await told
    return told.result()


def test_a_callback_starts_tasks_in_a_loop_that_has_a_name() -> None:
    assert contextvars.Context().run(asyncio.run, start_from_a_callback()) == "done"
    assert sniffio.current_async_library_cvar.get() is None
