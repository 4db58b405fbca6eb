"""The servers that War Room knows by itself: data in `catalog/curated/*.toml`, read when first asked for.

Each entry says what its fields are by their names; three need a word. `id` names the package, so kind
and identifier follow from it (`transport = "sse"` marks the old remotes). `template` may be a list of
alternatives, tried in order: it becomes one text joined by `|`, as the launcher reads it. `looked_up`
with `version` records which release the registry served when the entry was checked; it is never a pin.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from warroom_mcp.catalog.identity import identify
from warroom_mcp.errors import SourceUnavailable
from warroom_mcp.models import Candidate, InputPlace, Origin, Package, PackageInput, PackageKind
from warroom_mcp.packages import read_image

__all__ = ["PARAMETERS", "check_curated", "load_curated", "parse_curated"]

PARAMETERS = frozenset(
    {"host", "port", "database", "user", "container", "namespace", "bucket", "region", "url", "path"}
)
"""The problem parameters that a template may name, see `models.Need`."""

_DAMAGED = "The installation is damaged: install War Room again."
_BRACES = re.compile(r"\{([^{}]*)\}")
_PASSWORD_IN_URL = re.compile(r"://[^/?#@\s:]*:[^/?#@\s]+@")
_KINDS = {"npm": PackageKind.NPM, "pypi": PackageKind.PYPI, "oci": PackageKind.OCI}
NAME = "curated"
"""What this source is called in a candidate's sources."""

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=20)]
_Canonical = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
_Text = Annotated[str, Field(min_length=1, max_length=240)]


class _Strict(BaseModel):
    """A table of the data: a key that is not known is a mistake, not an extension."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Input(_Strict):
    name: str = ""
    place: InputPlace = InputPlace.ENV
    description: _Text
    required: bool = False
    secret: bool = False
    default: str | None = None
    template: tuple[str, ...] | str | None = None
    choices: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _hold(self) -> "_Input":
        alternatives = self.alternatives()
        if not self.name and self.place is not InputPlace.ARGUMENT:
            raise ValueError(f"an input of place {self.place} needs a name")
        if self.secret and (self.default is not None or alternatives):
            raise ValueError(f"the secret {self.name} has a default or a template")
        if self.choices and self.default is not None and self.default not in self.choices:
            raise ValueError(f"the default of {self.name} is none of its choices")
        for alternative in alternatives:
            unknown = set(_BRACES.findall(alternative)) - PARAMETERS
            if unknown:
                raise ValueError(f"the template of {self.name} names unknown parameters: {sorted(unknown)}")
            if "|" in alternative or _PASSWORD_IN_URL.search(alternative):
                raise ValueError(f"the template of {self.name} holds `|` or a password")
        return self

    def alternatives(self) -> tuple[str, ...]:
        return (self.template,) if isinstance(self.template, str) else self.template or ()

    def made(self) -> PackageInput:
        return PackageInput(
            name=self.name,
            place=self.place,
            description=self.description,
            required=self.required,
            secret=self.secret,
            default=self.default,
            template="|".join(self.alternatives()) or None,
            choices=self.choices,
        )


class _Server(_Strict):
    id: str
    name: _Name
    title: _Text
    description: _Text
    technologies: tuple[_Canonical, ...] = Field(min_length=1)
    capabilities: tuple[_Canonical, ...] = Field(min_length=1)
    origin: Origin = Origin.UNPROVEN
    origin_evidence: str = ""
    repository: str | None = Field(default=None, pattern=r"^https://")
    transport: Literal["streamable-http", "sse"] = "streamable-http"
    arguments: tuple[str, ...] = ()
    executable: str | None = None
    inputs: tuple[_Input, ...] = ()
    tools: tuple[str, ...] = ()
    deprecated: str | None = Field(default=None, min_length=1)
    heir: str | None = None
    looked_up: bool = False
    version: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _hold(self) -> "_Server":
        if identify(self._package()) != self.id:
            raise ValueError("its id is no candidate id in normal form")
        image = read_image(self._package().identifier) if self.id.startswith("oci:") else None
        if image and not image.digest and image.tag in (None, "latest"):
            raise ValueError("its image is not exact: it needs a version tag or a digest")
        if self.origin is not Origin.UNPROVEN and not self.origin_evidence:
            raise ValueError(f"its origin {self.origin} has no evidence")
        if self.heir and not self.deprecated:
            raise ValueError("it has an heir but no reason why it is deprecated")
        if self.looked_up is not bool(self.version):
            raise ValueError("looked_up and version go together")
        named = [(one.place, one.name) for one in self.inputs if one.name]
        if len(named) != len(set(named)):
            raise ValueError("two of its inputs have one name")
        return self

    def _package(self) -> Package:
        scheme, _, identifier = self.id.partition(":")
        return Package(
            kind=_KINDS.get(scheme, PackageKind(self.transport)),
            identifier=identifier,
            arguments=self.arguments,
            inputs=tuple(one.made() for one in self.inputs),
            executable=self.executable,
        )

    def made(self) -> Candidate:
        return Candidate(
            id=self.id,
            name=self.name,
            title=self.title,
            description=self.description,
            package=self._package(),
            technologies=self.technologies,
            capabilities=self.capabilities,
            origin=self.origin,
            origin_evidence=self.origin_evidence,
            repository=self.repository,
            deprecated=self.deprecated,
            heir=self.heir,
            tools=self.tools,
            sources=(NAME,),
        )


class _File(_Strict):
    server: tuple[_Server, ...]


def parse_curated(text: str, where: str) -> tuple[Candidate, ...]:
    """The candidates of one file's text; `where` names the file in messages.

    Raises:
        SourceUnavailable: no TOML, an unknown key, or a value that breaks the rules of its field.
    """
    try:
        tables = tomllib.loads(text)
        servers = _File.model_validate(tables).server
    except tomllib.TOMLDecodeError as error:
        raise _unusable(where, str(error)) from error
    except ValidationError as error:
        raise _unusable(where, _first_problem(error, tables)) from error
    return tuple(server.made() for server in servers)


def check_curated(candidates: Iterable[Candidate]) -> None:
    """What only all entries together show: ids are unique, live names too, and heirs are there and alive.

    Raises:
        SourceUnavailable: one of these does not hold.
    """
    by_id: dict[str, Candidate] = {}
    live_names: dict[str, str] = {}
    for candidate in candidates:
        if candidate.id in by_id:
            raise _unusable(candidate.id, "it is listed twice")
        by_id[candidate.id] = candidate
        if not candidate.deprecated:
            other = live_names.setdefault(candidate.name, candidate.id)
            if other != candidate.id:
                raise _unusable(candidate.id, f"its name {candidate.name!r} is also that of {other}")
    for candidate in by_id.values():
        heir = by_id.get(candidate.heir) if candidate.heir else None
        if candidate.heir and (heir is None or heir.deprecated):
            raise _unusable(candidate.id, f"its heir {candidate.heir} is not listed or deprecated itself")


@cache
def load_curated() -> tuple[Candidate, ...]:
    """All curated candidates, read and checked once, in the order of their files.

    Raises:
        SourceUnavailable: the shipped data is damaged.
    """
    folder = resources.files("warroom_mcp.catalog") / "curated"
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name)
    if not files:
        raise _unusable("catalog/curated", "no data files")
    loaded = tuple(
        candidate for one in files for candidate in parse_curated(one.read_text(encoding="utf-8"), one.name)
    )
    check_curated(loaded)
    return loaded


def _first_problem(error: ValidationError, tables: Mapping[str, object]) -> str:
    """The first thing wrong in words: which server, which field, what."""
    first = error.errors(include_url=False)[0]
    place, who = list(first["loc"]), ""
    servers = tables.get("server")
    number = place[1] if len(place) > 1 else None
    if isinstance(number, int) and isinstance(servers, list):
        told = servers[number].get("id") if isinstance(servers[number], dict) else None
        place, who = place[2:], f"server {told or f'number {number + 1}'}: "
    field = ".".join(str(part) for part in place)
    return f"{who}{field + ': ' if field else ''}{first['msg']}"


def _unusable(where: str, reason: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"The curated servers cannot be used: {where}: {reason}.", hint=_DAMAGED, retryable=False
    )
