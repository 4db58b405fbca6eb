"""The receiver takes one answer, from the one page it waits for, and tells everybody else to go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlencode, urlsplit

import anyio
import pytest
from anyio import to_thread

from tests.standins.authorization import visit
from warroom_mcp.errors import AuthorizationFailed
from warroom_mcp.manager.oauth.callback import MAX_REQUEST, Callback, receiving

STATE = "s" * 43


@pytest.fixture
async def callback() -> AsyncIterator[Callback]:
    with anyio.fail_after(20):
        async with receiving() as callback:
            callback.expect(STATE)
            yield callback


async def send(callback: Callback, head: bytes) -> bytes:
    """What comes back for raw bytes."""
    port = urlsplit(callback.url).port
    assert port is not None
    answer = b""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(head)
        try:
            while True:
                answer += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return answer


async def bring(callback: Callback, **fields: str) -> int:
    """The status that a browser gets for an answer."""
    page = await to_thread.run_sync(visit, f"{callback.url}?{urlencode(fields)}")
    return page.status


async def test_the_answer_is_taken_once(callback: Callback) -> None:
    assert await bring(callback, code="c", state=STATE, iss="https://a.example") == 200
    answer = await callback.answer()
    assert (answer.code, answer.state, answer.issuer) == ("c", STATE, "https://a.example")
    assert await bring(callback, code="d", state=STATE) == 410
    assert (await callback.answer()).code == "c"
    assert "'c'" not in repr(answer)
    assert STATE not in repr(answer)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"code": "c", "state": "x"}, "another state"),
        ({"code": "c"}, "another state"),
        ({"code": "c", "state": STATE + "\u00e4"}, "another state"),
        ({"state": STATE}, "brought no code"),
        ({"state": STATE, "code": ""}, "brought no code"),
        ({"state": STATE, "error": "access_denied"}, "answered access_denied"),
        ({"state": STATE, "error": "\x1b[31mrm -rf"}, "answered an error"),
    ],
)
async def test_what_is_no_answer_ends_the_waiting(
    callback: Callback, fields: dict[str, str], words: str
) -> None:
    await bring(callback, **fields)
    with pytest.raises(AuthorizationFailed, match=words):
        await callback.answer()
    assert await bring(callback, code="c", state=STATE) == 410


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
        b"GET {path}x?code=c&state={state} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        b"POST {path}?code=c&state={state} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        b"GET {path}?code=c&state={state} HTTP/1.1\r\nHost: rebound.example\r\n\r\n",
        b"GET {path}?code=c&state={state} HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n",
        b"GET {path}?code=c&state={state} HTTP/1.1\r\n\r\n",
        b"GET http://{host}{path}?code=c&state={state} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"\r\n\r\n",
    ],
)
async def test_whoever_else_comes_changes_nothing(callback: Callback, head: bytes) -> None:
    parts = urlsplit(callback.url)
    for name, value in {"host": parts.netloc, "path": parts.path, "state": STATE}.items():
        head = head.replace(f"{{{name}}}".encode(), value.encode())
    assert (await send(callback, head)).split()[1] in (b"400", b"404", b"405")
    assert await bring(callback, code="c", state=STATE) == 200


async def test_a_visitor_who_says_too_much_is_shown_out(callback: Callback) -> None:
    head = b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * MAX_REQUEST
    assert await send(callback, head) == b""
    assert await bring(callback, code="c", state=STATE) == 200


async def test_a_visitor_who_says_nothing_is_in_nobodys_way(callback: Callback) -> None:
    port = urlsplit(callback.url).port
    assert port is not None
    async with await anyio.connect_tcp("127.0.0.1", port):
        assert await bring(callback, code="c", state=STATE) == 200


async def test_nothing_is_taken_before_it_is_expected() -> None:
    with anyio.fail_after(20):
        async with receiving() as callback:
            assert await bring(callback, code="c", state="") == 410
            callback.expect(STATE)
            assert await bring(callback, code="c", state=STATE) == 200


async def test_it_is_closed_at_the_end_and_what_is_raised_inside_comes_out_as_it_is() -> None:
    with anyio.fail_after(20):
        with pytest.raises(LookupError):
            async with receiving() as callback:
                raise LookupError
        with pytest.raises(OSError):
            await send(callback, b"")
