"""What the surroundings of a name, word or port say about how much it proves."""

import re
from ipaddress import ip_address

from warroom_mcp.analyzer.subject import Subject

# Signs of a connection on the same line as a port.
_CONNECTION = re.compile(
    r"connect|refused|timed? ?out|unreachable|no route|econn|ehost|enet|reset by peer|broken pipe|dial|tcp"
    r"|socket|broker|bootstrap|endpoint|upstream|listen|://|handshake"
    r"|연결|접속|接続|连接|連接|verbindung|connexi|conexi|подключ"
)
_HOST = re.compile(r"\[[0-9a-f:.]{2,45}(?:%\w{1,16})?\]|[a-z0-9_](?:[\w.-]{0,252}[a-z0-9_])?")
_HOST_BACKWARDS = re.compile(r"\][\w.:%]{2,64}\[|[\w.-]{1,254}")
_PORT_BEFORE = re.compile(r"(?<![a-z])ports?[\"']?(?: ?[:=] ?| )[\"']?$")
_ADDRESS_BEFORE = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|localhost)(?:,|[ \t]{1,2})$")
_FILE_ENDING = re.compile(
    r"\.(?:[cm]?[jt]sx?|py|rb|go|rs|java|kt|scala|php|cs|cc?|cpp|h|hpp|swift|vue|ex|exs|sql|ya?ml|json|toml|xml"
    r"|html?|css|md|txt|log|conf|cfg|ini|sh|lua|pl|tf|gradle)$"
)

_SOURCE_PLACE = re.compile(r"\.(?:rs|go|cs|java|kt|swift|cc?|cpp)(?::\d{1,6}:\d{1,4}|\(\d{1,6},\d{1,4}\))")
_CODE_HOSTS = (".com/", ".org/", ".io/", ".dev/", ".net/")

# Behind or before a word that names a technology and is ordinary English as well.
_NOUN_AFTER = re.compile(
    r"[\"'`]?[ \t_-]{0,2}(?:v?\d+[.\d]*|api|apis|app|server|servers|service|cluster|client|agent|token"
    r"|version|workspace|database|db|dashboard|issues?|tickets?|boards?|channels?|pages?|build|runtime|process(?:es)?"
    r"|module|modules|worker|workers|container|deployment|plugin|webhook|integration|sdk|cli|bot|instance|daemon"
    r"|binary|program|project|pipeline|job|jobs|queue|exporter|script|error|errors|connection|driver|operator"
    r"|controller|proxy|gateway|secrets?|seal(?:ed)?|playbooks?|monitors?|alerts?|events?|files?|documents?)\b"
)
_COMMAND_BEFORE = re.compile(r"(?:^|\n|[$#>`|;&(\[] ?|\bsudo |\brun |\bexec )$")
_SIGN_AFTER = re.compile(r"[\"'`)\]]{0,2}(?::(?!\d)|\[\d+\]:|@\d|==\d|[-.](?:service|cli|agent|server)\b)")
_WITH_BEFORE = re.compile(
    r"\b(?:in|on|to|from|via|with|using|our|my|the|connect|query|deploy|deployed|inside|against|of|into|for)"
    r" [\"'`]?$"
)

_GOES_WRONG = re.compile(r"error|fail|exception|refused|denied|timeout|cannot|not found|panic|fatal|crash")


def is_connection(subject: Subject, start: int, end: int) -> bool:
    """Whether digits are the port of a connection (`host:port`, `port 5432`), not a line or a time."""
    before = subject.lowered[max(0, start - 300) : start]
    after = subject.lowered[end : end + 8]
    near = before[-24:]
    if before[-1:].isalnum() or re.match(r"[a-z0-9_]|[.:,]\d", after):
        return False
    if _PORT_BEFORE.search(near) or after.startswith(("/tcp", "/udp")):
        return True
    if before.endswith(":"):
        host = _host_at_the_end(before[:-1])
        return host is not None and speaks_of_host(subject, host, start, end)
    return _ADDRESS_BEFORE.search(near) is not None


def _host_at_the_end(before: str) -> str | None:
    # Read backwards, since a search that is anchored at the end tries every place before it.
    reversed_host = _HOST_BACKWARDS.match(before[::-1])
    host = reversed_host[0][::-1] if reversed_host else ""
    return host if _HOST.fullmatch(host) else None


def speaks_of_host(subject: Subject, host: str, start: int, end: int) -> bool:
    """Whether what stands before `:digits` is a host here: an address, or a name beside a connection."""
    if host == "localhost" or is_address(host):
        return True
    # The time 10:22:53 or a place in a source file, main.py:8080
    if not re.search(r"[a-z]", host) or _FILE_ENDING.search(host):
        return False
    return _CONNECTION.search(subject.around(start, end)) is not None


def is_address(host: str) -> bool:
    """Whether it is an IP address, with or without brackets and zone."""
    if host[:1].isalpha() and ":" not in host:
        return False  # quicker than asking
    try:
        ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


def is_file_name(host: str) -> bool:
    """Whether a name that could be a host ends like a source or configuration file."""
    return _FILE_ENDING.search(host.lower()) is not None


def is_compiled(subject: Subject, start: int, end: int) -> bool:
    """Whether an error is a compiler's: its line or the next one names the place in a source file."""
    first, last = subject.line(start, end)
    last = subject.line(last + 1, last + 1)[1] if last < len(subject.lowered) else last
    return _SOURCE_PLACE.search(subject.lowered, first, last) is not None


def name_share(subject: Subject, start: int, end: int) -> float:
    """How much of its weight a name keeps: all as a word, less inside of a path or an import."""
    lowered = subject.lowered
    before, after = lowered[start - 1 : start], lowered[end : end + 5]
    if after in _CODE_HOSTS or after[:4] in _CODE_HOSTS:
        # github.com/owner/package in an import or a frame says where code comes from, not what failed.
        return 1.0 if before in ("/", "@", ".") else 0.3
    if is_file_ending(subject, start, end):
        return 0.33
    inside_name = before == "_" or after.startswith("_")
    member = after[:1] == "." and after[1:2].isalpha() and before not in ("/", "@", ".")
    inside_path = after.startswith("/") or (before in ("/", "\\") and lowered[start - 2 : start] != "//")
    return (0.67 if inside_name else 1.0) * (0.67 if member else 1.0) * (0.6 if inside_path else 1.0)


def is_file_ending(subject: Subject, start: int, end: int) -> bool:
    """Whether it is the ending of a file's name, as in Main.java and main.go."""
    before, after = subject.lowered[max(0, start - 2) : start], subject.lowered[end : end + 1]
    return before[-1:] == "." and before[:1].isalnum() and after != "."


def is_technical(subject: Subject, start: int, end: int, *, proper: bool) -> bool:
    """Whether an ordinary English word stands where it must be the technology of that name.

    `proper` tells that the word is the technology's name, so that a capital letter says something.
    """
    before, after = subject.lowered[max(0, start - 24) : start], subject.lowered[end : end + 24]
    if _NOUN_AFTER.match(after) or _SIGN_AFTER.match(after):
        return True
    capital = proper and subject.text[start : start + 1].isupper()
    if capital and before.endswith(" ") and not before.rstrip().endswith((".", "!", "?", ":")):
        return True
    if capital and _WITH_BEFORE.search(before):
        return True
    return bool(_COMMAND_BEFORE.search(before)) and _GOES_WRONG.search(subject.around(start, end)) is not None


_PROCESS_AFTER = re.compile(r"\[\d{1,8}\][:\s]|: |\.service\b|\)(?:,| total-vm)|d\[\d")
_PROCESS_BEFORE = re.compile(
    r"(?:process(?:es)?|daemon|task|comm[=:]|unit|exe[=:]|service|started|starting|killed"
    r"|pid[ =:]{1,2}\d{1,8})"
    r"[ \"'=(\d]{0,14}$|\($|bin/$"
)


def is_process(subject: Subject, start: int, end: int) -> bool:
    """Whether a process is spoken of, as syslog, `ps`, systemd and the kernel do."""
    before, after = subject.lowered[max(0, start - 40) : start], subject.lowered[end : end + 12]
    return _PROCESS_AFTER.match(after) is not None or _PROCESS_BEFORE.search(before) is not None
