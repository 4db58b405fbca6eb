"""The one way from the catalog to the network: bounded in time, size, depth, concurrency and retries.

Every failure ends as `SourceUnavailable` with a plain reason in `details["reason"]`, or as an older
answer from the cache with its age. httpx2 and stamina are imported with this file, and by no other of
the catalog.
"""

import email.utils
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urljoin

import anyio
import anyio.to_thread
import httpx2
import stamina
import stamina.instrumentation
from pydantic_core import from_json

from warroom_mcp.addresses import may_redirect, split_url
from warroom_mcp.catalog.cache import AnswerCache
from warroom_mcp.errors import SourceUnavailable, StateError
from warroom_mcp.settings import Settings

_logger = logging.getLogger(__name__)

# Requests at once to one host: more are not polite, fewer make eight look-ups slow.
_PER_HOST = 6
_ATTEMPTS = 3
# A copy of a whole registry is worth more patience than an answer that somebody waits for.
_PATIENT_ATTEMPTS = 8
_MAX_HOPS = 3
# A service that could not be reached or asked for patience is left alone for so long (seconds).
_REST, _LONGEST_REST = 30.0, 300.0
# Documents above this size (bytes) are parsed in a thread, so that the event loop goes on.
_PARSE_HERE = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_T = TypeVar("_T")
Reduce = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON document, None when the place says that it has no such thing.

    `age` (seconds) and `reason` are set when it is an old one, because the place gave no usable answer.
    """

    value: object
    age: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Ask:
    """What is asked for: with `missing`, 404 and 410 mean that there is no such thing."""

    url: str
    missing: bool = False
    token: str | None = None
    seconds: float | None = None

    def headers(self, target: str) -> dict[str, str]:
        """The headers for one hop; a token is for the host that it was meant for, and no other."""
        headers = {"Accept": "application/json"}
        own, other = split_url(self.url), split_url(target)
        if self.token and own and other and (own.scheme, own.netloc) == (other.scheme, other.netloc):
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


class _Unusable(SourceUnavailable):
    """No usable answer; `again` tells whether asking again may help, `wait` the seconds asked for."""

    def __init__(
        self, service: str, reason: str, *, again: bool = False, wait: float | None = None, rest: bool = False
    ) -> None:
        super().__init__(f"{service} {reason}.", details={"reason": reason, "service": service})
        self.reason = reason
        self.again = again
        self.wait = wait
        self.rest = rest


class Web:
    """Fetches JSON for all sources.

    A `service` is the name of the place in words, as in "npm search": it opens every reason.
    """

    def __init__(
        self,
        settings: Settings,
        cache: AnswerCache,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._transport = transport
        self._clock = clock
        self._client: httpx2.AsyncClient | None = None
        self._limiters: dict[str, anyio.CapacityLimiter] = {}
        self._resting: dict[str, tuple[float, str]] = {}
        # The default hook prints to stdout while structlog is not set up, and stdout belongs to MCP.
        stamina.instrumentation.set_on_retry_hooks((stamina.instrumentation.LoggingOnRetryHook,))

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def get(
        self, service: str, url: str, *, reduce: Reduce = lambda value: value, missing: bool = False
    ) -> Answer:
        """The JSON document at a URL: from the cache while fresh, else from the place, else an old one.

        `reduce` cuts a document down to what is needed before it is cached and given back. With
        `missing`, 404 and 410 mean that there is no such thing; without it they are failures.

        Raises:
            SourceUnavailable: no usable answer, and nothing is cached.
        """
        kept = await self._recall(url)
        if kept is not None and (kept.age or 0.0) <= self._settings.cache_seconds:
            return Answer(kept.value)
        try:
            answer = await self._fetch(service, _Ask(url, missing=missing))
        except _Unusable as failure:
            self._note(service, failure)
            if kept is None:
                raise
            return Answer(kept.value, kept.age, failure.reason)
        if answer is None:
            return Answer(None)
        value = reduce(answer)
        await self._remember(url, value)
        return Answer(value)

    async def fetch(self, service: str, url: str, *, token: str | None = None, seconds: float) -> object:
        """The JSON document at a URL, from the place itself and kept nowhere.

        `token` is sent as a bearer token, to that host only; `seconds` bound all attempts together.

        Raises:
            SourceUnavailable: no usable answer.
        """
        try:
            return await self._fetch(service, _Ask(url, token=token, seconds=seconds))
        except _Unusable as failure:
            self._note(service, failure)
            raise

    # --- the cache -------------------------------------------------------------------------------

    async def _recall(self, url: str) -> Answer | None:
        kept = await self._unless_broken(self._cache.answer(url))
        if kept is None:
            return None
        try:
            value = from_json(kept.body)
        except ValueError:
            return None
        return Answer(value, max(0.0, (self._clock() - kept.fetched).total_seconds()))

    async def _remember(self, url: str, value: object) -> None:
        body = json.dumps(value, separators=(",", ":")).encode()
        await self._unless_broken(self._cache.keep_answer(url, body, self._clock()))

    async def _unless_broken(self, work: Awaitable[_T]) -> _T | None:
        """A cache that cannot be read or written costs time, never the answer."""
        try:
            return await work
        except StateError as error:
            _logger.warning("the answer cache failed: %s", error.message)
            return None

    # --- the network -----------------------------------------------------------------------------

    def _note(self, service: str, failure: _Unusable) -> None:
        if failure.rest and service not in self._resting:
            rest = min(max(failure.wait or 0.0, _REST), _LONGEST_REST)
            self._resting[service] = (anyio.current_time() + rest, failure.reason)

    def _check_rest(self, service: str) -> None:
        until, reason = self._resting.get(service, (0.0, ""))
        if anyio.current_time() < until:
            raise _Unusable(service, reason)
        self._resting.pop(service, None)

    def _end(self, seconds: float | None) -> float:
        """When to give up, a little before the caller does, so that an old answer can still be served."""
        now = anyio.current_time()
        longest = self._settings.find_deadline if seconds is None else seconds
        budget = min(longest, anyio.current_effective_deadline() - now)
        return now + max(0.01, budget - min(0.25, budget / 10))

    async def _fetch(self, service: str, ask: "_Ask") -> object | None:
        self._check_rest(service)
        end = self._end(ask.seconds)

        def again(error: Exception) -> bool | float:
            if not isinstance(error, _Unusable) or not error.again:
                return False
            left = end - anyio.current_time()
            if error.wait is None:
                return left > 0.1
            return error.wait if error.wait < left else False

        retries = stamina.retry_context(
            on=again,
            attempts=_ATTEMPTS if ask.seconds is None else _PATIENT_ATTEMPTS,
            timeout=max(0.01, end - anyio.current_time()),
            wait_initial=0.2,
            wait_max=2.0 if ask.seconds is None else ask.seconds / 4,
            wait_jitter=0.3,
        )
        async for attempt in retries:
            with attempt:
                return await self._attempt(service, ask, end)
        raise _Unusable(service, "gave no answer")

    async def _attempt(self, service: str, ask: "_Ask", end: float) -> object | None:
        longest = self._settings.find_deadline / 2 if ask.seconds is None else ask.seconds / 3
        seconds = max(0.01, min(end - anyio.current_time(), longest))
        late = _Unusable(service, f"timed out after {_shown(seconds)}", again=True)
        with anyio.move_on_after(seconds):
            try:
                return await self._ask(service, ask)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                raise _Unusable(service, "cannot be reached", rest=True) from error
            except httpx2.TimeoutException as error:
                raise late from error
            except httpx2.InvalidURL as error:
                raise _Unusable(service, "redirects to nowhere") from error
            except httpx2.HTTPError as error:
                raise _Unusable(service, "broke its answer off") from error
        raise late

    async def _ask(self, service: str, ask: "_Ask") -> object | None:
        target = ask.url
        for _ in range(_MAX_HOPS + 1):
            async with (
                self._limiter(target),
                self._open().stream("GET", target, headers=ask.headers(target)) as response,
            ):
                if response.status_code not in _REDIRECTS:
                    return await self._accept(service, response, missing=ask.missing)
                target = _next_hop(service, target, response.headers.get("location", ""))
        raise _Unusable(service, "redirects in circles")

    async def _accept(self, service: str, response: httpx2.Response, *, missing: bool) -> object | None:
        status = response.status_code
        if missing and status in (404, 410):
            return None
        if status == 429 or status >= 500:
            wait = _retry_after(response.headers.get("retry-after"), self._clock())
            reason = f"answered {status}" + (f" and asks to wait {_shown(wait)}" if wait else "")
            raise _Unusable(service, reason, again=True, wait=wait, rest=bool(wait))
        if status != 200:
            raise _Unusable(service, f"answered {status}")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            raise _Unusable(service, f"sent {kind[:40] or 'something without a type'} instead of JSON")
        value = await self._parse(service, await self._read(service, response))
        if value is None:
            raise _Unusable(service, "sent null")
        return value

    async def _read(self, service: str, response: httpx2.Response) -> bytes:
        limit = self._settings.max_answer_bytes
        body = bytearray()
        async for chunk in response.aiter_bytes(64 * 1024):
            body += chunk
            if len(body) > limit:
                raise _Unusable(service, f"sent more than {limit:,} bytes")
        return bytes(body)

    async def _parse(self, service: str, body: bytes) -> object:
        try:
            if len(body) <= _PARSE_HERE:
                return _from_json(body)
            return await anyio.to_thread.run_sync(_from_json, body)
        except ValueError as error:
            message = str(error)
            if "recursion" in message:
                raise _Unusable(service, "sent JSON that is nested too deep") from None
            word = "truncated" if "EOF" in message else "malformed"
            raise _Unusable(service, f"sent {word} JSON") from None

    def _limiter(self, url: str) -> anyio.CapacityLimiter:
        parts = split_url(url)
        return self._limiters.setdefault(parts.netloc if parts else "", anyio.CapacityLimiter(_PER_HOST))

    def _open(self) -> httpx2.AsyncClient:
        """The client, made at the first request: reading the certificates takes a while."""
        if self._client is None:
            deadline = self._settings.find_deadline
            self._client = httpx2.AsyncClient(
                transport=self._transport,
                follow_redirects=False,
                timeout=httpx2.Timeout(deadline, connect=deadline / 4),
                headers={"User-Agent": "warroom-mcp"},
            )
        return self._client


def _from_json(body: bytes) -> object:
    """The document; the parser itself refuses what is nested deeper than 200 levels."""
    value: object = from_json(body, allow_inf_nan=False)
    return value


def _next_hop(service: str, origin: str, location: str) -> str:
    try:
        target = urljoin(origin, location)
    except ValueError:
        target = ""
    if not location or not may_redirect(origin, target):
        raise _Unusable(service, "redirects to an address that is not allowed")
    return target


def _retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds that a `Retry-After` header asks for: a number or a date."""
    if value is None:
        return None
    if value.strip().isdigit():
        return min(float(value.strip()[:9]), 86_400.0)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - now).total_seconds()), 86_400.0)


def _shown(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1g} s"
