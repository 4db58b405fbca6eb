"""What a text is: a failure, a request, or nothing for a server."""

import pytest

from warroom_mcp.analyzer import analyze
from warroom_mcp.models import ProblemKind

FAILURES = [
    'psql: error: connection to server at "10.0.3.9", port 5432 failed: Connection refused',
    'Traceback (most recent call last):\n  File "/app/x.py", line 1, in <module>\nredis.exceptions.ConnectionError: no',
    '{"level":"error","msg":"context deadline exceeded","caller":"main.go:41"}',
    "2026-03-04T10:00:00Z ERROR what now? the broker is gone",
    "OOMKilled",
]
REQUESTS = [
    "Which pods restarted tonight?",
    "show me the open pull requests of the web repository",
    "Please draft an email to the on-call team",
    "어젯밤에 재시작된 파드를 알려 줘",
    "昨日マージされたプルリクエストを教えてください",
    "帮我查一下哪些容器重启了",
    "Muestra las facturas vencidas de este mes",
    "Quais pods reiniciaram ontem?",
    "Zeige mir die offenen Tickets",
    "Liste les factures impayées de mars",
    "Покажи открытые задачи спринта",
]
NOTHING = [
    "Thanks, that helped a lot!",
    "ok, see you tomorrow",
    "고마워요!",
    "ありがとうございます",
    "谢谢你",
    "Muito obrigado!",
    "Vielen Dank",
    "Hello, how are you today?",
    "What is 17 * 23?",
    "15% of 80",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "SyntaxError: invalid syntax (app.py, line 3)",
    "Rename this function so that it reads better",
    "Write a haiku about autumn rain",
    "Explain the difference between a list and a tuple",
    "INFO: build finished in 3.1s, 0 warnings, 0 errors",
]


@pytest.mark.parametrize("text", FAILURES)
def test_what_programs_print_is_a_failure(text: str) -> None:
    assert analyze(text).kind is ProblemKind.FAILURE


@pytest.mark.parametrize("text", REQUESTS)
def test_what_people_ask_in_their_language_is_a_request(text: str) -> None:
    analysis = analyze(text)
    assert analysis.kind is ProblemKind.REQUEST
    assert analysis.plan.requests == (text,)


@pytest.mark.parametrize("text", NOTHING)
def test_what_no_server_helps_with_says_so_and_why(text: str) -> None:
    analysis = analyze(text)
    assert (analysis.kind, analysis.needs, analysis.plan.requests) == (ProblemKind.NOTHING, (), ())
    assert analysis.why_nothing


def test_a_greeting_in_front_of_a_request_does_not_end_it() -> None:
    assert analyze("Hi, which pods restarted tonight?").needs[0].technology == "kubernetes"


def test_a_failure_of_no_known_technology_is_searched_for_by_its_words() -> None:
    text = "ERROR frobnicator: cannot reach the quux daemon"
    analysis = analyze(text)
    assert (analysis.kind, analysis.needs) == (ProblemKind.FAILURE, ())
    assert analysis.plan.requests == (text,)


def test_a_failure_of_a_known_technology_is_not_searched_for_by_its_words() -> None:
    assert analyze(FAILURES[0]).plan.requests == ()
