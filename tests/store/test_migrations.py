"""The steps that make the tables, and knowing one's own file."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from warroom_mcp.store.migrations import MIGRATIONS, STATE, is_own, migrate, version


def make_tables(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    migrate(connection, STATE)
    connection.execute("COMMIT")
    connection.close()


def test_all_steps_are_taken_once(tmp_path: Path) -> None:
    make_tables(tmp_path / "state.db")
    make_tables(tmp_path / "state.db")
    connection = sqlite3.connect(tmp_path / "state.db")
    assert version(connection) == len(MIGRATIONS)
    assert is_own(connection, STATE)
    connection.close()


def test_steps_that_fail_leave_an_empty_file(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    migrate(connection, STATE)
    connection.execute("ROLLBACK")
    assert version(connection) == 0
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


def test_step_names_are_told_apart() -> None:
    assert len({step.name for step in MIGRATIONS}) == len(MIGRATIONS)


class Interrupted(sqlite3.Connection):
    """A connection that another process gets in front of, right after its first look at the mark."""

    path: Path
    looked = False

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        cursor = super().execute(*arguments)
        if "application_id" in arguments[0] and not self.looked:
            self.looked = True
            make_tables(self.path)
        return cursor


def test_a_file_that_is_made_by_another_process_meanwhile_is_not_taken_for_foreign(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path, factory=Interrupted, isolation_level=None)
    connection.path = path
    connection.execute("PRAGMA journal_mode = WAL")
    assert is_own(connection, STATE)
    assert connection.looked
    connection.close()


@pytest.mark.parametrize(
    "statement", ["PRAGMA application_id = 7", "PRAGMA user_version = 7", "CREATE TABLE a (b)"]
)
def test_a_file_with_anything_of_another_program_is_foreign(statement: str) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    assert is_own(connection, STATE)
    connection.execute(statement)
    assert not is_own(connection, STATE)
    connection.close()
