"""What is remembered: the database behind `Store`, and the config file that a person can read."""

from warroom_mcp.store.config import ConfigFile, Desired
from warroom_mcp.store.protocol import CachedAnswer, Store
from warroom_mcp.store.sqlite import SqliteStore

__all__ = ["CachedAnswer", "ConfigFile", "Desired", "SqliteStore", "Store"]
