"""Deep analysis: a model reads a problem as well, where the operator allows it and a key is there.

The one file that speaks to the Anthropic API. Only redacted text leaves, as data between random marks; the
model has no tools, and what it says is judged by `merging`. Whatever fails, the patterns' analysis stands,
with a note that says why. The SDK takes seconds to import, so that happens in a thread, at the first call.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import anyio
import anyio.to_thread
import msgspec

from warroom_mcp.addresses import address_problem, is_loopback, split_url
from warroom_mcp.analyzer.asking import SCHEMA, excerpt, instructions, message
from warroom_mcp.analyzer.merging import Reading, Said, is_unsure, judged, merge
from warroom_mcp.errors import StateError, WarRoomError
from warroom_mcp.models import Analysis, ProblemKind

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic

_logger = logging.getLogger(__name__)

OFFICIAL_URL = "https://api.anthropic.com"
"""Where the API is, unless the operator names another place; the SDK's own variables are not asked."""

_ANSWERS_LAST = timedelta(days=30)
# Some models think before they answer, and that counts as well; the answer itself takes a few hundred.
_MAX_TOKENS = 8_192
_MAX_ANSWER_BYTES = 256 * 1024
_STANDS = "The patterns' reading stands."

_T = TypeVar("_T")


class CachedAnswer(Protocol):
    """An answer as it was kept, and when (timezone-aware)."""

    @property
    def body(self) -> bytes:
        """What was kept."""
        ...

    @property
    def fetched(self) -> datetime:
        """When it was kept."""
        ...


class AnswerCache(Protocol):
    """Remembers a model's answers, and how many were asked for on a day."""

    async def answer(self, key: str) -> CachedAnswer | None:
        """What is kept under that key, however old."""
        ...

    async def keep_answer(self, key: str, body: bytes, fetched: datetime) -> None:
        """Keep a value, in place of an older one of the same key."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows.

    `key` is a reference to the secret; `deadline` (seconds) is for everything together; `max_characters` is
    how much of a text is sent.
    """

    policy: Literal["off", "unsure", "always"] = "off"
    model: str = "claude-haiku-5-5"
    url: str | None = None
    key: str = "env:ANTHROPIC_API_KEY"
    deadline: float = 20.0
    calls_per_day: int = 50
    max_characters: int = 12_000


class _NoReading(Exception):
    """Why there is no reading by a model, in words for a person."""


class DeepAnalyzer:
    """Has a model read problems. `secret` resolves a reference and may block; it runs in a thread.

    The count of a day's calls is kept in the cache. Processes that share one may overrun it by a call each.
    """

    def __init__(
        self,
        limits: Limits,
        secret: Callable[[str], str],
        cache: AnswerCache,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits = limits
        self._secret = secret
        self._cache = cache
        self._clock = clock
        self._counting = anyio.Lock()

    def wants(self, analysis: Analysis, *, asked: bool = False) -> bool:
        """Whether a model would be asked: as the policy says, and when a person asks although it is sure."""
        if self._limits.policy == "off":
            return False
        return asked or self._limits.policy == "always" or is_unsure(analysis)

    async def deepen(self, analysis: Analysis, *, asked: bool = False) -> tuple[Analysis, str]:
        """The analysis with what a model sees as well, and a note of what happened.

        The note is empty when no model was to be asked. It holds nothing that a model or a text says. The
        model's service and the cache failing raises nothing.
        """
        if not self.wants(analysis, asked=asked):
            off = "Deep analysis is off: WARROOM_DEEP_ANALYSIS=unsure allows it."
            return analysis, f"{off} {_STANDS}" if asked else ""
        limits = self._limits
        with anyio.move_on_after(limits.deadline):
            try:
                reading = await self._read(analysis)
            except _NoReading as why:
                return analysis, f"{why} {_STANDS}"
            merged = merge(analysis, reading)
            return merged, _told(analysis, merged, reading)
        late = f"The model did not answer within {limits.deadline:g} seconds"
        return analysis, f"{late}: WARROOM_DEEP_DEADLINE gives it longer. {_STANDS}"

    async def _read(self, analysis: Analysis) -> Reading:
        sent = excerpt(analysis, self._limits.max_characters)
        key = self._key(sent)
        said = await self._recall(key)
        if said is not None:
            return judged(said, analysis.text)
        async with await anyio.to_thread.run_sync(self._open, abandon_on_cancel=True) as client:
            await self._count()
            said = await self._ask(client, sent)
        reading = judged(said, analysis.text)
        body = msgspec.json.encode(reading.said(analysis.text))
        await self._unless_broken(self._cache.keep_answer(key, body, self._clock()))
        return reading

    # --- the cache, and the count in it -----------------------------------------------------------

    def _key(self, sent: str) -> str:
        """An answer is for one text, one model and one set of instructions."""
        asked = "\0".join((self._limits.model, instructions(), repr(SCHEMA), sent))
        return f"deep:answer:{sha256(asked.encode()).hexdigest()}"

    async def _recall(self, key: str) -> Said | None:
        kept = await self._unless_broken(self._cache.answer(key))
        if kept is None or self._clock() - kept.fetched > _ANSWERS_LAST:
            return None
        try:
            return msgspec.json.decode(kept.body, type=Said)
        except msgspec.DecodeError:
            return None

    async def _count(self) -> None:
        """Count a call before it is made. What cannot be counted is not made."""
        allowed = self._limits.calls_per_day
        async with self._counting:
            now = self._clock()
            key = f"deep:budget:{now.astimezone(UTC):%Y-%m-%d}"
            try:
                kept = await self._cache.answer(key)
                used = int(kept.body) if kept else 0
                if used < allowed:
                    await self._cache.keep_answer(key, str(used + 1).encode(), now)
            except (StateError, ValueError) as error:
                _logger.warning("the day's calls to the model cannot be counted: %s", error)
                raise _NoReading(
                    "The day's calls to the model cannot be counted: `warroom doctor` checks the directory."
                ) from None
        if used >= allowed:
            raise _NoReading(
                f"Today's {allowed} calls to the model are used up: WARROOM_DEEP_CALLS_PER_DAY allows more."
            )

    async def _unless_broken(self, work: Awaitable[_T]) -> _T | None:
        """A cache that cannot be read or written costs a call, never the answer."""
        try:
            return await work
        except StateError as error:
            _logger.warning("the cache of model answers failed: %s", error.message)
            return None

    # --- the model --------------------------------------------------------------------------------

    def _open(self) -> "AsyncAnthropic":
        """The client; blocks for as long as imports, certificates and the keyring take."""
        limits, url = self._limits, self._limits.url or OFFICIAL_URL
        if address_problem(url) is not None:
            raise _NoReading(
                "WARROOM_DEEP_URL is no address that a key may go to: it has to be https, or this machine."
            )
        try:
            key = self._secret(limits.key).strip()
        except WarRoomError as error:
            raise _NoReading(f"{error.message} {error.hint}") from None
        if not key.isascii() or not key.isprintable():
            raise _NoReading(f"What {limits.key} holds is no key: store it again.")
        try:
            import anthropic
            import httpx2
        except ImportError:
            raise _NoReading(
                "The anthropic package is not installed: `pip install warroom-mcp[deep]` adds it."
            ) from None
        here = is_loopback(getattr(split_url(url), "hostname", None) or "")
        client = anthropic.AsyncAnthropic(
            api_key=key,
            base_url=url,
            timeout=limits.deadline,
            max_retries=1,
            default_headers={"Accept-Encoding": "identity"},
            open_telemetry={"traces": False, "propagation": False},
            # No redirects: they would carry the key and the text elsewhere. What is on this machine is
            # reached without the environment's proxies.
            http_client=httpx2.AsyncClient(
                follow_redirects=False,
                trust_env=not here,
                timeout=limits.deadline,
                event_hooks={"response": [_bound]},
            ),
        )
        # Its own imports, here rather than in the event loop.
        _ = client.messages
        return client

    async def _ask(self, client: "AsyncAnthropic", sent: str) -> Said:
        import anthropic

        try:
            response = await client.messages.with_raw_response.create(
                model=self._limits.model,
                max_tokens=_MAX_TOKENS,
                system=[
                    {"type": "text", "text": instructions(), "cache_control": {"type": "ephemeral"}},
                ],
                messages=[{"role": "user", "content": message(sent, secrets.token_hex(8))}],
                output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
            )
        except anthropic.APIStatusError as error:
            raise _NoReading(_refused(error.status_code)) from None
        except anthropic.APIConnectionError as error:
            _logger.warning("the model's service: %s", type(error.__cause__ or error).__name__)
            raise _NoReading(
                "The model's service cannot be reached: check the network and WARROOM_DEEP_URL."
            ) from None
        except anthropic.AnthropicError:
            raise _NoReading(_UNUSABLE) from None
        return _answer(response.http_response.content)


async def _bound(response: "httpx2.Response") -> None:
    """Take no more of an answer than one can have, errors included, and wait no longer than there is."""
    import anthropic
    import httpx2

    taken = bytearray()
    if response.headers.get("content-encoding", "identity") != "identity":
        raise anthropic.AnthropicError("compressed although nobody asked for that")
    stream = response.stream
    if isinstance(stream, httpx2.AsyncByteStream):
        async for chunk in stream:
            taken += chunk
            if len(taken) > _MAX_ANSWER_BYTES:
                raise anthropic.AnthropicError("too large")
        await stream.aclose()
    response.stream = httpx2.ByteStream(bytes(taken))
    left = anyio.current_effective_deadline() - anyio.current_time()
    if _seconds(response.headers.get("retry-after", "")) > left:
        response.headers["x-should-retry"] = "false"


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


# --- what came back -------------------------------------------------------------------------------

_UNUSABLE = "The model's answer cannot be used: check WARROOM_DEEP_MODEL and WARROOM_DEEP_URL."


class _Block(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None


def _answer(body: bytes) -> Said:
    try:
        whole = msgspec.json.decode(body, type=_Message)
        if whole.stop_reason == "refusal":
            raise _NoReading("The model declined to read this text.")
        if whole.stop_reason != "end_turn":
            raise _NoReading("The model did not finish its answer: try again, or send less text.")
        # A model may think first; what it thinks is in blocks of another type.
        text = "".join(block.text for block in whole.content if block.type == "text")
        return msgspec.json.decode(text.encode(), type=Said)
    except (ValueError, RecursionError):
        raise _NoReading(_UNUSABLE) from None


def _refused(status: int) -> str:
    if status in (401, 403):
        return "The model's service does not accept the key: check what WARROOM_DEEP_KEY refers to."
    if status == 404:
        return "The model's service does not know the model: check WARROOM_DEEP_MODEL and WARROOM_DEEP_URL."
    if status == 429:
        return "The model's service takes no more calls now: try again later."
    if status >= 500:
        return f"The model's service failed (HTTP {status}): try again later."
    return f"The model's service does not take the request (HTTP {status}): check WARROOM_DEEP_MODEL."


def _told(before: Analysis, after: Analysis, reading: Reading) -> str:
    """What the model's reading changed, in words of ours: names are those of known technologies."""
    if reading.kind is ProblemKind.NOTHING:
        return f"A model read the text as well and sees nothing that a server would help with. {_STANDS}"
    known = {need.technology for need in before.needs}
    seen = {finding.technology for finding in reading.findings}
    added = [need.technology for need in after.needs if need.technology not in known]
    agreed = [need.technology for need in after.needs if need.technology in known & seen]
    parts = [
        f"it sees {_listed(names)} {how}" for names, how in ((agreed, "too"), (added, "besides")) if names
    ]
    if not parts:
        return f"A model read the text as well and found nothing more. {_STANDS}"
    return f"A model read the text as well: {', and '.join(parts)}."


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
