import os
from pathlib import Path

import pytest

from warroom_mcp.cli.admin import FILE, VARIABLE, ensure_token, is_admin
from warroom_mcp.errors import Refusal, StateError, StateNotWritable


@pytest.fixture(autouse=True)
def no_token_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_the_token_is_made_once_for_its_owner_only(home: Path) -> None:
    path = ensure_token(home)
    token = path.read_text()
    assert len(token.strip()) >= 40
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_token(home).read_text() == token


def test_nothing_given_is_no_admin(home: Path) -> None:
    ensure_token(home)
    assert is_admin(home, None) is False


def test_the_token_by_file_or_environment_is_an_admin(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ensure_token(home)
    assert is_admin(home, path)
    monkeypatch.setenv(VARIABLE, path.read_text().strip())
    assert is_admin(home, None)


@pytest.mark.parametrize("content", ["wrong", "", "\n"])
def test_another_token_is_refused(home: Path, tmp_path: Path, content: str) -> None:
    ensure_token(home)
    given = tmp_path / "given"
    given.write_text(content)
    with pytest.raises(Refusal, match="not valid"):
        is_admin(home, given)


def test_an_empty_token_in_the_state_directory_lets_nobody_in(home: Path, tmp_path: Path) -> None:
    path = ensure_token(home)
    path.write_text("\n")
    given = tmp_path / "given"
    given.write_text("")
    with pytest.raises(Refusal, match="not valid"):
        is_admin(home, given)


def test_a_token_without_a_file_to_compare_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "guess")
    with pytest.raises(Refusal, match="does not exist"):
        is_admin(home, None)


@pytest.mark.skipif(os.name == "nt", reason="modes are a matter of POSIX")
def test_a_token_that_others_can_read_is_refused(home: Path) -> None:
    path = ensure_token(home)
    path.chmod(0o644)
    with pytest.raises(Refusal, match="open to other users"):
        is_admin(home, path)


def test_files_that_cannot_be_used_are_told(home: Path, tmp_path: Path) -> None:
    path = ensure_token(home)
    with pytest.raises(StateError, match="cannot be read"):
        is_admin(home, tmp_path / "missing")
    path.unlink()
    path.mkdir()
    with pytest.raises(StateNotWritable, match="is no file"):
        ensure_token(home)
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    with pytest.raises(StateNotWritable, match="cannot be written"):
        ensure_token(blocked / FILE)
