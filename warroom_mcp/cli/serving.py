"""`warroom serve`: the MCP server on stdin and stdout, or on a loopback port. Stdout belongs to MCP."""

import anyio

from warroom_mcp.cli.failing import exit_code, single, tell
from warroom_mcp.cli.preparing import load_settings


def serve(*, http: bool = False, host: str = "127.0.0.1", port: int = 8765) -> int:
    """Serve until the host leaves or a signal asks to stop; the exit code. Errors go to stderr only."""
    try:
        settings = load_settings()
        # Imported after the settings, which may already say why serving makes no sense.
        from warroom_mcp.server.serve import serve_http, serve_stdio
        from warroom_mcp.telemetry import configure_logging

        configure_logging()
        if http:
            anyio.run(lambda: serve_http(host, port, settings))
        else:
            anyio.run(serve_stdio, settings)
    except BaseException as error:
        error = single(error)
        if isinstance(error, (SystemExit, GeneratorExit)):
            raise
        tell(error)
        return exit_code(error)
    return 0
