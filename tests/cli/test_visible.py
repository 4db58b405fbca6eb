import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.cli.visible import json_safe, one_line, visible

ANY = st.text(st.characters(categories=None))


@given(ANY)
def test_nothing_that_moves_a_cursor_survives(text: str) -> None:
    shown = visible(text)
    assert all(unicodedata.category(c) != "Cc" or c in "\t\n" for c in shown)
    shown.encode("utf-8")


@given(ANY)
def test_what_is_visible_stays_as_it_is(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(ANY)
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


@given(ANY)
def test_json_keeps_its_meaning(text: str) -> None:
    safe = json_safe(json.dumps({"value": text}, ensure_ascii=False))
    assert json.loads(safe) == json.loads(json.dumps({"value": text}))
    assert visible(safe) == safe


def test_escapes_name_the_character() -> None:
    assert visible("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"
    assert visible("Redis 장애 — ok\n\ttab") == "Redis 장애 — ok\n\ttab"
