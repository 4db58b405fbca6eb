"""The card: everything that matters, nothing hidden, no secret."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trust.examples import CANDIDATE, NPM, OFFICIAL, PLAN, REMOTE
from warroom_mcp.models import Candidate, LaunchPlan
from warroom_mcp.trust import Check, Outcome, Policy, card, check, decide, escape_visible
from warroom_mcp.trust.visible import quoted


def lines(candidate: Candidate = CANDIDATE, plan: LaunchPlan = PLAN) -> tuple[str, ...]:
    checks = check(candidate, plan)
    decision = decide(candidate, Policy(), auto_approve=True, remembered=False, checks=checks)
    return card(candidate, plan, decision, checks)


def test_the_card_tells_everything() -> None:
    checks = check(CANDIDATE, PLAN)
    decision = decide(CANDIDATE, Policy(), auto_approve=True, remembered=False, checks=checks)
    assert card(CANDIDATE, PLAN, decision, checks, evidence=("Redis ECONNREFUSED",)) == (
        "Server: redis",
        "Runs: npx -y @example/redis-mcp@1.2.3 --host 127.0.0.1",
        "Receives:",
        "  argument --host",
        "  argument 127.0.0.1",
        "  variable REDIS_DB = 0",
        "  secret REDIS_PWD from env:REDIS_PWD",
        "Package: npm @example/redis-mcp, version 1.2.3",
        "Integrity: sha512-" + "A" * 86 + "==",
        "Origin: unproven",
        "It says of itself: Talks to Redis",
        (
            "Trust level: verified. not official, but 5,000 weekly downloads, and no check failed. "
            "A person approves it every time it is added"
        ),
        (
            "auto_approve was not honoured: the operator's policy allows it up to the level official, "
            "and this server is verified"
        ),
        "Check not certain: origin: nothing proves who stands behind it",
        "Downloads a week: 5,000",
        "Last update: 2026-11-01",
        "Score: 50/100",
        "  origin 0/40: nothing proves who publishes it",
        "  downloads 15/25: 5,000 downloads a week",
        "  updated 20/20: updated this month",
        "  match 15/15: covers redis",
        "Why: for redis, found in the problem: host=127.0.0.1",
        "  from the problem: Redis ECONNREFUSED",
    )


def test_what_is_unknown_is_told_as_unknown() -> None:
    bare = replace(NPM, version=None, integrity=None)
    told = lines(
        replace(CANDIDATE, package=bare, weekly_downloads=None, updated=None), replace(PLAN, package=bare)
    )
    assert "Package: npm @example/redis-mcp, version unknown" in told
    assert "Integrity: unknown" in told
    assert "Downloads a week: unknown" in told
    assert "Last update: unknown" in told


def test_a_remote_shows_its_address_and_headers() -> None:
    plan = LaunchPlan(
        "docs",
        REMOTE.id,
        REMOTE.package,
        headers={"X-Team": "운영 팀"},
        secrets={"Authorization": "keyring:docs"},
    )
    told = lines(REMOTE, plan)
    assert "Connects to: https://mcp.example/mcp" in told
    assert "  header X-Team = '운영 팀'" in told
    assert "  secret Authorization from keyring:docs" in told
    assert "An administrator has to confirm it, outside of the chat." in told


def test_a_deprecated_server_names_its_heir() -> None:
    told = lines(replace(OFFICIAL, deprecated="archived", heir="npm:@example/new"))
    at = told.index("DEPRECATED: archived")
    assert told[at + 1] == "  Takes its place: npm:@example/new"


def test_failed_checks_come_first() -> None:
    checks = (Check("a", Outcome.UNKNOWN, "x"), Check("b", Outcome.PASS, "y"), Check("c", Outcome.FAIL, "z"))
    decision = decide(CANDIDATE, Policy(), auto_approve=False, remembered=False, checks=checks)
    told = [line for line in card(CANDIDATE, PLAN, decision, checks) if line.startswith("Check")]
    assert told == ["Check FAILED: c: z", "Check not certain: a: x"]


def test_no_secret_is_shown_even_where_it_does_not_belong() -> None:
    plan = replace(PLAN, environment={"REDIS_PWD": "hunter2"}, secrets={"TOKEN": "hunter2"})
    told = "\n".join(lines(plan=plan))
    assert "hunter2" not in told
    assert told.count("not shown") == 2


def test_a_long_command_is_shown_to_its_end() -> None:
    plan = replace(PLAN, command=(*PLAN.command, *(f"--option-{n}" for n in range(2000)), "--last"))
    assert lines(plan=plan)[1].endswith("--option-1999 --last")


def test_a_long_description_is_cut_and_says_so() -> None:
    (told,) = [line for line in lines(replace(CANDIDATE, description="x" * 5000)) if "of itself" in line]
    assert told.endswith("x... (4,700 more characters)")


def test_look_alike_letters_are_spelled_out() -> None:
    plan = replace(PLAN, command=("npx", "-y", "rеdis"))
    assert "  Careful, not plain letters: 'rеdis' is 'r\\u{435}dis'" in lines(plan=plan)


HIDDEN = [
    *("\x00\x07\x1b\x7f\x85\x9b\n\r\t"),
    *("\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u2003"),
    *("\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069"),
    *("\u2800\u3000\u3164\ufe0f\ufeff\uffa0\ufff9\ue000\ud800\udfff"),
    *("\U000e0001\U000e0041\U000e0100\U0010ffff"),
]


@pytest.mark.parametrize("character", HIDDEN, ids=[f"{ord(c):x}" for c in HIDDEN])
def test_hidden_characters_are_spelled_out_in_every_field(character: str) -> None:
    text = f"a{character}b"
    candidate = replace(
        CANDIDATE,
        description=text,
        origin_evidence=text,
        repository=text,
        deprecated=text,
        heir=text,
        need=text,
        parameters={text: text},
    )
    plan = LaunchPlan(
        text,
        candidate.id,
        replace(NPM, identifier=text, version=text, integrity=text),
        (text, text),
        (text,),
        {text: text},
        {text: text},
        {text: text},
    )
    checks = (Check(text, Outcome.FAIL, text),)
    decision = decide(candidate, Policy(), auto_approve=True, remembered=False, checks=checks)
    told = card(candidate, plan, decision, checks, evidence=(text,))
    assert character not in "".join(told)
    assert all(line.isprintable() for line in told)


def unescaped(text: str) -> str:
    """The text that `escape_visible` was given."""

    def one(found: re.Match[str]) -> str:
        short = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
        return short[found[1]] if found[1] in short else chr(int(found[2], 16))

    return re.sub(r"\\(n|t|r|\\|u\{([0-9a-f]+)\})", one, text)


@given(st.text(st.characters()))
def test_no_two_texts_look_the_same(text: str) -> None:
    shown = escape_visible(text)
    assert shown.isprintable()
    assert unescaped(shown) == text


@given(st.lists(st.text(st.characters(), max_size=6), max_size=4))
def test_the_words_of_a_command_can_be_told_apart(words: list[str]) -> None:
    shown = " ".join(map(quoted, words))
    found = re.findall(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|([^\s'"]+)""", shown)
    back = [
        single or bare or unescaped(re.sub(r'(?<!\\)((?:\\\\)*)\\"', r'\1"', double))
        for single, double, bare in found
    ]
    assert back == words


@pytest.mark.parametrize("text", ["redis 운영 데이터베이스", "עברית", "العربية", "日本語", "🚀 ready", "é"])
def test_ordinary_text_of_any_language_stays_as_it_is(text: str) -> None:
    assert escape_visible(text) == text
