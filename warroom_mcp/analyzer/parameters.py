"""Places in a text where hosts, ports, names and paths stand, and what they say.

A place keeps together what was said together: the host and the port of one connection are never
mixed with those of another.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from warroom_mcp.analyzer.contexts import speaks_of_host
from warroom_mcp.analyzer.subject import BLANK, Subject
from warroom_mcp.analyzer.values import accept, is_unspecified


@dataclass(frozen=True, slots=True)
class Found:
    """One value and where it stands."""

    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """What one expression of the text says: values by parameter name, and the URI scheme if it has one."""

    start: int
    end: int
    values: Mapping[str, Found]
    scheme: str | None = None


@dataclass(frozen=True, slots=True)
class _Form:
    """A way to write parameters: groups are named after them; runs where one of `triggers` occurs.

    `quoted` tells that the form itself marks the value, so that ordinary words are taken too.
    `line` holds words of which one has to be on the same line.
    """

    expression: re.Pattern[str]
    triggers: tuple[str, ...]
    quoted: bool = True
    line: tuple[str, ...] = ()


def _form(expression: str, *triggers: str, quoted: bool = True, line: tuple[str, ...] = ()) -> _Form:
    return _Form(re.compile(expression, re.IGNORECASE), triggers, quoted, line)


_H = r"(?:\[[0-9a-f:.%]{2,60}\]|[a-z0-9_][\w.-]{0,253})"
_HOST = rf"(?P<host>{_H})"
_PORT = r"(?P<port>\d{1,5})(?!\w)"
_ID = r"[\w.$-]{1,128}"
_SIGN = r"(?: ?[:=] ?)"
_CLUSTER = ("kubectl", "helm", "oc ", "k9s", "stern", "istioctl", "argocd", "kubernetes", "k8s")

_URI = re.compile(
    r"(?<![a-z0-9])(?:jdbc:)?(?P<scheme>[a-z][a-z0-9+.-]{1,20}):(?:thin:@)?//"
    r"(?:(?P<user>[^\s/:@\"'<>]{0,200})(?::[^\s/@\"'<>]{0,200})?@)?"
    rf"{_HOST}?(?::{_PORT})?(?P<more>(?:,{_H}(?::\d{{1,5}})?){{0,20}})(?P<rest>[/;][^\s\"'<>`)\]}}|]{{0,1000}})?",
    re.IGNORECASE,
)
_ENDPOINT = re.compile(rf"(?<![\w.:/@-]){_HOST}:{_PORT}(?!:\d|\.\d)", re.IGNORECASE)
_FORMS = (
    _form(rf"server at \"{_HOST}\"(?: \([\w.:]{{1,60}}\))?,? ?port {_PORT}", "server at "),
    _form(rf"\b(?:host|server|address|instance)(?:name)? ?[\"'`]{_HOST}[\"'`](?:,? ?port {_PORT})?", "host", "server",
          "address", "instance"),
    _form(rf"\b(?:host|hostname|hostaddr|server|data source|endpoint|broker|address|addr){_SIGN}[\"']?{_HOST}"
          rf"(?:(?::|[\"',; ]{{1,3}}port{_SIGN}){_PORT})?(?![\w(])", "host", "server", "source", "endpoint", "broker",
          "addr", quoted=False),
    _form(rf"\bserver on [\"'`]{_HOST}(?::{_PORT})?[\"'`]", "server on "),
    _form(rf"\b(?:enotfound|eai_again|lookup|unknown ?host(?:exception)?:?|resolve host(?:name)?:?|host name"
          rf"|service not known:|resolve address of|resolve|to host) [\"'`]?{_HOST}[\"'`]?(?: port:? {_PORT})?",
          "enotfound", "eai_again", "lookup", "unknown", "resolve", "host", "not known", quoted=False),
    _form(rf"\bconnect(?:ion|ing)? to {_HOST},? (?:on )?port:? {_PORT}", "connect"),
    _form(r"\bconnect(?:ion|ing)? to [\"'`]?(?P<host>\d{1,3}(?:\.\d{1,3}){3}|[\w-]{1,63}(?:\.[\w-]{1,63}){1,10})(?!:\d)",
          "connect", quoted=False),
    _form(r"(?<![a-z])port[\"']?(?: ?[:=] ?| )[\"']?(?P<port>\d{2,5})(?!\w|\.\d)", "port"),
    _form(rf"\bdatabase {_SIGN}?[\"'`](?P<database>[^\"'`\n]{{1,128}})[\"'`]", "database"),
    _form(rf"\b(?:database|dbname|db_name|initial catalog|databasename)[\"']?{_SIGN}[\"']?(?P<database>{_ID})",
          "database", "dbname", "db_name", "catalog", quoted=False),
    _form(rf"\b(?:role|user|username|login)(?: for)?{_SIGN}? ?[\"'`](?P<user>[^\"'`\n@]{{1,128}})[\"'`]", "role",
          "user", "login"),
    _form(rf"\b(?:user|username|user id|uid|pguser|db_user){_SIGN}(?P<user>[\w.$@-]{{1,128}})(?![\w(])", "user", "uid",
          quoted=False),
    _form(r"(?<!\S)(?:-U|--user(?:name)?)[ =](?P<user>[\w.$@-]{1,128})", "-u", "--user"),
    _form(rf"(?<!\S)-n[ =](?P<namespace>{_ID})", "-n", line=_CLUSTER),
    _form(rf"--namespace[= ][\"']?(?P<namespace>{_ID})", "--namespace"),
    _form(rf"\bnamespace[\"']?{_SIGN}?[ ]?[\"'`](?P<namespace>{_ID})[\"'`]", "namespace"),
    _form(rf"\bnamespace[\"']?(?:{_SIGN}| )(?P<namespace>{_ID})", "namespace", quoted=False),
    _form(rf"\bin (?:the )?[\"'`]?(?P<namespace>{_ID})[\"'`]? namespace", "namespace", quoted=False),
    _form(r"\bcontainer(?:[_ ]name)?[\"']?(?:s?:)? ?[:=]? ?(?:named |name )?[\"'`]/?(?P<container>[\w.-]{1,128})[\"'`]",
          "container"),
    _form(r"\bcontainer(?:[_-]?name)?(?: ?[:=] ?| )/?(?P<container>[\w.-]{1,128})(?![\w(/])", "container",
          quoted=False),
    _form(r"\bdocker (?:container )?(?:logs|exec|start|stop|restart|inspect|rm|kill|port|top|stats|attach|wait)"
          r"(?: -{1,2}[\w=-]{1,40}){0,6} (?P<container>[\w.-]{1,128})", "docker "),
    _form(rf"(?<!\S)-c[ =](?P<container>{_ID})", "-c", line=("kubectl", "oc ")),
    _form(r"\b(?:s3|s3a|s3n|gs)://(?P<bucket>[\w.-]{3,63})", "://"),
    _form(r"\barn:aws[\w-]{0,10}:s3:::(?P<bucket>[\w.-]{3,63})", "arn:aws"),
    _form(r"\bbucket(?:[_ ]?name)?[\"']?(?: ?[:=] ?| )[\"'`](?P<bucket>[\w.-]{3,63})[\"'`]", "bucket"),
    _form(r"\bbucket(?:[_ ]?name)?(?: ?[:=] ?| )(?P<bucket>[\w.-]{3,63})(?![\w(/])", "bucket", quoted=False),
    _form(r"\b(?P<bucket>[a-z0-9][\w.-]{1,61}[a-z0-9])\.s3(?:[.-][a-z0-9-]{5,20})?\.amazonaws\.com", ".amazonaws."),
    _form(r"(?<![\w-])(?P<region>(?:us|eu|ap|sa|ca|me|af|il|mx|cn)-(?:gov-|iso[a-z]?-)?"
          r"(?:north|south|east|west|central|northeast|northwest|southeast|southwest)-\d)(?![\w-]?\d)", "-"),
    _form(r"(?<![\w-])(?P<region>(?:us|europe|asia|australia|northamerica|southamerica|africa|me)-"
          r"(?:north|south|east|west|central|northeast|southeast|southwest)\d{1,2})(?![0-9])", "-"),
    _form(r"\b(?:region|location)(?: ?[:=] ?| )[\"'`](?P<region>[a-z][a-z0-9-]{4,30})[\"'`]", "region", "location"),
    _form(r"\bregion ?[:=] ?(?P<region>[a-z]{4,20}\d?)\b(?![-(])", "region", quoted=False),
    _form(r"\bunix:/{0,2}(?P<path>/[\w./@+-]{1,250}\w)", "unix:"),
    _form(r"[\"'`](?P<path>/[^\"'`\n:*?<>|]{1,254})[\"'`]", "/"),
    _form(r"(?<![\w/.:@~\"'`<\[-])(?P<path>(?:/[\w.@+-]{1,100}){2,30})", "/"),
    _form(r"(?<!\w)(?P<path>[a-z]:\\[\w.@+ \\-]{1,250}\w)", ":\\"),
)  # fmt: skip

# Schemes that any technology may be behind.
_PLAIN_SCHEMES = frozenset({"http", "https", "ws", "wss", "tcp", "udp", "tls", "ssl", "ssh", "ftp", "sftp"})
_OTHER_SCHEMES = frozenset({"file", "unix", "npipe", "data", "urn", "s3", "s3a", "s3n", "gs", "about", "node"})

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
    for match in _URI.finditer(subject.masked, start, end):
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
    name = re.match(r"/([^/?;#&,]{1,128})", rest)
    if name is None or (value := accept("database", name[1], quoted=True)) is None:
        return {}
    return {"database": Found(value, match.start("rest") + 1, match.start("rest") + name.end())}


def _address(match: re.Match[str], scheme: str) -> Found:
    """The URL without what may be secret: userinfo, query, fragment."""
    path = re.split(r"[?#;]", match["rest"] or "", maxsplit=1)[0].rstrip(".,:")
    path = "" if BLANK in path or not path.isprintable() else path
    port = f":{match['port']}" if match["port"] else ""
    value = f"{scheme}://{match['host']}{port}{path}"[:255]
    end = match.start("rest") + len(path) if path else max(match.end("host"), match.end("port"))
    return Found(value, match.start("scheme"), end)


def _endpoints(subject: Subject, start: int, end: int) -> Iterator[Place]:
    for match in _ENDPOINT.finditer(subject.masked, start, end):
        if not speaks_of_host(subject, match["host"].lower(), *match.span()):
            continue
        values = _accepted(match, ("host", "port"), quoted=True)
        if "port" in values:
            yield Place(*match.span(), values)


def _written(subject: Subject, start: int, end: int) -> Iterator[Place]:
    lowered = subject.lowered[start:end]
    for form in _FORMS:
        if not any(trigger in lowered for trigger in form.triggers):
            continue
        for match in form.expression.finditer(subject.masked, start, end):
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
