"""The whole analyzer: the documents' examples, hostile texts, and what holds for any text."""

from contextlib import suppress
from hashlib import sha256

import anyio
import anyio.to_thread
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from warroom_mcp.analyzer import analyze, capabilities_of, quick_analyze, technologies
from warroom_mcp.errors import InvalidProblem
from warroom_mcp.models import Severity


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Error: Cannot connect to the Docker daemon", ["docker", "container"]),
        ("Error: Cannot connect to Docker daemon", ["docker", "container"]),
        ("psql: connection refused", ["postgres", "database"]),
        ("ECONNREFUSED 127.0.0.1:6379", ["redis", "cache"]),
        ("redis and postgres and mysql", ["redis", "cache", "postgres", "database", "mysql"]),
        ("the database is down", ["database"]),
        ("thanks!", []),
    ],
)
def test_the_words_for_a_problem(text: str, words: list[str]) -> None:
    assert quick_analyze(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "thanks, that was it!",
        "2 + 2?",
        "hello there",
        "What is 17 * 23",
        "안녕하세요, 감사합니다",
        "Rename the function to something shorter, please.",
        "INFO all 214 checks passed, 0 failures, no warnings",
        "Let us go to the store and pod some peas",
    ],
)
def test_what_is_no_incident_calls_for_nothing(text: str) -> None:
    analysis = analyze(text)
    assert (analysis.needs, analysis.severity, analysis.plan.queries) == ((), Severity.INFO, ())


@pytest.mark.parametrize(
    "text",
    [
        "SyntaxError: invalid syntax (app.py, line 3)",
        "  File \"/srv/app/main.py\", line 12, in <module>\nNameError: name 'x' is not defined",
        "TypeError: undefined is not a function\n    at Object.<anonymous> (/app/index.js:3:1)",
        "Main.java:12: error: cannot find symbol",
        'Exception in thread "main" java.lang.NullPointerException\n\tat com.acme.Main.main(Main.java:5)',
    ],
)
def test_a_mistake_in_someones_own_code_calls_for_no_server(text: str) -> None:
    assert analyze(text).needs == ()


def test_a_generic_word_gives_keywords_and_queries_but_no_need() -> None:
    analysis = analyze("our message queue and the database are down")
    assert analysis.needs == ()
    assert analysis.keywords == ("queue", "database")
    assert analysis.plan.queries == ("queue", "database")


def test_the_identity_of_a_problem_is_that_of_its_redacted_text() -> None:
    analysis = analyze("redis: password=verysecret123 refused\x1b[0m")
    assert analysis.redactions == 1
    assert "verysecret123" not in analysis.text
    assert analysis.problem_id == "p-" + sha256(analysis.text.encode()).hexdigest()[:12]
    assert analyze(analysis.text).problem_id == analysis.problem_id


def test_bytes_and_text_are_read_alike() -> None:
    text = "오류: redis ECONNREFUSED 127.0.0.1:6379"
    assert analyze(text.encode()) == analyze(text)


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidProblem, match="11 bytes"):
        analyze("redis error", max_bytes=10)


def test_every_technology_has_a_main_capability_word() -> None:
    assert list(technologies()) == sorted(set(technologies()))
    assert all(capabilities_of(name) for name in technologies())
    assert capabilities_of("postgres")[0] == "database"
    assert capabilities_of("no-such-technology") == ()


_LINES = [
    "Error: connect ECONNREFUSED 127.0.0.1:6379",
    "redis 연결 오류가 발생했습니다",
    "レディスではなくredisのエラー",
]


@pytest.mark.parametrize("line", _LINES)
@pytest.mark.parametrize(
    "around",
    ["服务器出现错误，请检查：\n{}\n谢谢", "خطأ في الخادم {} شكرا", "🔥🔥 {} 🚒", "İstanbul İİİ\n{}", "{}"],
)
def test_other_scripts_around_an_error_change_nothing(line: str, around: str) -> None:
    analysis = analyze(around.format(line))
    assert [need.technology for need in analysis.needs] == ["redis"]
    (evidence, *_) = analysis.needs[0].evidence
    assert analysis.text[evidence.start : evidence.end] in ("redis", "6379")
    for signal in analysis.signals:
        assert analysis.text[signal.span.start : signal.span.end] == signal.evidence


_ALPHABET = st.text(
    st.sampled_from(list(" \n\t:/@.-_=\"'[](){}0123456789abcdeprst\u0130ß한🔥\x1b\ufffd")), max_size=80
)
_FRAGMENTS = st.sampled_from(
    [
        "redis", "ECONNREFUSED 127.0.0.1:6379", 'role "a" does not exist', "postgresql://u:p@h:5432/d", "Caused by: ",
        "kubectl -n prod", "container api", "s3://bucket-1/x", "unix:///var/run/docker.sock", "password=hunter2abc",
        "\nTraceback (most recent call last):\n", "port 5432", "java.lang.OutOfMemoryError", "go", "node ",
        "[redacted:password]", "KafkaConsumer", "github.com/x/y", "::1", "[fe80::1%eth0]:6379", "\n\tat x.y(Z.java:1)",
        "---> ", "token: ", "eu-west-1", "C:\\x\\y",
    ]
)  # fmt: skip
_TEXTS = st.lists(st.one_of(_FRAGMENTS, _ALPHABET), max_size=12).map("".join)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(), _TEXTS))
@example("jdbc:redis://[::1%0]:6379/ 0.0.0.0:6379 redis:[x]:1")
@example("\u0130" * 50 + " redis 127.0.0.1:6379")
def test_any_text_is_read_or_refused_and_every_span_points_at_its_evidence(text: str) -> None:
    try:
        analysis = analyze(text)
    except InvalidProblem:
        return
    assert analysis == analyze(text)
    for signal in analysis.signals:
        assert 0 <= signal.span.start < signal.span.end <= len(analysis.text)
        assert analysis.text[signal.span.start : signal.span.end] == signal.evidence
        assert 0 < signal.weight <= 1
        assert "\0" not in signal.value
    for need in analysis.needs:
        assert 0.5 <= need.confidence <= 1
        assert need.evidence
        assert all(value.isprintable() and 0 < len(value) <= 255 for value in need.parameters.values())
    confidences = [need.confidence for need in analysis.needs]
    assert confidences == sorted(confidences, reverse=True)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(InvalidProblem):
        assert analyze(data).text


_HOSTILE = {
    "one endless word": "a" * 300_000,
    "quotes": '"' * 300_000,
    "open paths": "/a" * 150_000,
    "colons": "a:" * 150_000,
    "dots": "a." * 150_000,
    "spaces": "role " + " " * 300_000 + "x",
    "half an error": 'role "' * 60_000,
    "half a probe": "connection to server at " * 15_000,
    "endpoints": "1.1.1.1:6379 " * 25_000,
    "uris": "postgresql://a:b@" * 20_000,
    "schemes": "a-" * 150_000 + "://",
    "escapes": "\x1b]" * 100_000 + "x" * 200_000,
    "causes": "Caused by: " * 30_000,
    "brackets": "[" * 300_000,
    "names": "redis " * 50_000,
    "new lines": "\n" * 300_000 + "redis",
    "blobs": "QUJD+/" * 50_000,
    "dashes": "-n " * 100_000 + "kubectl",
    "facts": "no 0 without error " * 20_000,
}


@pytest.mark.parametrize("name", _HOSTILE)
async def test_no_text_keeps_the_analyzer_busy(name: str) -> None:
    with anyio.fail_after(15):
        # A worker thread that never ended would be waited for: leave it behind instead.
        await anyio.to_thread.run_sync(analyze, _HOSTILE[name], abandon_on_cancel=True)
