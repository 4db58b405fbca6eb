"""From a real MCP client over a real transport to real children and real services."""
