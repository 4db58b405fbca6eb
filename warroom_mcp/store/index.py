"""The index of listings in a SQLite file of its own: it can be made anew, copied and thrown away.

A file that is damaged, or of a newer version, is set aside; the status of the main source says so.

Texts are kept as stems in an FTS5 table without positions, so that one statement finds what shares
rare words with a request; `covers` leads from a technology to its servers, the best first.
"""

import heapq
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from warroom_mcp.listing import (
    RELEVANCE,
    STANDING,
    IndexAnswer,
    Indexed,
    IndexHit,
    IndexQuery,
    ListedTool,
    Listing,
    SourceStatus,
)
from warroom_mcp.models import Candidate
from warroom_mcp.store.database import Database
from warroom_mcp.store.migrations import Migration, Schema

# "WRi1": marks an index file as this program's own.
APPLICATION_ID = 0x57526931
# So many documents may share the words of one search: common words find nothing and cost the most.
MAX_POSTINGS = 3_000
_TABLES = (
    """CREATE TABLE sources (
        name TEXT PRIMARY KEY, synced TEXT, mark TEXT, cursor TEXT, walk INTEGER NOT NULL DEFAULT 0,
        failure TEXT) WITHOUT ROWID""",
    """CREATE TABLE listings (
        row INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, candidate TEXT NOT NULL,
        merit REAL NOT NULL, deprecated INTEGER NOT NULL, starts INTEGER NOT NULL,
        walk INTEGER NOT NULL DEFAULT 0, record BLOB NOT NULL, words BLOB NOT NULL, weights BLOB NOT NULL,
        UNIQUE (source, id))""",
    "CREATE INDEX listings_candidate ON listings (candidate)",
    """CREATE TABLE covers (
        technology TEXT NOT NULL, worth REAL NOT NULL, row INTEGER NOT NULL, strength REAL NOT NULL,
        PRIMARY KEY (technology, worth, row)) WITHOUT ROWID""",
    "CREATE INDEX covers_row ON covers (row)",
    "CREATE VIRTUAL TABLE words USING fts5(stems, tokenize='unicode61 remove_diacritics 0', detail=none)",
    "CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row)",
    """CREATE TABLE tools (
        row INTEGER NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
        PRIMARY KEY (row, name)) WITHOUT ROWID""",
)

SCHEMA = Schema(
    APPLICATION_ID, (Migration("first tables", _TABLES),), synchronous="NORMAL", mapped=1024 * 1024 * 1024
)
_records = msgspec.json.Decoder(Candidate)
_weights = msgspec.json.Decoder(dict[str, float])


class SqliteIndex:
    """An index of listings; creating the object touches nothing."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, schema=SCHEMA, renew=_renewed)
        self.path = path

    async def aclose(self) -> None:
        """Let go of the file."""
        await self._database.aclose()

    # --- writing ---------------------------------------------------------------------------------

    async def put(
        self,
        source: str,
        listings: Sequence[Indexed],
        *,
        removed: Sequence[str] = (),
        walk: int = 0,
        status: SourceStatus | None = None,
    ) -> None:
        """Keep listings of a source in the place of those of the same ids, and forget the removed ones.

        `walk` marks who saw them, a later one for good; `status` is kept with them, or nothing of it all.
        """

        def work(connection: sqlite3.Connection) -> None:
            _drop(connection, _rows(connection, source, removed))
            _put(connection, source, listings, walk)
            if status is not None:
                _tell(connection, status)

        await self._database.write(work)

    async def drop_unseen(self, source: str, walk: int) -> int:
        """Forget what neither a whole walk through a source nor a later one has seen; how many there were."""

        def work(connection: sqlite3.Connection) -> int:
            found = connection.execute(
                "SELECT row FROM listings WHERE source = ? AND walk < ?", (source, walk)
            ).fetchall()
            return _drop(connection, [row for (row,) in found])

        return await self._database.write(work)

    async def tell(self, status: SourceStatus) -> None:
        """Keep how a source stands; the number of listings is counted, not kept."""
        await self._database.write(lambda connection: _tell(connection, status))

    async def forget(self, source: str) -> None:
        """Forget a source with all its listings."""

        def work(connection: sqlite3.Connection) -> None:
            found = connection.execute("SELECT row FROM listings WHERE source = ?", (source,)).fetchall()
            _drop(connection, [row for (row,) in found])
            connection.execute("DELETE FROM sources WHERE name = ?", (source,))

        await self._database.write(work)

    # --- reading ---------------------------------------------------------------------------------

    async def sources(self) -> tuple[SourceStatus, ...]:
        """How every source stands, by name."""
        return await self._database.look(_sources)

    async def search(self, query: IndexQuery) -> IndexAnswer:
        """What covers the technologies, the worthiest first, and what shares rare words."""
        return await self._database.look(lambda connection: _search(connection, query))

    async def lookup(self, candidate_id: str) -> tuple[Candidate, ...]:
        """The candidates of that id, or of that id in a source."""
        return await self._database.read(
            lambda connection: tuple(
                _records.decode(record)
                for (record,) in connection.execute(
                    "SELECT record FROM listings WHERE candidate = ? LIMIT 20", (candidate_id,)
                )
            )
        )

    async def listings(self, source: str, after: str = "", limit: int = 1000) -> tuple[Listing, ...]:
        """The listings of a source in the order of their ids, from the one behind `after`."""
        return await self._database.look(lambda connection: _listings(connection, source, after, limit))

    async def tools(self, candidate_ids: Sequence[str]) -> Mapping[str, tuple[ListedTool, ...]]:
        """The tools that the sources tell of some candidates, by candidate id."""
        return await self._database.look(lambda connection: _tools(connection, candidate_ids))


# The source whose status tells what became of the file.
_MAIN = "registry"


def _renewed(connection: sqlite3.Connection, why: str) -> None:
    _tell(connection, SourceStatus(_MAIN, failure=f"the copy {why}"))


def _tell(connection: sqlite3.Connection, status: SourceStatus) -> None:
    synced = status.synced.isoformat() if status.synced else None
    values = (status.name, synced, status.mark, status.cursor, status.walk, status.failure)
    connection.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?)", values)


_KNOWN = "SELECT row, walk FROM listings WHERE source = ? AND id = ?"


def _rows(connection: sqlite3.Connection, source: str, ids: Iterable[str]) -> list[int]:
    found = (connection.execute(_KNOWN, (source, one)).fetchone() for one in ids)
    return [each[0] for each in found if each is not None]


def _put(connection: sqlite3.Connection, source: str, listings: Sequence[Indexed], walk: int) -> None:
    for each in listings:
        listing, candidate = each.listing, each.listing.candidate
        seen = walk
        if known := connection.execute(_KNOWN, (source, listing.id)).fetchone():
            _drop(connection, known[:1])
            # Two walks may run at once: the older one does not take away what the younger one has seen.
            seen = max(walk, known[1])
        row = connection.execute(
            "INSERT INTO listings (source, id, candidate, merit, deprecated, starts, walk, record, words,"
            " weights) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                source,
                listing.id,
                candidate.id,
                each.merit,
                bool(candidate.deprecated),
                not candidate.unconfirmed,
                seen,
                msgspec.json.encode(candidate),
                msgspec.json.encode(listing.words),
                msgspec.json.encode(each.weights),
            ),
        ).lastrowid
        # Ascending order is the best first; what is deprecated comes after all that is not.
        base = STANDING * each.merit - bool(candidate.deprecated)
        connection.executemany(
            "INSERT INTO covers VALUES (?, ?, ?, ?)",
            [
                (technology, -(RELEVANCE * strength + base), row, strength)
                for technology, strength in each.covers.items()
            ],
        )
        connection.execute("INSERT INTO words (rowid, stems) VALUES (?, ?)", (row, " ".join(each.weights)))
        connection.executemany(
            "INSERT OR IGNORE INTO tools VALUES (?, ?, ?)",
            [(row, tool.name, tool.description) for tool in listing.tools],
        )


def _drop(connection: sqlite3.Connection, rows: Sequence[int]) -> int:
    for table, column in (("listings", "row"), ("covers", "row"), ("tools", "row"), ("words", "rowid")):
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(row,) for row in rows])
    return len(rows)


def _sources(connection: sqlite3.Connection) -> tuple[SourceStatus, ...]:
    counts: dict[str, int] = dict(connection.execute("SELECT source, count(*) FROM listings GROUP BY source"))
    kept = {row[0]: row for row in connection.execute("SELECT * FROM sources")}
    return tuple(_status(name, kept.get(name), counts.get(name, 0)) for name in sorted({*kept, *counts}))


def _status(name: str, row: Sequence[Any] | None, count: int) -> SourceStatus:
    if row is None:
        return SourceStatus(name, count)
    _, synced, mark, cursor, walk, failure = row
    moment = datetime.fromisoformat(synced) if synced else None
    return SourceStatus(name, count, moment, mark, cursor, walk, failure)


def _listings(connection: sqlite3.Connection, source: str, after: str, limit: int) -> tuple[Listing, ...]:
    rows = connection.execute(
        "SELECT row, id, record, words FROM listings WHERE source = ? AND id > ? ORDER BY id LIMIT ?",
        (source, after, limit),
    ).fetchall()
    return tuple(
        Listing(
            id_,
            _records.decode(record),
            tuple(
                ListedTool(*tool)
                for tool in connection.execute("SELECT name, description FROM tools WHERE row = ?", (row,))
            ),
            msgspec.json.decode(words, type=tuple[str, ...]),
        )
        for row, id_, record, words in rows
    )


def _tools(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, tuple[ListedTool, ...]]:
    found: dict[str, tuple[ListedTool, ...]] = {}
    for candidate in ids:
        rows = connection.execute(
            "SELECT DISTINCT tools.name, tools.description FROM listings JOIN tools USING (row)"
            " WHERE candidate = ? ORDER BY tools.name",
            (candidate,),
        )
        if tools := tuple(ListedTool(*row) for row in rows):
            found[candidate] = tools
    return found


def _search(connection: sqlite3.Connection, query: IndexQuery) -> IndexAnswer:
    covers: dict[int, dict[str, float]] = {}
    for technology in query.technologies:
        for row, strength in connection.execute(
            "SELECT row, strength FROM covers WHERE technology = ? ORDER BY worth LIMIT ?",
            (technology, query.limit),
        ):
            covers.setdefault(row, {})[technology] = strength
    rarity: dict[str, tuple[float, int]] = {}
    matching: list[int] = []
    if query.words:
        count = connection.execute("SELECT count(*) FROM listings").fetchone()[0]
        rarity = _rarity(connection, {stem for variants in query.words for stem in variants}, count)
        matching = _gather(connection, query.words, rarity, query.limit * 2)
    rows = {**covers, **dict.fromkeys(matching)}
    hits = _hits(connection, list(rows), covers, frozenset(matching))
    return IndexAnswer(hits, matching, {stem: worth for stem, (worth, _) in rarity.items()})


def _rarity(connection: sqlite3.Connection, stems: Iterable[str], count: int) -> dict[str, tuple[float, int]]:
    """The inverse document frequency of each stem, and how many listings hold it."""
    found: dict[str, tuple[float, int]] = {}
    for stem in stems:
        told = connection.execute("SELECT doc FROM vocabulary WHERE term = ?", (stem,)).fetchone()
        holders = told[0] if told else 0
        found[stem] = (math.log(1 + (count - holders + 0.5) / (holders + 0.5)), holders)
    return found


def _gather(
    connection: sqlite3.Connection,
    words: Sequence[Mapping[str, float]],
    rarity: Mapping[str, tuple[float, int]],
    limit: int,
) -> list[int]:
    """The listings that share the most and the rarest words; a word counts by the best that stands for it."""
    worths = sorted(
        (
            (share * rarity[stem][0], stem, index)
            for index, variants in enumerate(words)
            for stem, share in variants.items()
            if rarity[stem][1]
        ),
        reverse=True,
    )
    left = MAX_POSTINGS
    best: dict[int, dict[int, float]] = {}
    for worth, stem, index in worths:
        holders = rarity[stem][1]
        if holders > left and best:
            continue
        left -= holders
        quoted = '"' + stem.replace('"', "") + '"'
        for (row,) in connection.execute("SELECT rowid FROM words WHERE words MATCH ?", (quoted,)):
            # Worths fall, so what a word has brought first stays its best.
            best.setdefault(row, {}).setdefault(index, worth)
    return heapq.nlargest(limit, best, key=lambda row: sum(best[row].values()))


# SQLite takes so many parameters in one statement, whatever its version.
_AT_ONCE = 500


def _hits(
    connection: sqlite3.Connection,
    rows: Sequence[int],
    covers: Mapping[int, Mapping[str, float]],
    worded: frozenset[int],
) -> list[IndexHit]:
    columns = "row, source, id, record, merit, deprecated, starts"
    found = _by_row(connection, f"SELECT {columns} FROM listings WHERE row", rows)
    weights = _by_row(connection, "SELECT row, weights FROM listings WHERE row", sorted(worded))
    hits = []
    for row in rows:
        source, id_, record, merit, deprecated, starts = found[row]
        texts = _weights.decode(weights[row][0]) if row in worded else {}
        known = covers.get(row, {})
        hits.append(IndexHit(row, source, id_, record, merit, bool(deprecated), bool(starts), known, texts))
    return hits


def _by_row(connection: sqlite3.Connection, statement: str, rows: Sequence[int]) -> dict[int, Sequence[Any]]:
    found: dict[int, Sequence[Any]] = {}
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        found.update((row, rest) for row, *rest in connection.execute(f"{statement} IN ({marks})", some))
    return found
