"""How bad a problem is, from the words it uses."""

import re

from warroom_mcp.analyzer.subject import Subject
from warroom_mcp.models import Severity

_CRITICAL = (
    "kernel panic", "panic:", "emergency", "[emerg]", "critical", "outage", "oomkilled",
    "out of memory", "oom-kill", "outofmemoryerror", "data loss", "corrupt", "no space left on device",
    "segmentation fault", "segfault", "core dumped", "production is down", "prod is down",
    "production down", "site is down", "everything is down", "all nodes are down", "split brain",
    "split-brain", "sev1", "sev-1", "sev0", "sev-0", "paging everyone", "장애", "宕机", "障害",
    "ausfall", "panne", "caído", "fora do ar",
)  # fmt: skip
_ERROR = (
    "error", "exception", "fatal", "fail", "refused", "denied", "timeout", "timed out", "time out",
    "cannot", "can't", "can not", "could not", "couldn't", "unable to", "econn", "enoent", "enotfound",
    "etimedout", "eacces", "traceback", "unreachable", "not found", "does not exist", "doesn't exist",
    "crash", "rejected", "unauthorized", "forbidden", "broken", "invalid", "aborted", "unavailable",
    "not responding", "does not respond", "is down", "backoff", "back-off", "evicted", "violates",
    "deadlock", "gone away", "not ready", "no such", "not working", "doesn't work", "unhealthy",
    "expired", "exceeded", "too many", "hangs", "stuck", "killed", "misconf", "noauth", "오류", "에러",
    "실패", "안 돼", "안돼", "거부", "错误", "失败", "失敗", "無法", "无法", "エラー", "できない",
    "拒否", "fehler", "fehlgeschlagen", "erreur", "échou", "impossible", "falla", "falha", "ocorreu",
    "rechazad", "ошибк", "не удалось", "не работает",
)  # fmt: skip
_WARNING = (
    "warn", "deprecat", "slow", "retrying", "degraded", "latency", "throttl", "high cpu",
    "high memory", "lagging", " lag ", "approaching", "nearly full", "almost full", "pressure", "느려",
    "慢", "遅い", "langsam", "lent", "경고",
)  # fmt: skip
_STATUS = re.compile(r"(?<![\w.])(?:http|status|code|returned|response)[a-z/.0-9 ]{0,12}[ :=]{1,3}5\d\d\b")
# "0 errors", "no failures", "without warnings": said of what did not happen.
_NONE_BEFORE = re.compile(r"(?:(?<![\d.])0|\bno|\bzero|\bwithout|\bnever|\bany) (?:\w{1,12} )?$")
# Names that hold such a word and say nothing by it: on_error, errorlevel=0, failover.
_MAX_TRIES = 50


def severity_of(subject: Subject) -> Severity:
    """The worst that the text says; nothing said is info."""
    if _says(subject.lowered, _CRITICAL):
        return Severity.CRITICAL
    if _says(subject.lowered, _ERROR) or _STATUS.search(subject.lowered):
        return Severity.ERROR
    if _says(subject.lowered, _WARNING):
        return Severity.WARNING
    return Severity.INFO


def _says(lowered: str, words: tuple[str, ...]) -> bool:
    return any(_affirmed(lowered, word) for word in words)


def _affirmed(lowered: str, word: str) -> bool:
    at = lowered.find(word)
    for _ in range(_MAX_TRIES):
        if at < 0:
            return False
        if not lowered[at - 1 : at].isalnum() and not _NONE_BEFORE.search(lowered[max(0, at - 24) : at]):
            return True
        if word.isascii() and lowered[at - 1 : at].isalpha() and word in ("exception", "error"):
            # RuntimeError, NullPointerException
            return True
        at = lowered.find(word, at + 1)
    return False
