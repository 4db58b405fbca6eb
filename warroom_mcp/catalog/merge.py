"""Makes one candidate of all that the sources say of the same server.

The same server: the same package, or the same repository and own name. The outcome does not depend on
the order of the input, and merging it again changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from functools import reduce
from typing import TypeVar

from warroom_mcp.catalog.identity import identify
from warroom_mcp.catalog.origin import stronger
from warroom_mcp.models import Candidate, PackageKind
from warroom_mcp.packages import read_image

# Whose text and inputs win: people wrote the curated ones, publishers described themselves elsewhere.
_SOURCES = ("curated", "registry", "npm", "pypi")
_Known = TypeVar("_Known", int, date)


def merge(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """One candidate for each server, ordered by id."""
    merged = _pass(tuple(candidates))
    # Uniting can bring a name and a repository together that match another one.
    while len(again := _pass(merged)) < len(merged):
        merged = again
    return again


def _pass(candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    ordered = sorted(candidates, key=_precedence)
    groups = _group(ordered)
    return tuple(sorted((reduce(_unite, group) for group in groups), key=lambda one: one.id))


def _precedence(candidate: Candidate) -> tuple[int, str, str]:
    ranks = [_SOURCES.index(source) for source in candidate.sources if source in _SOURCES]
    # The whole value settles what is left, so that the input's order never does.
    return min(ranks, default=len(_SOURCES)), candidate.id, _spelled(candidate)


def _spelled(candidate: Candidate) -> str:
    return repr(replace(candidate, parameters=dict(sorted(candidate.parameters.items()))))


def _group(ordered: list[Candidate]) -> list[list[Candidate]]:
    """The candidates by server, each group and the groups in the given order."""
    parents = list(range(len(ordered)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    owners: dict[tuple[str, ...], int] = {}
    for index, candidate in enumerate(ordered):
        for key in _keys(candidate):
            one, other = sorted((root(owners.setdefault(key, index)), root(index)))
            parents[other] = one
    groups: dict[int, list[Candidate]] = {}
    for index, candidate in enumerate(ordered):
        groups.setdefault(root(index), []).append(candidate)
    return list(groups.values())


def _keys(candidate: Candidate) -> list[tuple[str, ...]]:
    """What makes a candidate the same as another one."""
    identity = identify(candidate.package) or candidate.id
    if candidate.package.kind is PackageKind.OCI and (image := read_image(candidate.package.identifier)):
        identity = f"oci:{image.name.removeprefix('docker.io/')}"
    keys: list[tuple[str, ...]] = [("package", identity)]
    if candidate.repository:
        name = candidate.name.rsplit("/", 1)[-1].lower()
        keys.append(("repository", candidate.repository.lower().rstrip("/"), name))
    return keys


def _unite(first: Candidate, second: Candidate) -> Candidate:
    """Two of the same server as one; the first has precedence where only one of them can be right."""
    origin, evidence = stronger(first, second)
    package = first.package
    same = identify(package) == identify(second.package)
    if same and not package.inputs and not package.arguments:
        package = replace(package, inputs=second.package.inputs, arguments=second.package.arguments)
    return replace(
        first,
        package=package,
        title=first.title or second.title,
        description=first.description or second.description,
        technologies=_union(first.technologies, second.technologies),
        capabilities=_union(first.capabilities, second.capabilities),
        tools=_union(first.tools, second.tools),
        origin=origin,
        origin_evidence=evidence,
        repository=first.repository or second.repository,
        weekly_downloads=_greater(first.weekly_downloads, second.weekly_downloads),
        updated=_greater(first.updated, second.updated),
        deprecated=first.deprecated or second.deprecated,
        heir=first.heir or second.heir,
        sources=tuple(sorted({*first.sources, *second.sources}, key=_source_order)),
        need=first.need or second.need,
        parameters=_joined(second.parameters, first.parameters),
        relevance=max(first.relevance, second.relevance),
        score=first.score if first.score.parts else second.score,
    )


def _source_order(source: str) -> tuple[int, str]:
    return _SOURCES.index(source) if source in _SOURCES else len(_SOURCES), source


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _joined(weak: Mapping[str, str], strong: Mapping[str, str]) -> Mapping[str, str]:
    return {**weak, **strong}


def _greater(first: _Known | None, second: _Known | None) -> _Known | None:
    if first is None or second is None:
        return second if first is None else first
    return max(first, second)
