"""From a decision to a running child: install, start, watch, call, and retire MCP servers."""

from warroom_mcp.manager.desired import DefinitionStore, Desired, DesiredState
from warroom_mcp.manager.supervise import Manager

__all__ = ["DefinitionStore", "Desired", "DesiredState", "Manager"]
