"""Addresses from outside: what is accepted is public https, or this machine where that is allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.addresses import address_problem, is_acceptable, may_redirect, split_url

REFUSED = [
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://",
    "https:///x",
    "//example.com/x",
    "example.com",
    "-https://example.com",
    "https://user:pw@example.com/",
    "https://user@example.com/",
    "https://exa mple.com/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://198.18.0.1/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[::]/",
    "https://[ff02::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[2002:a00:1::]/",
    "https://127.1/",
    "https://0177.0.0.1/",
    "https://0x7f.0.0.1/",
    "https://0x7f000001/",
    "https://2130706433/",
    "https://017700000001/",
    "https://localhost./",
    "https://intern/",
    "https://db.internal/",
    "https://printer.local/",
    "https://a.localhost/",
    "https://router.lan/",
    "https://nas.home.arpa/",
    "https://exam_ple.com/",
    "https://example..com/",
    "https://-a.com/",
    "https://example.com:99999/",
    "https://example.com\\@evil.com/",
    "https://example.com/{tenant}",
    "https://exämple.com/",
    "https://example.com/\x00",
    "https://example.com/\u202e",
]


@pytest.mark.parametrize("url", REFUSED)
def test_an_inner_or_odd_address_is_refused(url: str) -> None:
    assert not is_acceptable(url, loopback=False)
    assert not is_acceptable(url, loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://mcp.example.com:8443/sse?x=1",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
    ],
)
def test_a_public_https_address_is_accepted(url: str) -> None:
    assert is_acceptable(url, loopback=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x", "http://localhost/x", "https://[::1]/x"])
def test_this_machine_is_accepted_only_where_it_is_allowed(url: str) -> None:
    assert is_acceptable(url, loopback=True)
    assert not is_acceptable(url, loopback=False)


@pytest.mark.parametrize(
    ("origin", "target", "allowed"),
    [
        ("https://a.example/x", "https://b.example/y", True),
        ("https://a.example/x", "http://a.example/x", False),
        ("https://a.example/x", "https://127.0.0.1/x", False),
        ("https://10.0.0.5/x", "https://10.0.0.5/y", True),
        ("https://10.0.0.5/x", "https://10.0.0.6/y", False),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:2/y", True),
        ("http://127.0.0.1:1/x", "http://10.0.0.1/y", False),
        ("http://intern.example/x", "http://intern.example/y", False),
    ],
)
def test_a_redirect_stays_where_it_may(origin: str, target: str, allowed: bool) -> None:
    assert may_redirect(origin, target) is allowed


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    parts = split_url(text)
    assert parts is None or parts.scheme in ("http", "https")
    is_acceptable(f"https://{text}/", loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        *("http://mcp.example.com/", "ftp://x", "file:///etc/passwd", "javascript:alert(1)", "-x", "x", ""),
        *("https://", "https:///x", "https://user@x/", "https://u:p@x/", "https://x y/", "https://x/\n"),
        *(
            "https://x/$(id)",
            "https://x/`id`",
            "https://x/;id",
            "https://x/|id",
            "https://x/'",
            "https://x/\\",
        ),
        *(
            "https://x/#f",
            "https://x:0/",
            "https://x:99999/",
            "https://x:abc/",
            "https://[::1",
            "https://-x/",
        ),
        *(
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "http://0.0.0.0/",
            "http://10.0.0.1/",
        ),
        *(
            "https://{tenant}.example.com/",
            "https://x/{id}",
            "//x",
            "https:x",
            "HTTP://x/",
            "https://é.example",
        ),
        *(
            "http://[::ffff:10.0.0.1]/",
            "http://2130706433/",
            "https://x/" + "a" * 3000,
            "https://..",
            " https://x",
        ),
    ],
)
def test_a_server_is_not_reached_at_an_address_that_is_not_plain_https(url: str) -> None:
    assert address_problem(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://mcp.example.com/mcp?x=1",
        "http://localhost:8080/",
        "http://127.0.0.1:1/",
        "http://[::1]:9/mcp",
    ],
)
def test_a_server_is_reached_over_https_or_on_this_machine(url: str) -> None:
    assert address_problem(url) is None
