"""The command line: translates commands into use cases of War Room, and their results into text.

Nothing is imported before it is known which command runs: hosts wait for `serve`, and people for help.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process, and exit with its code."""
    if sys.argv[1:] == ["serve"]:
        # What every host runs: it needs no parser of arguments.
        from warroom_mcp.cli.serving import serve

        sys.exit(serve())
    from warroom_mcp.cli.app import run_app

    run_app()
