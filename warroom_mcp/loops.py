"""What the event loop is called.

anyio asks sniffio where that is installed, and sniffio sees asyncio only inside of tasks: a callback of
the loop, such as one that reads a pipe, could start no task. `anyio.run` names its loop; `asyncio.run`
does not.
"""

import contextlib


def name_asyncio() -> None:
    """Say that asyncio runs in this context and in every task and callback that comes from it."""
    with contextlib.suppress(ImportError):
        from sniffio import current_async_library_cvar

        current_async_library_cvar.set("asyncio")
