"""The tables of the database, as numbered steps: a step that was released is never edited, only followed."""

import sqlite3
from dataclasses import dataclass

# "WRm1": marks a database file as this program's own.
APPLICATION_ID = 0x57526D31


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: statements that take the tables from the step before to this one."""

    name: str
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one kind of database: the mark that its files carry, its steps, and how it is opened.

    `synchronous` is SQLite's: FULL for what must survive a loss of power, NORMAL for what can be made anew.
    `mapped` bytes of the file are read through memory.
    """

    mark: int
    steps: tuple[Migration, ...]
    synchronous: str = "FULL"
    mapped: int = 0


# `seq` counts up with every write, so that "oldest" never depends on a clock; `body` comes last,
# so that adding up `size` does not read it.
MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        "first tables",
        (
            """CREATE TABLE answers (
                seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
                fetched TEXT NOT NULL, body BLOB NOT NULL)""",
            """CREATE TABLE problems (
                seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
                body TEXT NOT NULL)""",
            """CREATE TABLE candidates (
                seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
                body TEXT NOT NULL)""",
            "CREATE INDEX answers_size ON answers (seq, size)",
            "CREATE INDEX problems_size ON problems (seq, size)",
            "CREATE INDEX candidates_size ON candidates (seq, size)",
            """CREATE TABLE tickets (
                seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL,
                state TEXT NOT NULL, settled INTEGER, body TEXT NOT NULL)""",
            "CREATE INDEX tickets_digest ON tickets (digest)",
            "CREATE INDEX tickets_state ON tickets (state)",
            "CREATE TABLE definitions (server TEXT PRIMARY KEY, body TEXT NOT NULL)",
            """CREATE TABLE usage (
                server TEXT NOT NULL, tool TEXT NOT NULL, calls INTEGER NOT NULL, errors INTEGER NOT NULL,
                seconds REAL NOT NULL, last_used TEXT, PRIMARY KEY (server, tool)) WITHOUT ROWID""",
        ),
    ),
)


STATE = Schema(APPLICATION_ID, MIGRATIONS)


def version(connection: sqlite3.Connection) -> int:
    """How many steps the database has taken."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, schema: Schema) -> None:
    """Take the missing steps; to be called inside a write transaction, which makes them all or none."""
    for step in schema.steps[version(connection) :]:
        for statement in step.statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {schema.mark}")
    connection.execute(f"PRAGMA user_version = {len(schema.steps)}")


def is_own(connection: sqlite3.Connection, schema: Schema) -> bool:
    """Whether the database is this program's, or empty and free to become so."""
    # One snapshot: between two looks, another process of this program may make the tables.
    connection.execute("BEGIN")
    try:
        mark = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        free = mark == 0 and tables == 0 and version(connection) == 0
    finally:
        connection.execute("ROLLBACK")
    return mark == schema.mark or free
