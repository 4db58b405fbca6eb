"""Places in a text where hosts, ports, names and paths stand, and what they say.

A place keeps together what was said together: the host and the port of one connection are never
mixed with those of another.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from warroom_mcp.analyzer.contexts import speaks_of_host
from warroom_mcp.analyzer.forms import ENDPOINT, FORMS, URI
from warroom_mcp.analyzer.subject import BLANK, Subject
from warroom_mcp.analyzer.values import accept, is_unspecified


@dataclass(frozen=True, slots=True)
class Found:
    """One value and where it stands."""

    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What one expression of the text says: values by parameter name, and the URI scheme if it has one."""

    start: int
    end: int
    values: Mapping[str, Found]
    scheme: str | None = None


# Schemes that any technology may be behind.
_PLAIN_SCHEMES = frozenset({"http", "https", "ws", "wss", "tcp", "udp", "tls", "ssl", "ssh", "ftp", "sftp"})
_OTHER_SCHEMES = frozenset(
    {"file", "unix", "npipe", "data", "urn", "s3", "s3a", "s3n", "gs", "about", "node"}
)

# Up to this size all of a text is read for parameters, beyond it only what is near evidence.
_SMALL = 16 * 1024
_NEAR = 2_000
_ENDS = 4 * 1024
_MAX_PLACES = 500


def find_places(subject: Subject, evidence: list[tuple[int, int]]) -> list[Place]:
    """Every place in the text, or near the `evidence` of a long one, that says where something runs."""
    places: list[Place] = []
    for start, end in _windows(subject, evidence):
        places += _uris(subject, start, end)
        places += _endpoints(subject, start, end)
        places += _written(subject, start, end)
        if len(places) >= _MAX_PLACES:
            break
    return sorted(places[:_MAX_PLACES], key=lambda place: (place.start, place.end))


def _windows(subject: Subject, evidence: list[tuple[int, int]]) -> list[tuple[int, int]]:
    size = len(subject.text)
    if size <= _SMALL:
        return [(0, size)]
    wanted = [(0, _ENDS), (size - _ENDS, size)]
    wanted += [(max(0, start - _NEAR), min(size, end + _NEAR)) for start, end in evidence]
    windows: list[tuple[int, int]] = []
    for start, end in sorted(wanted):
        if windows and start <= windows[-1][1]:
            windows[-1] = (windows[-1][0], max(end, windows[-1][1]))
        else:
            windows.append((start, end))
    return windows


def _uris(subject: Subject, start: int, end: int) -> Iterator[Place]:
    for match in URI.compiled().finditer(subject.masked, start, end):
        scheme = match["scheme"].lower()
        if scheme in _OTHER_SCHEMES:
            continue
        values = _accepted(match, ("host", "port", "user"), quoted=True)
        plain = scheme in _PLAIN_SCHEMES
        if not plain:
            values.update(_database(match))
        if "host" in values:
            values["url"] = _address(match, scheme)
        if values:
            yield Place(*match.span(), values, None if plain else scheme)


def _database(match: re.Match[str]) -> dict[str, Found]:
    rest = match["rest"] or ""
    name = re.match(r"/([^/?;#&,:]{1,128})", rest)
    if name is None or BLANK in name[1] or (value := accept("database", name[1], quoted=True)) is None:
        return {}
    value = value.rstrip(".")
    start = match.start("rest") + 1
    return {"database": Found(value, start, start + len(value))} if value else {}


def _address(match: re.Match[str], scheme: str) -> Found:
    """The URL without what may be secret: userinfo, query, fragment."""
    path = re.split(r"[?#;]", match["rest"] or "", maxsplit=1)[0].rstrip(".,:")
    path = "" if BLANK in path or not path.isprintable() else path
    port = f":{match['port']}" if match["port"] else ""
    value = f"{scheme}://{match['host']}{port}{path}"[:255]
    end = match.start("rest") + len(path) if path else max(match.end("host"), match.end("port"))
    return Found(value, match.start("scheme"), end)


def _endpoints(subject: Subject, start: int, end: int) -> Iterator[Place]:
    for match in ENDPOINT.compiled().finditer(subject.masked, start, end):
        if not speaks_of_host(subject, match["host"].lower(), *match.span()):
            continue
        values = _accepted(match, ("host", "port"), quoted=True)
        if "port" in values:
            yield Place(*match.span(), values)


def _written(subject: Subject, start: int, end: int) -> Iterator[Place]:
    lowered = subject.lowered[start:end]
    for form in FORMS:
        if not any(trigger in lowered for trigger in form.triggers):
            continue
        for match in form.compiled().finditer(subject.masked, start, end):
            if form.line and not any(word in subject.around(*match.span()) for word in form.line):
                continue
            values = _accepted(match, tuple(match.groupdict()), quoted=form.quoted)
            if values:
                yield Place(*match.span(), values)


def _accepted(match: re.Match[str], names: tuple[str, ...], *, quoted: bool) -> dict[str, Found]:
    values: dict[str, Found] = {}
    for name in names:
        raw = match[name]
        if not raw or BLANK in raw:
            continue
        trimmed = raw.rstrip(".,:;")
        value = accept(name, trimmed, quoted=quoted)
        if value is None or (name == "host" and is_unspecified(value)):
            continue
        values[name] = Found(value, match.start(name), match.start(name) + len(trimmed))
    return values
