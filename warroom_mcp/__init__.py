"""War Room: one MCP server that finds, approves, starts and proxies the servers an incident needs."""
