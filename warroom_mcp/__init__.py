"""War Room: one MCP server that finds, approves, starts and proxies the servers an incident needs.

The names below are loaded when they are first used; importing the package itself loads nothing.
"""

from importlib import import_module

from warroom_mcp.version import __version__

# Type checkers take it for true; importing `typing` for it would cost more than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from warroom_mcp.analyzer import analyze, quick_analyze
    from warroom_mcp.errors import WarRoomError
    from warroom_mcp.library import DynamicMCPManager, MCPCatalogSync, WarRoom
    from warroom_mcp.settings import Settings
    from warroom_mcp.warroom import AsyncWarRoom

__all__ = [
    "AsyncWarRoom",
    "DynamicMCPManager",
    "MCPCatalogSync",
    "Settings",
    "WarRoom",
    "WarRoomError",
    "__version__",
    "analyze",
    "quick_analyze",
]

_HOMES = {
    "AsyncWarRoom": "warroom",
    "DynamicMCPManager": "library",
    "MCPCatalogSync": "library",
    "Settings": "settings",
    "WarRoom": "library",
    "WarRoomError": "errors",
    "analyze": "analyzer",
    "quick_analyze": "analyzer",
}


def __getattr__(name: str) -> object:
    if home := _HOMES.get(name):
        value: object = getattr(import_module(f"{__name__}.{home}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
