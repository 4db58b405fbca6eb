"""The official MCP registry, v0.1, and those that speak like it. What it says is a claim, not a proof."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import anyio

from warroom_mcp.addresses import is_loopback, split_url
from warroom_mcp.catalog import wire
from warroom_mcp.catalog.entry import read_entry
from warroom_mcp.catalog.identity import Identity, read_id
from warroom_mcp.catalog.source import Found, Query
from warroom_mcp.errors import SourceUnavailable
from warroom_mcp.models import Candidate
from warroom_mcp.settings import Settings

if TYPE_CHECKING:
    from warroom_mcp.catalog.web import Web

_PAGE = 100
_MAX_PAGES = 3
_MAX_TERMS = 6
_SERVICE = "the MCP registry"
# Words that every MCP server's name may have: they tell nothing apart.
_COMMON = frozenset(
    {
        "a",
        "ai",
        "an",
        "and",
        "api",
        "by",
        "client",
        "for",
        "from",
        "in",
        "integration",
        "mcp",
        "of",
        "on",
        "or",
    }
    | {
        "modelcontextprotocol",
        "server",
        "servers",
        "service",
        "the",
        "to",
        "tool",
        "tools",
        "using",
        "via",
        "with",
    }
)


class RegistrySource:
    """Searches names, which is all that the registry's search looks at."""

    name = "registry"

    def __init__(self, settings: Settings, web: "Web") -> None:
        self._base = settings.mcp_registry_url.rstrip("/")
        self._web = web
        parts = split_url(self._base)
        self._loopback = parts is not None and is_loopback(parts.hostname or "")

    async def search(self, query: Query) -> Found:
        """The servers whose names hold one of the query's words, the technologies first.

        Raises:
            SourceUnavailable: no word got an answer.
        """
        walks = [_Walk(self, term) for term in search_terms(query)]
        async with anyio.create_task_group() as group:
            for walk in walks:
                group.start_soon(walk.run)
        failures = [walk.failure for walk in walks if walk.failure is not None]
        if failures and not any(walk.answered for walk in walks):
            raise failures[0]
        found: dict[str, Candidate] = {}
        for walk in walks:
            for candidate in walk.candidates:
                found.setdefault(candidate.id, candidate)
        ages = [walk.age for walk in walks if walk.age is not None]
        reasons = [walk.reason for walk in walks if walk.reason]
        reasons += [str(failure.details.get("reason")) for failure in failures]
        return Found(tuple(found.values()), max(ages, default=None), next(iter(reasons), None))

    async def lookup(self, candidate_id: str) -> Candidate | None:
        """The candidate that some registry entry offers under that id; entries are searched by name.

        Raises:
            SourceUnavailable: the registry gave no usable answer.
        """
        identity = read_id(candidate_id)
        term = lookup_term(identity)
        if term is None:
            return None
        walk = _Walk(self, term, every=True)
        await walk.run()
        for candidate in walk.candidates:
            if candidate.id == str(identity):
                return candidate
        if walk.failure is not None:
            raise walk.failure
        return None

    async def entry(self, name: str, candidate_id: str) -> Candidate | None:
        """The candidate of that id in the latest version of the entry with exactly that name, or None.

        Raises:
            SourceUnavailable: the registry gave no usable answer.
        """
        url = f"{self._base}/v0.1/servers/{quote(name, safe='')}/versions/latest"
        answer = await self._web.get(_SERVICE, url, missing=True)
        candidates = read_entry(answer.value, loopback=self._loopback)
        return next((one for one in candidates if one.id == candidate_id and one.name == name), None)

    async def page(self, term: str, cursor: str | None) -> tuple[object, float | None, str | None]:
        """One page of a search: the document, its age, and why it is an old one."""
        parameters = {"search": term, "limit": str(_PAGE), "version": "latest"}
        if cursor:
            parameters["cursor"] = cursor
        answer = await self._web.get(_SERVICE, f"{self._base}/v0.1/servers?{urlencode(parameters)}")
        return answer.value, answer.age, answer.reason

    def read(self, item: object, *, every: bool) -> Sequence[Candidate]:
        """The candidates of one item: all of its packages, or the one to prefer."""
        candidates = read_entry(item, loopback=self._loopback)
        return candidates if every else candidates[:1]


class _Walk:
    """One search, page by page, until the end, the cap, or a cursor that comes a second time."""

    def __init__(self, source: RegistrySource, term: str, *, every: bool = False) -> None:
        self._source = source
        self._term = term
        self._every = every
        self.candidates: list[Candidate] = []
        self.age: float | None = None
        self.reason: str | None = None
        self.failure: SourceUnavailable | None = None
        self.answered = False

    async def run(self) -> None:
        cursor: str | None = None
        seen: set[str | None] = set()
        try:
            while cursor not in seen and len(seen) < _MAX_PAGES:
                seen.add(cursor)
                cursor = await self._turn(cursor)
                if not cursor:
                    return
        except SourceUnavailable as error:
            self.failure = error

    async def _turn(self, cursor: str | None) -> str | None:
        value, age, reason = await self._source.page(self._term, cursor)
        self.answered = True
        if age is not None:
            self.age, self.reason = max(age, self.age or 0.0), reason
        for item in wire.listing(wire.field(value, "servers"), _PAGE * 5):
            self.candidates += self._source.read(item, every=self._every)
        following = wire.field(wire.field(value, "metadata"), "nextCursor")
        return following if isinstance(following, str) and len(following) <= 2000 else None


def search_terms(query: Query) -> tuple[str, ...]:
    """The words to look for in names: technologies, then keywords."""
    terms = list(query.technologies)
    terms += [word.lower() for word in query.keywords]
    terms += [word for text in query.texts for word in text.lower().split()]
    telling = (term for term in terms if 2 < len(term) <= 60 and term not in _COMMON)
    return tuple(dict.fromkeys(telling))[:_MAX_TERMS]


def lookup_term(identity: Identity) -> str | None:
    """The most telling word of a package name or host name: entries are named after the same thing."""
    name = identity.name
    if identity.scheme == "remote":
        parts = split_url(name)
        name = (parts.hostname or "").rpartition(".")[0] if parts else ""
    else:
        name = name.split("@sha256", 1)[0]
        name = name.rsplit("/", 1)[-1].split(":", 1)[0]
    telling = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word not in _COMMON]
    return max(telling, key=len, default="") or None
