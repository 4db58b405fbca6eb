"""Which addresses from the outside are acceptable: https, and plain http only on loopback.

Text checks only, nothing is resolved here. Over https a name that resolves to an inner address gains
nothing, because the inner service cannot prove the outer name; who connects to a remote server for a
session resolves and pins the address itself.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\Z")
# The forms that C resolvers read as IPv4 although they are not dotted decimal: 0x7f.1, 017700000001, 127.1.
_NUMERIC_LABEL = re.compile(r"(?:0x[0-9a-f]*|\d+)\Z")
_INNER_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_SERVER_URL = re.compile(r"https?://[A-Za-z0-9\-._~:/?\[\]@=&%+,]+")
MAX_URL = 2048


def split_url(url: str) -> SplitResult | None:
    """The parts of an absolute http(s) URL, or None for anything else, credentials and odd bytes included."""
    if not 0 < len(url) <= MAX_URL or not url.isascii() or not url.isprintable():
        return None
    if any(character in url for character in ' "<>\\^`{}|'):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return None if "@" in parts.netloc else parts


def address_problem(url: str) -> str | None:
    """Why a URL cannot be the address of a server that is given secrets, or None when it can.

    Stricter than RFC 3986: quotes, `$`, `;`, `|` and parentheses have no place in it.
    """
    parts = split_url(url)
    if parts is None or not _SERVER_URL.fullmatch(url):
        return "only http addresses of ordinary characters, without a user name or password, are"
    host = parts.hostname or ""
    if parts.port == 0 or not (_HOST.match(host.lower()) or is_address(host)):
        return "its host is not a host name"
    if parts.scheme == "http" and not is_loopback(host):
        return "it is not encrypted (https); plain http is for this machine only"
    return None


def is_address(host: str) -> bool:
    """Whether the host is an IP address, as written."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether the host, as written, is this machine, by name or address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public(host: str) -> bool:
    """Whether the host may be a public one: a global address, or a name outside of the inner suffixes."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _is_public_name(host)
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return (mapped or address).is_global and not address.is_multicast


def _is_public_name(host: str) -> bool:
    if not _HOST.match(host) or "." not in host or host.endswith(_INNER_SUFFIXES):
        return False
    return _NUMERIC_LABEL.match(host.rsplit(".", 1)[-1]) is None


def is_acceptable(url: str, *, loopback: bool) -> bool:
    """Whether a URL from the outside may be used: https to a public host, or this machine if `loopback`."""
    parts = split_url(url)
    if parts is None or parts.hostname is None:
        return False
    if is_loopback(parts.hostname):
        return loopback
    return parts.scheme == "https" and is_public(parts.hostname)


def may_redirect(origin: str, target: str) -> bool:
    """Whether an answer from `origin` may send the client on to `target`.

    The same host is trusted as the operator configured it, but never from https down to http; another
    host has to be public and https, or on loopback when the origin is.
    """
    here, there = split_url(origin), split_url(target)
    if here is None or there is None:
        return False
    if here.scheme == "https" and there.scheme != "https":
        return False
    if here.hostname == there.hostname:
        return there.scheme == "https" or is_loopback(there.hostname or "")
    return is_acceptable(target, loopback=is_loopback(here.hostname or ""))
