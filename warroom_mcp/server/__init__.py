"""The MCP server that a host talks to: own tools, proxied surface, both protocol eras."""
