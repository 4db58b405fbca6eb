"""Which values a problem may hand to a server: plausible ones, never from a redacted part."""

import re
from ipaddress import ip_address

from warroom_mcp.analyzer.contexts import is_address, is_file_name

MAX_LENGTH = 255

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL}){{0,20}}\.?", re.IGNORECASE)
_NAME = re.compile(r"[\w.$@:/+ -]{1,255}")
_IDENTIFIER = re.compile(r"/?[a-z0-9](?:[\w.-]{0,252}\w)?", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2,}[a-z0-9-]{2,30}")
_ORDINARY = frozenset({
    "a", "an", "and", "any", "app", "apps", "are", "as", "at", "be", "build", "builds", "but", "by",
    "can", "cannot", "cluster", "command", "connection", "connections", "could", "cpu", "crash",
    "crashed", "crashes", "crashing", "create", "created", "creating", "creation", "daemon", "deploy",
    "deployment", "did", "died", "dies", "do", "does", "down", "engine", "env", "environment", "error",
    "errors", "exec", "exit", "exited", "exits", "failed", "fails", "false", "for", "from", "had",
    "has", "have", "health", "host", "hostname", "id", "if", "image", "images", "in", "insights",
    "instance", "into", "is", "it", "its", "just", "keeps", "key", "killed", "last", "level", "limit",
    "limits", "log", "logs", "may", "memory", "must", "my", "name", "named", "names", "network",
    "networks", "new", "no", "none", "not", "null", "of", "off", "on", "or", "orchestration",
    "orchestrator", "our", "out", "over", "platform", "platforms", "port", "process", "processes",
    "quota", "registry", "resource", "resources", "restart", "restarted", "restarting", "restarts",
    "root-cause", "running", "runtime", "server", "service", "services", "so", "start", "started",
    "starting", "state", "status", "stop", "stopped", "stopping", "system", "that", "the", "then",
    "this", "timed", "to", "too", "toolkit", "true", "unknown", "until", "up", "user", "users",
    "using", "via", "was", "when", "while", "will", "with", "without", "would", "you", "your",
})  # fmt: skip
# A container may well be called `app`.
_CALLED_SO = frozenset({"app", "service", "user", "log", "build", "host", "server", "deployment"})


def accept(parameter: str, value: str, *, quoted: bool) -> str | None:
    """The value as it is handed on, or None when it is not plausible for the parameter.

    `quoted` tells that the text marks it as a value: an ordinary English word is one only then.
    """
    value = value.strip()
    if not value or len(value) > MAX_LENGTH or not value.isprintable() or value.startswith("-"):
        return None
    if not quoted and value.lower() in _ORDINARY and value.lower() not in _CALLED_SO:
        return None
    check = _CHECKS.get(parameter)
    return check(value) if check else value


def _host(value: str) -> str | None:
    bare = value.strip("[]")
    if is_address(bare):
        return bare
    plausible = _HOST.fullmatch(value) and re.search(r"[a-z]", value, re.IGNORECASE)
    return value if plausible and not is_file_name(value) else None


def _port(value: str) -> str | None:
    return str(int(value)) if value.isdecimal() and len(value) <= 5 and 0 < int(value) < 65536 else None


def _name(value: str) -> str | None:
    return value if _NAME.fullmatch(value) else None


def _identifier(value: str) -> str | None:
    return value.lstrip("/") if _IDENTIFIER.fullmatch(value) else None


def _bucket(value: str) -> str | None:
    return value if _BUCKET.fullmatch(value) and ".." not in value else None


def _region(value: str) -> str | None:
    return value if _REGION.fullmatch(value) else None


def _path(value: str) -> str | None:
    return value if ".." not in value.replace("\\", "/").split("/") else None


_CHECKS = {
    "host": _host,
    "port": _port,
    "user": _name,
    "database": _name,
    "container": _identifier,
    "namespace": _identifier,
    "bucket": _bucket,
    "region": _region,
    "path": _path,
}


def is_unspecified(host: str) -> bool:
    """Whether it is an address to listen on, which nobody can connect to by name."""
    return is_address(host) and ip_address(host.partition("%")[0]).is_unspecified
