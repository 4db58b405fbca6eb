"""The Problem Analyzer: reads a problem and says what would help with it."""

from warroom_mcp.analyzer.analyze import analyze, capabilities_of, quick_analyze, technologies

__all__ = ["analyze", "capabilities_of", "quick_analyze", "technologies"]
