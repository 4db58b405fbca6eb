"""How bad a text says it is."""

import pytest

from warroom_mcp.analyzer import analyze
from warroom_mcp.models import Severity


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("all good", Severity.INFO),
        ("0 errors, 0 warnings", Severity.INFO),
        ("finished without any errors", Severity.INFO),
        ("no failures and no new warnings", Severity.INFO),
        ("10 errors", Severity.ERROR),
        ("no errors at first, then an error", Severity.ERROR),
        ("WARN disk usage at 80%", Severity.WARNING),
        ("queries are slow today", Severity.WARNING),
        ("NullPointerException", Severity.ERROR),
        ("GET /x HTTP/1.1 status=503", Severity.ERROR),
        ("connection refused", Severity.ERROR),
        ("서버 오류", Severity.ERROR),
        ("kernel panic - not syncing", Severity.CRITICAL),
        ("panic: runtime error", Severity.CRITICAL),
        ("OOMKilled", Severity.CRITICAL),
        ("write failed: No space left on device", Severity.CRITICAL),
        ("sev1: production is down", Severity.CRITICAL),
        ("no outage, but errors", Severity.ERROR),
    ],
)
def test_the_words_of_a_text_say_how_bad_it_is(text: str, severity: Severity) -> None:
    assert analyze(text).severity is severity
