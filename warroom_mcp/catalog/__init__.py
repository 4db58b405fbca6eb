"""The catalog: needs in, ranked candidates out."""

from warroom_mcp.catalog.cache import AnswerCache, CachedAnswer
from warroom_mcp.catalog.find import Catalog
from warroom_mcp.catalog.source import Found, Query, Source

__all__ = ["AnswerCache", "CachedAnswer", "Catalog", "Found", "Query", "Source"]
