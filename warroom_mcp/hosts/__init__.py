"""MCP hosts as data: what each is known to do. Behaviour changes monthly, so this is never a code branch."""

from warroom_mcp.hosts.abilities import Abilities, Elicitation, abilities_of

__all__ = ["Abilities", "Elicitation", "abilities_of"]
