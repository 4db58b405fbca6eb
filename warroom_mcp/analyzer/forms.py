"""The ways in which logs and commands write hosts, ports, users and other parameters."""

import re
from dataclasses import dataclass
from functools import cache


@cache
def compiled(expression: str) -> re.Pattern[str]:
    """An expression of this module, compiled at its first use."""
    return re.compile(expression, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """A way to write parameters: groups are named after them; runs where one of `triggers` occurs.

    `quoted` tells that the form itself marks the value, so that ordinary words are taken too.
    `line` holds words of which one has to be on the same line.
    """

    expression: str
    triggers: tuple[str, ...]
    quoted: bool = True
    line: tuple[str, ...] = ()

    def compiled(self) -> re.Pattern[str]:
        """The expression, compiled at its first use."""
        return compiled(self.expression)


def _form(expression: str, *triggers: str, quoted: bool = True, line: tuple[str, ...] = ()) -> Form:
    return Form(expression, triggers, quoted, line)


_H = r"(?:\[[0-9a-f:.%]{2,60}\]|[a-z0-9_][\w.-]{0,253})"
_HOST = rf"(?P<host>{_H})"
_PORT = r"(?P<port>\d{1,5})(?!\w)"
_ID = r"[\w.$-]{1,128}"
_SIGN = r"(?: ?[:=] ?)"
_CLUSTER = ("kubectl", "helm", "oc ", "k9s", "stern", "istioctl", "argocd", "kubernetes", "k8s")

URI = _form(
    r"(?<![a-z0-9])(?:jdbc:)?(?P<scheme>[a-z][a-z0-9+.-]{1,20}):(?:thin:@)?//"
    r"(?:(?P<user>[^\s/:@\"'<>]{0,200})(?::[^\s/@\"'<>]{0,200})?@)?"
    rf"{_HOST}?(?::{_PORT})?(?P<more>(?:,{_H}(?::\d{{1,5}})?){{0,20}})(?P<rest>[/;][^\s\"'<>`)\]}}|]{{0,1000}})?",
    "://",
)
ENDPOINT = _form(rf"(?<![\w.:/@-]){_HOST}:{_PORT}(?!:\d|\.\d)", ":")
FORMS = (
    # Java writes a resolved address as name/number:port.
    _form(rf"(?<![\w./:@-])(?P<host>[a-z0-9_][\w.-]{{0,253}})/\d{{1,3}}(?:\.\d{{1,3}}){{3}}:{_PORT}", "/"),
    _form(rf"server at \"{_HOST}\"(?: \([\w.:]{{1,60}}\))?,? ?port {_PORT}", "server at "),
    _form(
        rf"\b(?:host|server|address|instance)(?:name)? ?[\"'`]{_HOST}[\"'`](?:,? ?port {_PORT})?",
        "host",
        "server",
        "address",
        "instance",
    ),
    _form(
        rf"\b(?:host|hostname|hostaddr|server|data source|endpoint|broker|address|addr){_SIGN}[\"']?{_HOST}"
        rf"(?:(?::|[\"',; ]{{1,3}}port{_SIGN}){_PORT})?(?![\w(])",
        "host",
        "server",
        "source",
        "endpoint",
        "broker",
        "addr",
        quoted=False,
    ),
    _form(rf"\bserver on [\"'`]{_HOST}(?::{_PORT})?[\"'`]", "server on "),
    _form(
        rf"\b(?:enotfound|eai_again|lookup|unknown ?host(?:exception)?:?|resolve host(?:name)?:?|host name"
        rf"|service not known:|resolve address of|resolve|to host) [\"'`]?{_HOST}[\"'`]?(?: port:? {_PORT})?",
        "enotfound",
        "eai_again",
        "lookup",
        "unknown",
        "resolve",
        "host",
        "not known",
        quoted=False,
    ),
    _form(rf"\bconnect(?:ion|ing)? to {_HOST},? (?:on )?port:? {_PORT}", "connect"),
    _form(
        r"\bconnect(?:ion|ing)? to [\"'`]?"
        r"(?P<host>\d{1,3}(?:\.\d{1,3}){3}|[\w-]{1,63}(?:\.[\w-]{1,63}){1,10})(?!:\d)",
        "connect",
        quoted=False,
    ),
    _form(r"(?<![a-z])port[\"']?(?: ?[:=] ?| )[\"']?(?P<port>\d{2,5})(?!\w|\.\d)", "port"),
    _form(rf"\bdatabase {_SIGN}?[\"'`](?P<database>[^\"'`\n]{{1,128}})[\"'`]", "database"),
    _form(
        rf"\b(?:database|dbname|db_name|initial catalog|databasename)[\"']?{_SIGN}[\"']?(?P<database>{_ID})",
        "database",
        "dbname",
        "db_name",
        "catalog",
        quoted=False,
    ),
    _form(
        rf"\b(?:role|user|username|login)(?: for)?{_SIGN}? ?[\"'`](?P<user>[^\"'`\n@]{{1,128}})[\"'`]",
        "role",
        "user",
        "login",
    ),
    _form(
        rf"\b(?:user|username|user id|uid|pguser|db_user){_SIGN}(?P<user>[\w.$@-]{{1,128}})(?![\w(])",
        "user",
        "uid",
        quoted=False,
    ),
    _form(r"(?<!\S)(?:-U|--user(?:name)?)[ =](?P<user>[\w.$@-]{1,128})", "-u", "--user"),
    _form(rf"(?<!\S)-n[ =](?P<namespace>{_ID})", "-n", line=_CLUSTER),
    _form(rf"--namespace[= ][\"']?(?P<namespace>{_ID})", "--namespace"),
    _form(rf"\bnamespace[\"']?{_SIGN}?[ ]?[\"'`](?P<namespace>{_ID})[\"'`]", "namespace"),
    _form(rf"\bnamespace[\"']?(?:{_SIGN}| )(?P<namespace>{_ID})", "namespace", quoted=False),
    _form(rf"\bin (?:the )?[\"'`]?(?P<namespace>{_ID})[\"'`]? namespace", "namespace", quoted=False),
    _form(
        r"\bcontainer(?:[_ ]name)?[\"']?(?:s?:)? ?[:=]? ?(?:named |name )?"
        r"[\"'`]/?(?P<container>[\w.-]{1,128})[\"'`]",
        "container",
    ),
    _form(
        r"\bcontainer(?:[_-]?name)?(?: ?[:=] ?| )/?(?P<container>[\w.-]{1,128})(?![\w(/])",
        "container",
        quoted=False,
    ),
    _form(
        r"\bdocker (?:container )?(?:logs|exec|start|stop|restart|inspect|rm|kill|port|top|stats|attach|wait)"
        r"(?: -{1,2}[\w=-]{1,40}){0,6} (?P<container>[\w.-]{1,128})",
        "docker ",
    ),
    _form(rf"(?<!\S)-c[ =](?P<container>{_ID})", "-c", line=("kubectl", "oc ")),
    _form(r"\b(?:s3|s3a|s3n|gs)://(?P<bucket>[\w.-]{3,63})", "://"),
    _form(r"\barn:aws[\w-]{0,10}:s3:::(?P<bucket>[\w.-]{3,63})", "arn:aws"),
    _form(r"\bbucket(?:[_ ]?name)?[\"']?(?: ?[:=] ?| )[\"'`](?P<bucket>[\w.-]{3,63})[\"'`]", "bucket"),
    _form(r"\bbucket(?:[_ ]?name)?(?: ?[:=] ?| )(?P<bucket>[\w.-]{3,63})(?![\w(/])", "bucket", quoted=False),
    _form(
        r"\b(?P<bucket>[a-z0-9][\w.-]{1,61}[a-z0-9])\.s3(?:[.-][a-z0-9-]{5,20})?\.amazonaws\.com",
        ".amazonaws.",
    ),
    _form(
        r"(?<![\w-])(?P<region>(?:us|eu|ap|sa|ca|me|af|il|mx|cn)-(?:gov-|iso[a-z]?-)?"
        r"(?:north|south|east|west|central|northeast|northwest|southeast|southwest)-\d)(?![\w-]?\d)",
        "-",
    ),
    _form(
        r"(?<![\w-])(?P<region>(?:us|europe|asia|australia|northamerica|southamerica|africa|me)-"
        r"(?:north|south|east|west|central|northeast|southeast|southwest)\d{1,2})(?![0-9])",
        "-",
    ),
    _form(
        r"\b(?:region|location)(?: ?[:=] ?| )[\"'`](?P<region>[a-z][a-z0-9-]{4,30})[\"'`]",
        "region",
        "location",
    ),
    _form(r"\bregion ?[:=] ?(?P<region>[a-z]{4,20}\d?)\b(?![-(])", "region", quoted=False),
    _form(r"\bunix:/{0,2}(?P<path>/[\w./@+-]{1,250}\w)", "unix:"),
    _form(r"[\"'`](?P<path>/[^\"'`\n:*?<>|]{1,254})[\"'`]", "/"),
    _form(r"(?<![\w/.:@~\"'`<\[-])(?P<path>(?:/[\w.@+-]{1,100}){2,30})", "/"),
    _form(r"(?<!\w)(?P<path>[a-z]:\\[\w.@+ \\-]{1,250}\w)", ":\\"),
)
