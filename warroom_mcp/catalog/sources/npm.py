"""npm: search for MCP servers, and the facts of one package. The search's own scores are void and unused."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import anyio

from warroom_mcp.catalog import wire
from warroom_mcp.catalog.facts import PackageFacts
from warroom_mcp.catalog.identity import read_id, url_segment
from warroom_mcp.catalog.origin import origin_of_npm
from warroom_mcp.catalog.source import Found, Query
from warroom_mcp.errors import SourceUnavailable
from warroom_mcp.models import Candidate, Package, PackageKind
from warroom_mcp.packages import is_npm_name
from warroom_mcp.settings import Settings

if TYPE_CHECKING:
    from warroom_mcp.catalog.web import Answer, Web

_MAX_TEXTS = 5
_PAGE = 40
_MCP_KEYWORDS = frozenset(
    {"mcp", "mcp-server", "mcpserver", "model-context-protocol", "modelcontextprotocol"}
)
# Parts of the protocol's own machinery: they carry the same words and are no servers.
_MACHINERY = frozenset(
    {"sdk", "client", "inspector", "types", "proxy", "remote", "create", "template", "cli"}
)
_INTEGRITY = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/]+={0,2}\Z")
_BIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_MCP_NAME = re.compile(r"[a-zA-Z0-9.-]{1,100}/[a-zA-Z0-9._-]{1,100}\Z")


class NpmSource:
    """The npm registry and its download counts."""

    name = "npm"

    def __init__(self, settings: Settings, web: "Web") -> None:
        self._registry = settings.npm_registry_url.rstrip("/")
        self._counts = settings.npm_downloads_url.rstrip("/")
        self._web = web

    async def search(self, query: Query) -> Found:
        """MCP servers among the packages that match; a registry without search is down, not empty.

        Raises:
            SourceUnavailable: no text got an answer.
        """
        texts = search_texts(query)
        answers: dict[str, Answer] = {}
        failures: list[SourceUnavailable] = []

        async def ask(text: str) -> None:
            try:
                answers[text] = await self._search(text)
            except SourceUnavailable as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            for text in texts:
                group.start_soon(ask, text)
        if failures and not answers:
            raise failures[0]
        found: dict[str, Candidate] = {}
        for text in texts:
            for candidate in read_hits(answers[text].value if text in answers else None):
                found.setdefault(candidate.id, candidate)
        ages = [answer.age for answer in answers.values() if answer.age is not None]
        reasons = [answer.reason for answer in answers.values() if answer.reason]
        reasons += [str(failure.details.get("reason")) for failure in failures]
        return Found(tuple(found.values())[: query.limit], max(ages, default=None), next(iter(reasons), None))

    async def _search(self, text: str) -> "Answer":
        parameters = urlencode({"text": text, "size": _PAGE})
        return await self._web.get("npm search", f"{self._registry}/-/v1/search?{parameters}", reduce=_hits)

    async def lookup(self, candidate_id: str) -> Candidate | None:
        """The candidate `npm:NAME`, whether or not a search would find it.

        Raises:
            SourceUnavailable: the registry gave no usable answer.
        """
        identity = read_id(candidate_id)
        if identity.scheme != "npm":
            return None
        facts = await self.facts(identity.name)
        if facts is None:
            return None
        origin, evidence = origin_of_npm(identity.name)
        return Candidate(
            id=str(identity),
            name=identity.name,
            description=facts.description,
            package=Package(PackageKind.NPM, identity.name),
            origin=origin,
            origin_evidence=evidence,
            repository=facts.repository,
            updated=facts.updated,
            deprecated=facts.deprecated,
            sources=(self.name,),
        )

    async def facts(self, name: str, version: str | None = None) -> PackageFacts | None:
        """The facts of a version, of the latest without one; None when the registry does not serve it.

        Raises:
            SourceUnavailable: the registry gave no usable answer.
        """
        if not is_npm_name(name):
            return None
        url = f"{self._registry}/{url_segment(name)}"
        answer = await self._web.get("npm", url, reduce=_packument, missing=True)
        return read_packument(name, answer.value, version)

    async def downloads(self, name: str) -> int | None:
        """Downloads of the last week, None when unknown.

        Raises:
            SourceUnavailable: the counts gave no usable answer.
        """
        if not is_npm_name(name):
            return None
        url = f"{self._counts}/downloads/point/last-week/{url_segment(name)}"
        answer = await self._web.get("npm downloads", url, missing=True)
        return wire.count(wire.field(answer.value, "downloads"))


# --- search ------------------------------------------------------------------------------------


def search_texts(query: Query) -> tuple[str, ...]:
    """The texts to search for: short ones, because npm matches worse the more words there are."""
    texts = [f"mcp {technology}" for technology in query.technologies]
    texts += [text if "mcp" in text.lower() else f"mcp {text}" for text in query.texts]
    texts += [f"{technology} mcp server" for technology in query.technologies]
    texts += [f"mcp {keyword}" for keyword in query.keywords]
    shown = (wire.text(text, 80) for text in texts)
    return tuple(dict.fromkeys(text for text in shown if text))[:_MAX_TEXTS]


def _hits(value: object) -> object:
    """A search answer cut down to the members that are read."""
    kept = []
    for hit in wire.listing(wire.field(value, "objects"), 250):
        package = wire.mapping(wire.field(hit, "package"))
        members = ("name", "description", "keywords", "date", "links", "deprecated")
        short = {member: package[member] for member in members if member in package}
        kept.append({"package": short, "downloads": wire.field(hit, "downloads")})
    return {"objects": kept}


def read_hits(value: object) -> list[Candidate]:
    """The MCP servers of a search answer; hits that cannot be read, or are something else, are left out."""
    hits = (read_hit(hit) for hit in wire.listing(wire.field(value, "objects"), 250))
    return [hit for hit in hits if hit is not None]


def read_hit(hit: object) -> Candidate | None:
    """The candidate of one search hit, or None."""
    package = wire.field(hit, "package")
    name = wire.field(package, "name")
    if not isinstance(name, str) or not is_npm_name(name):
        return None
    if not is_server(name, wire.field(package, "keywords")):
        return None
    origin, evidence = origin_of_npm(name)
    return Candidate(
        id=f"npm:{name}",
        name=name,
        description=wire.text(wire.field(package, "description")),
        package=Package(PackageKind.NPM, name),
        origin=origin,
        origin_evidence=evidence,
        repository=wire.repository(wire.field(wire.field(package, "links"), "repository")),
        weekly_downloads=wire.count(wire.field(wire.field(hit, "downloads"), "weekly")),
        updated=wire.day(wire.field(package, "date")),
        deprecated=_deprecation(wire.field(package, "deprecated")),
        sources=("npm",),
    )


def is_server(name: str, keywords: object) -> bool:
    """Whether a package says, by scope, name or keywords, that it is an MCP server."""
    parts = frozenset(re.split(r"[^a-z0-9]+", name.split("/")[-1]))
    if parts & _MACHINERY and "server" not in parts:
        return False
    if name.startswith("@modelcontextprotocol/"):
        return name.startswith("@modelcontextprotocol/server-")
    said = {word.lower() for word in wire.listing(keywords) if isinstance(word, str)}
    return "mcp" in name or bool(said & _MCP_KEYWORDS)


# --- one package -------------------------------------------------------------------------------


def _packument(value: object) -> object:
    """A packument cut down to the members that are read: real ones run to many megabytes."""
    versions = {}
    for version, manifest in wire.mapping(wire.field(value, "versions")).items():
        members = wire.mapping(manifest)
        names = ("bin", "deprecated", "mcpName", "repository", "description")
        short = {name: members[name] for name in names if name in members}
        versions[version] = short | {
            "dist": {"integrity": wire.field(wire.field(manifest, "dist"), "integrity")}
        }
    return {
        "dist-tags": {"latest": wire.field(wire.field(value, "dist-tags"), "latest")},
        "versions": versions,
        "time": wire.field(value, "time"),
    }


def read_packument(name: str, value: object, version: str | None = None) -> PackageFacts | None:
    """The facts of a version of a packument, of the latest without one; None when it is not there."""
    versions = wire.mapping(wire.field(value, "versions"))
    latest = wire.version(wire.mapping(wire.field(value, "dist-tags")).get("latest"))
    chosen = version or latest
    if chosen is None or chosen not in versions:
        return None
    manifest = versions[chosen]
    times = wire.mapping(wire.field(value, "time"))
    integrity = wire.field(wire.field(manifest, "dist"), "integrity")
    mcp_name = wire.field(manifest, "mcpName")
    starts, executable = read_bin(name, wire.field(manifest, "bin"))
    return PackageFacts(
        version=chosen,
        integrity=integrity if isinstance(integrity, str) and _INTEGRITY.match(integrity) else None,
        updated=wire.day(times.get(latest or chosen)),
        deprecated=_deprecation(wire.mapping(manifest).get("deprecated")),
        repository=wire.repository(wire.field(manifest, "repository")),
        mcp_name=mcp_name if isinstance(mcp_name, str) and _MCP_NAME.match(mcp_name) else None,
        executable=executable,
        starts=starts,
        description=wire.text(wire.field(manifest, "description")),
    )


def _deprecation(value: object) -> str | None:
    """The reason of a deprecation; an empty one takes it back, and some registries only say true."""
    if value is True:
        return "its publisher has deprecated it"
    return wire.text(value, 200) or None


def read_bin(name: str, value: object) -> tuple[bool, str | None]:
    """Whether the package can be started, and which of several executables npx would not find itself."""
    if isinstance(value, str):
        return bool(value), None
    offered = [entry for entry in _entries(value) if _BIN.match(entry)]
    if len(offered) <= 1 or name.split("/")[-1] in offered:
        return bool(offered), None
    servers = [entry for entry in offered if "mcp" in entry.lower()]
    return True, (servers or offered)[0]


def _entries(value: object) -> list[str]:
    members: Mapping[str, object] = wire.mapping(value)
    return [entry for entry, target in members.items() if isinstance(target, str) and target]
