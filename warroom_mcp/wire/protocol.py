"""The names and numbers of MCP that both ends need, without the SDK; a test compares them."""

from typing import Final

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022
URL_ELICITATION_REQUIRED: Final = -32042

HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""The revisions with a handshake, oldest first."""
MODERN_VERSIONS: Final = ("2026-07-28",)
"""The revisions whose requests stand alone."""
LATEST_HANDSHAKE: Final = HANDSHAKE_VERSIONS[-1]
LATEST_MODERN: Final = MODERN_VERSIONS[-1]

_PREFIX: Final = "io.modelcontextprotocol/"
META_VERSION: Final = f"{_PREFIX}protocolVersion"
META_CLIENT: Final = f"{_PREFIX}clientInfo"
META_CAPABILITIES: Final = f"{_PREFIX}clientCapabilities"
META_SERVER: Final = f"{_PREFIX}serverInfo"
META_LOG_LEVEL: Final = f"{_PREFIX}logLevel"
META_SUBSCRIPTION: Final = f"{_PREFIX}subscriptionId"
PROGRESS_TOKEN: Final = "progressToken"
OF_ONE_HOP: Final = frozenset({META_VERSION, META_CLIENT, META_CAPABILITIES, PROGRESS_TOKEN})
"""Keys of `_meta` that speak of the connection between two neighbours; the host's must not reach a child."""

EXTENSION_UI: Final = f"{_PREFIX}ui"
EXTENSION_TASKS: Final = f"{_PREFIX}tasks"

LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

ASKING: Final = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""What a server may ask of its client, and the client's capability for it."""


def is_modern(version: str | None) -> bool:
    """Whether a protocol version is of the era without a handshake (2026-07-28 and later)."""
    return version in MODERN_VERSIONS
