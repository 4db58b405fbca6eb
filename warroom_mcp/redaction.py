"""Takes secrets out of text before it is stored, logged or shown: `[redacted:KIND]` stands in their place.

Three ways to see a secret: by its own shape (`ghp_...`, a JWT), by the name it is assigned to
(`password=`, `"api_key": "..."`), by the place it stands in (an Authorization header, the userinfo of a
URL, an option of a command). Every expression runs in linear time and only when a literal that it
cannot do without occurs in the text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

_MARK = "[redacted:"
# A replacement can bring two parts of a secret together; passes go on until nothing new is found.
_MAX_PASSES = 8


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without its secrets, and how many were taken out."""

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class _Secret:
    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class _Shape:
    """An expression whose group 1 is the secret, run only if one of the `triggers` is in the text."""

    kind: str
    triggers: tuple[str, ...]
    expression: str
    lowered: bool = False


def redact(text: str) -> Redacted:
    """Replace every secret in `text` by `[redacted:KIND]`; doing so again changes nothing."""
    count = 0
    for _ in range(_MAX_PASSES):
        secrets = _merge(_find(text))
        if not secrets:
            break
        count += len(secrets)
        text = _replace(text, secrets)
    return Redacted(text, count)


def _find(text: str) -> list[_Secret]:
    lowered = _lower(text)
    found: list[_Secret] = []
    for shape in _SHAPES:
        subject = lowered if shape.lowered else text
        if any(trigger in subject for trigger in shape.triggers):
            found.extend(
                _Secret(*match.span(1), shape.kind)
                for match in _compiled(shape.expression).finditer(subject)
                if not _is_placeholder(match.group(1))
            )
    for finder in _FINDERS:
        found.extend(finder(text, lowered))
    return found


def _merge(secrets: list[_Secret]) -> list[_Secret]:
    """Overlapping secrets become one, named after the one that starts first."""
    merged: list[_Secret] = []
    for secret in sorted(secrets, key=lambda each: (each.start, -each.end)):
        if merged and secret.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = _Secret(last.start, max(last.end, secret.end), last.kind)
        elif secret.end > secret.start:
            merged.append(secret)
    return merged


def _replace(text: str, secrets: list[_Secret]) -> str:
    parts: list[str] = []
    position = 0
    for secret in secrets:
        parts += (text[position : secret.start], f"{_MARK}{secret.kind}]")
        position = secret.end
    parts.append(text[position:])
    return "".join(parts)


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


def _lower(text: str) -> str:
    # One character (a Turkish capital) lowers to two; positions must stay those of the text.
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text.replace("\u0130", "i").lower()


_PLACEHOLDER = re.compile(r"\[redacted:[a-z0-9-]+\]?[\s;,.\"'\\]*")


def _is_placeholder(value: str) -> bool:
    return _PLACEHOLDER.fullmatch(value.lstrip("\"' ")) is not None


# --- by shape and by place ---------------------------------------------------------------------

# A token begins where no word runs on, or behind an escaped line break inside of a JSON string.
_EDGE = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))"


def _token(kind: str, trigger: str, rest: str) -> _Shape:
    """A token that begins with the literal `trigger`."""
    return _Shape(kind, (trigger,), f"{_EDGE}({re.escape(trigger)}{rest})")


_SHAPES: tuple[_Shape, ...] = (
    _Shape(
        "private-key",
        ("PRIVATE KEY",),
        r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:\s*Proc-Type: ?4,ENCRYPTED\s*DEK-Info: ?[A-Z0-9-]{1,40},[0-9A-F]{1,64})?"
        r"[A-Za-z0-9+/=\s\\]*(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?)",
    ),
    _Shape("jwt", ("eyJ",), _EDGE + r"(eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*){1,3})"),
    _Shape("aws-access-key", ("AKIA", "ASIA"), _EDGE + r"(A[KS]IA[A-Z0-9]{16})(?![A-Za-z0-9])"),
    _Shape(
        "github-token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        _EDGE + r"(gh[pousr]_[A-Za-z0-9]{20,})",
    ),
    _token("github-token", "github_pat_", r"\w{20,}"),
    _Shape(
        "gitlab-token",
        ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "gloas-", "glsoat-"),
        _EDGE + r"(gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-[\w-]{16,})",
    ),
    _Shape("slack-token", ("xox",), _EDGE + r"(xox[abceoprs]-[\w-]{10,})"),
    _token("slack-token", "xapp-", r"[\w-]{10,}"),
    _Shape(
        "webhook",
        ("hooks.slack.com/",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([\w/-]{10,})",
    ),
    _Shape("webhook", ("/api/webhooks/",), r"discord(?:app)?\.com/api/webhooks/(\d{5,}/[\w-]{20,})"),
    _Shape("webhook", (".webhook.office.com/",), r"\.webhook\.office\.com/\w+/([\w@/-]{20,})"),
    _Shape(
        "stripe-key",
        ("_live_", "_test_"),
        _EDGE + r"((?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,})",
    ),
    _token("stripe-key", "whsec_", r"[A-Za-z0-9+/=]{16,}"),
    _token("anthropic-key", "sk-ant-", r"[\w-]{16,}"),
    _Shape("openai-key", ("sk-",), _EDGE + r"(sk-(?!ant-)(?:proj-|svcacct-|admin-|or-v1-)?[\w-]{20,})"),
    _token("npm-token", "npm_", r"[A-Za-z0-9]{30,}"),
    _token("pypi-token", "pypi-", r"[\w-]{32,}"),
    _token("google-key", "AIza", r"[\w-]{30,}"),
    _token("google-token", "ya29.", r"[\w.-]{20,}"),
    _token("google-secret", "GOCSPX-", r"[\w-]{20,}"),
    _token("sendgrid-key", "SG.", r"[\w-]{16,}\.[\w-]{16,}"),
    _Shape("twilio-key", ("SK",), _EDGE + r"(SK[0-9a-f]{32})(?![A-Za-z0-9])"),
    _Shape("telegram-token", (":AA",), r"(?<!\d)(\d{8,11}:AA[\w-]{32,})"),
    _Shape(
        "discord-token",
        ("M", "N", "O"),
        _EDGE + r"([MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,})",
    ),
    _token("digitalocean-token", "dop_v1_", r"[0-9a-f]{32,}"),
    _token("huggingface-token", "hf_", r"[A-Za-z0-9]{30,}"),
    _token("databricks-token", "dapi", r"[0-9a-f]{32}(?:-\d)?"),
    _Shape("vault-token", ("hvs.", "hvb.", "hvr."), _EDGE + r"(hv[sbr]\.[\w-]{20,})"),
    _Shape("terraform-token", (".atlasv1.",), _EDGE + r"([A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,})"),
    _token("linear-key", "lin_api_", r"\w{20,}"),
    _token("notion-token", "ntn_", r"[A-Za-z0-9]{30,}"),
    _Shape("grafana-token", ("glsa_", "glc_"), _EDGE + r"(gl(?:sa|c)_[\w=]{20,})"),
    _token("newrelic-key", "NRAK-", r"[A-Z0-9]{20,}"),
    _Shape("sentry-token", ("sntrys_", "sntryu_"), _EDGE + r"(sntry[su]_[\w=+/]{20,})"),
    _token("supabase-token", "sbp_", r"[0-9a-f]{32,}"),
    _Shape(
        "shopify-token", ("shpat_", "shpss_", "shpca_", "shppa_"), _EDGE + r"(shp(?:at|ss|ca|pa)_\w{20,})"
    ),
    _token("atlassian-token", "ATATT3", r"[\w=-]{30,}"),
    _token("docker-token", "dckr_pat_", r"[\w-]{20,}"),
    _token("figma-token", "figd_", r"[\w-]{20,}"),
    _token("postman-key", "PMAK-", r"[\w-]{20,}"),
    _token("doppler-token", "dp.pt.", r"[A-Za-z0-9]{30,}"),
    _token("rubygems-key", "rubygems_", r"[0-9a-f]{32,}"),
    _token("replicate-token", "r8_", r"[A-Za-z0-9]{30,}"),
    _token("groq-key", "gsk_", r"[A-Za-z0-9]{30,}"),
    _token("age-key", "AGE-SECRET-KEY-1", r"[A-Z0-9]{20,}"),
    _Shape(
        "password-hash", ("$2", "$6$", "$5$", "$argon2"), r"(\$(?:2[aby]|5|6|argon2id?)\$[\w./,=+$-]{20,})"
    ),
    # The place: userinfo of a URL. The password reaches to the last @ before the path.
    _Shape(
        "password",
        ("://",),
        r"://(?!\[redacted:)[^\s/:@\"'<>]{0,200}:(?!\d{1,5}/)([^\s/\"'<>@]+(?:@[^\s/\"'<>@]+)*)@(?=[\w\[.-])",
    ),
    _Shape("url-credential", ("://",), r"://([A-Za-z0-9_-]{20,})@(?=[\w.-])"),
    _Shape(
        "authorization",
        ("authorization",),
        r"authorization\\?[\"']?\s{0,3}(?:=>|[:=])\s{0,3}\\?[\"']?\s?"
        r"(?:(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256|key)\s{1,3})?([^\s\"'\\][^\n\"'\\]*)",
        lowered=True,
    ),
    _Shape("authorization", ("bearer ",), r"(?<![a-z])bearer {1,3}([\w.~+/=-]{16,})", lowered=True),
    _Shape("authorization", ("basic ",), r"(?<![a-z])basic {1,3}([a-z0-9+/]{10,}={1,2})", lowered=True),
    _Shape(
        "cookie",
        ("cookie",),
        r"(?<![a-z0-9])(?:set-)?cookie2?\\?[\"']?\s{0,3}(?:=>|[:=])\s{0,3}\\?[\"']?"
        r"([^\s\"'\\=;]{1,200}=[^\n\"'\\]*)",
        lowered=True,
    ),
    _Shape(
        "signature",
        ("sig=", "signature="),
        r"[?&](?:sig|x-amz-signature|x-goog-signature|signature)=([\w%+/=-]{10,})",
        True,
    ),
    _Shape("azure-key", ("key=",), r"(?:account|sharedaccess)key=([a-z0-9+/=]{16,})", lowered=True),
    # Options of commands.
    _Shape(
        "password",
        ("mysql", "mariadb"),
        r"(?<!\w)(?:mysql|mariadb)(?:dump|admin|import|show|check|binlog)?\b"
        r"[^\n|;]{0,300}?\s-p ?([^\s<>|;&\"'-][^\s\"'|;&]*)",
        lowered=True,
    ),
    _Shape(
        "password",
        ("sshpass", "mongo", "docker login", "redis-cli", "ldapsearch"),
        r"(?:sshpass|mongo(?:sh|dump|restore|export|import)?|docker login|podman login|redis-cli|ldapsearch)"
        r"\b[^\n|;]{0,300}?\s-[paw] {0,2}[\"']?([^\s<>|;&\"'-][^\s\"'|;&]*)",
        lowered=True,
    ),
    _Shape(
        "password",
        ("curl", "wget"),
        r"curl\b[^\n|;]{0,300}?\s(?:-u|--user)[ =]{0,2}[\"']?[^\s:\"']{1,100}:([^\s\"']+)",
        True,
    ),
    _Shape(
        "password",
        ("login ", "password '", 'password "', "identified by"),
        r"(?:\blogin \S{1,100}\s{1,3}password {1,3}[\"']?|\bpassword {1,3}(?=')'|"
        r"\bidentified (?:with \S{1,40} )?by (?:password )?[\"'])([^\s\"']+)",
        lowered=True,
    ),
    _Shape(
        "secret",
        ("--",),
        r"--(?:[a-z-]{0,20}-)?(?:password|passwd|passphrase|secret|token|api-?key|access-key|secret-key)[ =]"
        r"{1,2}[\"']?([^\s\"'\-][^\s\"']*)",
        lowered=True,
    ),
)


# --- by name: what is assigned to password, token, api_key -------------------------------------

# Names whose value is a secret whatever it looks like.
_SURE = (
    r"pass(?:word|wd|phrase|code)|(?<![a-z])pass|_pass|pwd|"
    r"api[_-]?key|apikey|access[_-]?key|secret[_-]?key|private[_-]?key|account[_-]?key|signing[_-]?key|"
    r"encryption[_-]?key|client[_-]?secret|secret[_-]?access[_-]?key|"
    r"[_-](?:token|secret)|(?:auth|access|refresh|session|bearer|id|security|csrf)token|"
    r"client-key-data|connectionstring"
)
# Names that ordinary sentences use too ("Unexpected token: }"): the value has to look like a secret.
_MAYBE = r"secret|token|credentials?|auth|signature|salt"

_NAME = re.compile(
    rf"(?:(?P<sure>{_SURE})|(?P<maybe>{_MAYBE}))(?:[_-]?(?:value|base64|b64|[0-9]))?"
    r"\\{0,3}[\"'`]?\]?[ \t]{0,3}(?P<sign>=>|:=|==?|:(?!:|//))[ \t]{0,3}"
)
_NAME_TRIGGERS = (
    "pass",
    "pwd",
    "key",
    "secret",
    "token",
    "credential",
    "auth",
    "signature",
    "salt",
    "connectionstring",
)

_VALUE = re.compile(
    r"(?P<open>\\{1,3}[\"'])(?P<escaped>[^\"'\\\n]{1,4000})"
    r"|\"(?P<double>(?:[^\"\\\n]|\\.){1,4000})\"?"
    r"|'(?P<single>(?:[^'\\\n]|\\.){1,4000})'?"
    r"|(?P<plain>(?:[^\s\"'&;,<>)}\]\\]|,(?!\s|\w{1,30}=))(?:[^\s\"'&;,<>\]})]|,(?!\s|\w{1,30}=|$)|\](?=\w))*)"
)

# From this many characters on a value is not searched for further names, whatever it is.
_LONG = 200

# Values that stand for a secret without being one, or say that it is absent.
_INNOCENT = re.compile(
    r"yes|no|true|false|null|none|nil|undefined|empty|missing|required|invalid|incorrect|wrong|expired|denied|"
    r"failed|not|is|was|must|cannot|unset|set|unknown|redacted|hidden|masked|string|str|optional|"
    r"authentication|\*+|x{3,}|\.{3,}|-+|\$\{[^}]*\}?|\$[A-Z_][A-Z0-9_]*|%[A-Za-z_]+%|\{\{.*|<.*|"
    r"(?:process\.env|os\.environ|os\.getenv|env|secrets|var|vars|local|data|config|settings|self|this)[.\[(].*|"
    r"(?:keyring|env|file|vault|op):.*",
    re.IGNORECASE,
)
_PATH_LIKE = re.compile(r"(?:[/~]|[A-Za-z]:\\)")
_LOOKS_SECRET = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])\S{8,}|[A-Za-z+/=_-]{24,}|[0-9]{10,}")


def _find_assigned(text: str, lowered: str) -> Iterator[_Secret]:
    if not any(trigger in lowered for trigger in _NAME_TRIGGERS):
        return
    read_to = 0
    for name in _NAME.finditer(lowered):
        if name.start() < read_to:
            continue
        value = _VALUE.match(text, name.end())
        if value is None:
            continue
        group = "escaped" if value["open"] else value.lastgroup
        if group is None:
            continue
        start, end = value.span(group)
        secret = text[start:end]
        found = _is_secret(name, secret, quoted=group != "plain")
        # Names inside of a value are part of it; this also keeps `token=token=token=...` linear.
        if found or end - start > _LONG:
            read_to = end
        if found:
            yield _Secret(start, end, _kind_of(name))


def _is_secret(name: re.Match[str], value: str, *, quoted: bool) -> bool:
    if _is_placeholder(value) or _INNOCENT.fullmatch(value):
        return False
    if name["sure"] is None:
        return _LOOKS_SECRET.fullmatch(value) is not None
    if name["sure"] == "pwd" and _PATH_LIKE.match(value):
        return False
    # "no such api key: foo bar" in prose; an assignment has = or quotes, or stands in YAML.
    if _PATH_LIKE.match(value) and "key" in name["sure"] and value.count("/") > 1 and "." in value:
        return False
    spoken = name["sign"] == ":" and not quoted and "pass" not in name["sure"] and name["sure"] != "pwd"
    return not spoken or len(value) >= 6


def _kind_of(name: re.Match[str]) -> str:
    word = name["sure"] or name["maybe"]
    for part, kind in (("pass", "password"), ("pwd", "password"), ("key", "api-key"), ("token", "token")):
        if part in word:
            return kind
    return "secret"


_FINDERS: tuple[Callable[[str, str], Iterator[_Secret]], ...] = (_find_assigned,)
