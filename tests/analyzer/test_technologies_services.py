"""Each service, database and local task is recognised from a text of its own, and plain talk from nothing."""

import pytest

from tests.analyzer import examples_databases, examples_saas, examples_services
from warroom_mcp.analyzer import analyze

EXAMPLES: dict[str, str] = {
    **examples_databases.EXAMPLES,
    **examples_services.EXAMPLES,
    **examples_saas.EXAMPLES,
}
# Second texts for what is spoken of in ordinary words, and for evidence of another kind than the first.
FURTHER: list[tuple[str, str]] = [
    ("slack", "Post a summary of the outage in our Slack channel"),
    ("linear", "Create a Linear issue for the broken export"),
    ("notion", "Add the meeting minutes to our Notion page"),
    ("sentry", "Show the newest Sentry issues of the web project"),
    ("loki", "Query Loki for the errors of the last hour"),
    ("stripe", "Why did the Stripe webhook fail with 400?"),
    ("chrome", "The page stays blank and the console says net::ERR_CERT_AUTHORITY_INVALID"),
    ("playwright", "Take a screenshot of the page https://example.org/login"),
    ("filesystem", "EACCES: permission denied, open '/srv/reports/may.csv'"),
    ("filesystem", "Read the file notes/todo.md and tell me what is left"),
    ("fetch", "Which HTTP status does the web site return? The page returns 404 for everybody"),
    ("time", "Convert 14:30 CET to the time zone of Denver"),
    ("jaeger", "dial tcp 10.0.0.3:16686: connect: connection refused"),
    ("opentelemetry", "OTEL_EXPORTER_OTLP_ENDPOINT is set and nothing arrives"),
    (
        "keycloak",
        "at org.keycloak.services.managers.AuthenticationManager.verify(AuthenticationManager.java:12)",
    ),
    ("grafana", "permission denied on /var/lib/grafana"),
]
PLAIN_TALK = [
    "Thanks, that helped a lot!",
    "What is 17 times 23?",
    "Hello, how are you today?",
    "SyntaxError: invalid syntax in my own function, I forgot a colon",
    "Write a haiku about autumn rain",
    "I have no notion of what you mean",
    "Give me some slack, it is Friday",
    "The growth is linear, not exponential",
    "This is the first time that I see such a nice result",
    "Dogs like to fetch sticks",
    "Explain the difference between a list and a tuple",
    "Is it spelled gray or grey?",
    "Good morning! Ready when you are.",
    "Translate 'good evening' into French",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "The chrome of the old car shines and its stripe is red",
]


@pytest.mark.parametrize(("technology", "example"), sorted(EXAMPLES.items()), ids=sorted(EXAMPLES))
def test_a_technology_is_recognised_from_its_own_text(technology: str, example: str) -> None:
    needs = analyze(example).needs

    assert [need.technology for need in needs][:1] == [technology]


@pytest.mark.parametrize(("technology", "example"), FURTHER)
def test_a_technology_is_recognised_from_other_evidence(technology: str, example: str) -> None:
    needs = analyze(example).needs

    assert [need.technology for need in needs][:1] == [technology]


@pytest.mark.parametrize("text", PLAIN_TALK)
def test_plain_talk_needs_no_server(text: str) -> None:
    assert [need.technology for need in analyze(text).needs] == []
