"""What a person sees of an error, and the exit code that it becomes. Standard library only."""

import os
import sys
import traceback
from typing import Any

from warroom_mcp.cli.visible import visible
from warroom_mcp.errors import ApprovalRequired, Refusal, WarRoomError

OK, FAILED, REFUSED, WAITING, INTERRUPTED = 0, 1, 3, 4, 130
DEBUG = "WARROOM_DEBUG"


def debugging() -> bool:
    """Whether the person asked to see what is hidden otherwise: tracebacks and logs."""
    return os.environ.get(DEBUG, "0") not in ("", "0")


def single(error: BaseException) -> BaseException:
    """The error that a person can act on, out of the groups that task groups wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        ours, _ = error.split(WarRoomError)
        error = (ours or error).exceptions[0]
    return error


def exit_code(error: BaseException) -> int:
    """4 for what waits for approval, 3 for a refusal, 130 for an interruption, 1 for a failure."""
    if isinstance(error, ApprovalRequired):
        return WAITING
    if isinstance(error, Refusal):
        return REFUSED
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED


def as_dict(error: BaseException) -> dict[str, Any]:
    """The error as JSON-ready values, whatever class it is of."""
    if isinstance(error, WarRoomError):
        return error.to_dict()
    if isinstance(error, KeyboardInterrupt):
        return {"code": "interrupted", "message": "Interrupted.", "hint": "", "retryable": True}
    hint = f"Set {DEBUG}=1 to see where it happened, and report it with that output."
    message = f"{type(error).__name__}: {error}".partition("\n")[0]
    return {"code": WarRoomError.code, "message": message, "hint": hint, "retryable": False}


def tell(error: BaseException) -> None:
    """Write an error to stderr: code and message, then the hint; no traceback unless it is asked for."""
    if debugging():
        traceback.print_exception(error)
    told = as_dict(error)
    lines = [f"error [{told['code']}] {told['message']}"]
    # The command to approve is in the hint, and the card says what it is for.
    lines += [f"  {line}" for line in told.get("details", {}).get("card", ())]
    if kept := told.get("details", {}).get("kept"):
        lines.append(f"kept: {kept}")
    if told["hint"]:
        lines.append(f"hint: {told['hint']}")
    sys.stderr.write("\n".join(visible(line) for line in lines) + "\n")
    sys.stderr.flush()
