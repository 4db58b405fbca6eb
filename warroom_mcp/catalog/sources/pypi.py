"""PyPI: the facts of one project. It has no search, so its projects come from the other sources."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from warroom_mcp.catalog import wire
from warroom_mcp.catalog.facts import PackageFacts
from warroom_mcp.catalog.identity import normal_name, read_id, url_segment
from warroom_mcp.catalog.source import Found, Query
from warroom_mcp.models import Candidate, Package, PackageKind
from warroom_mcp.settings import Settings

if TYPE_CHECKING:
    from warroom_mcp.catalog.web import Web

_MCP_NAME = re.compile(r"\bmcp-name:[ \t]*([a-zA-Z0-9.-]{1,100}/[a-zA-Z0-9._-]{1,100})")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_INACTIVE = "Development Status :: 7 - Inactive"
# Where projects link their repository, the most telling name first.
_LINKS = ("repository", "source", "source code", "github", "code", "homepage", "home")


class PypiSource:
    """PyPI's JSON interface and the download counts of another service."""

    name = "pypi"

    def __init__(self, settings: Settings, web: "Web") -> None:
        self._projects = settings.pypi_url.rstrip("/")
        self._counts = settings.pypi_downloads_url.rstrip("/")
        self._web = web

    async def search(self, query: Query) -> Found:
        """Nothing: PyPI offers no search."""
        return Found(())

    async def lookup(self, candidate_id: str) -> Candidate | None:
        """The candidate `pypi:NAME`.

        Raises:
            SourceUnavailable: PyPI gave no usable answer.
        """
        identity = read_id(candidate_id)
        if identity.scheme != "pypi":
            return None
        facts = await self.facts(identity.name)
        if facts is None:
            return None
        return Candidate(
            id=str(identity),
            name=identity.name,
            description=facts.description,
            package=Package(PackageKind.PYPI, identity.name),
            repository=facts.repository,
            updated=facts.updated,
            deprecated=facts.deprecated,
            sources=(self.name,),
        )

    async def facts(self, name: str, version: str | None = None) -> PackageFacts | None:
        """The facts of a version, of the latest without one; None when PyPI does not serve it.

        Raises:
            SourceUnavailable: PyPI gave no usable answer.
        """
        normal = normal_name("pypi", name)
        if normal is None or (version is not None and wire.version(version) is None):
            return None
        path = normal if version is None else f"{normal}/{url_segment(version)}"
        url = f"{self._projects}/pypi/{path}/json"
        answer = await self._web.get("PyPI", url, reduce=_project, missing=True)
        return read_project(answer.value)

    async def downloads(self, name: str) -> int | None:
        """Downloads of the last week, None when unknown.

        Raises:
            SourceUnavailable: the counts gave no usable answer.
        """
        normal = normal_name("pypi", name)
        if normal is None:
            return None
        url = f"{self._counts}/api/packages/{normal}/recent"
        answer = await self._web.get("PyPI downloads", url, missing=True)
        return wire.count(wire.field(wire.field(answer.value, "data"), "last_week"))


def _project(value: object) -> object:
    """A project's answer cut down to the members that are read; the README only gives its mcp-name."""
    info = wire.mapping(wire.field(value, "info"))
    members = ("version", "summary", "project_urls", "home_page", "yanked", "yanked_reason", "classifiers")
    readme = info.get("description")
    named = _MCP_NAME.search(readme) if isinstance(readme, str) else None
    kept = {member: info[member] for member in members if member in info}
    files = [_file(item) for item in wire.listing(wire.field(value, "urls"), 500)]
    return {"info": kept | {"mcp_name": named[1] if named else None}, "urls": files}


def _file(item: object) -> Mapping[str, object]:
    members = wire.mapping(item)
    names = ("packagetype", "filename", "digests", "upload_time_iso_8601", "yanked")
    return {name: members.get(name) for name in names}


def read_project(value: object) -> PackageFacts | None:
    """The facts of a project's answer, or None when it has no version.

    The integrity is that of the one wheel for all platforms. With another number of such wheels the
    file depends on the machine, and the integrity stays unknown.
    """
    info = wire.field(value, "info")
    version = wire.version(wire.field(info, "version"))
    if version is None:
        return None
    files = wire.listing(wire.field(value, "urls"), 500)
    days = [wire.day(wire.field(item, "upload_time_iso_8601")) for item in files]
    mcp_name = wire.field(info, "mcp_name")
    return PackageFacts(
        version=version,
        integrity=_integrity(files),
        updated=max((one for one in days if one is not None), default=None),
        deprecated=_withdrawal(info, files),
        repository=_repository(info),
        mcp_name=mcp_name if isinstance(mcp_name, str) else None,
        starts=bool(files),
        description=wire.text(wire.field(info, "summary")),
    )


def _integrity(files: Sequence[object]) -> str | None:
    wheels = [item for item in files if str(wire.field(item, "filename")).endswith("-none-any.whl")]
    if len(wheels) != 1:
        return None
    digest = wire.field(wire.field(wheels[0], "digests"), "sha256")
    return f"sha256:{digest}" if isinstance(digest, str) and _SHA256.match(digest) else None


def _withdrawal(info: object, files: Sequence[object]) -> str | None:
    all_files = bool(files) and all(wire.field(item, "yanked") is True for item in files)
    if wire.field(info, "yanked") is True or all_files:
        reason = wire.text(wire.field(info, "yanked_reason"), 200)
        return f"yanked: {reason}" if reason else "yanked by its publisher"
    if _INACTIVE in wire.listing(wire.field(info, "classifiers")):
        return "its publisher calls it inactive"
    return None


def _repository(info: object) -> str | None:
    links = {name.lower(): url for name, url in wire.mapping(wire.field(info, "project_urls")).items()}
    addresses = [links.get(name) for name in _LINKS] + [wire.field(info, "home_page")]
    return next((found for found in map(wire.repository, addresses) if found), None)
