"""From a candidate to a decision: checks, policy, and the card that a person reads. Pure; nothing is run."""

from warroom_mcp.trust.card import card
from warroom_mcp.trust.checks import Check, Outcome, check
from warroom_mcp.trust.policy import Policy, decide, level_of
from warroom_mcp.trust.visible import escape_visible

__all__ = ["Check", "Outcome", "Policy", "card", "check", "decide", "escape_visible", "level_of"]
