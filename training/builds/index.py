"""What a build has found so far, in one SQLite file: all that grows with the number of traces is there, not in memory.

The file outlasts a killed process: a piece of input and what came of it are committed together. `Index` holds what
every build has; `ExampleIndex` adds verified examples, `PairIndex` preference pairs.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import orjson

from faultgym.core.errors import TraceError, UserError
from faultgym.core.json import JSON
from faultgym.training.builds.inputs import Chunk
from faultgym.training.filters.rejection import Rejected

E = TypeVar("E")
CACHE_KIB = 32 * 1024
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY, path TEXT, start INTEGER, size INTEGER, lines INTEGER, done INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS rejected (
    reason TEXT PRIMARY KEY, count INTEGER, episode_id TEXT, detail TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS toolsets (key BLOB PRIMARY KEY, data BLOB) WITHOUT ROWID;
"""
FORMAT = 3
"""Of the file: a build that another release began cannot be resumed."""
TOOLSETS = 512
"""Sets of tools that are remembered; a suite offers a few, of which each is longer than most episodes."""


class Index(Generic[E]):
    """The file of one build; only one process at a time has it open.

    Example:
        >>> index = Index()
        >>> index.set_fact("options", {"seed": 3})
        >>> index.reject(Rejected("failed", "b2", "no such order"))
        >>> index.reject(Rejected("failed", "a1", "wrong total"))
        >>> index.fact("options"), index.rejections()
        ({'seed': 3}, {'failed': (2, 'a1', 'wrong total')})
        >>> index.close()
    """

    TABLES: ClassVar[str] = ""
    """Statements that make the tables beside those that every build has."""

    def __init__(self, path: Path | None = None):
        """Open or make the file.

        Args:
            path: The SQLite file; None for an index in memory.

        Raises:
            UserError: Another process has the file open.
            TraceError: The file is damaged.
        """
        self._known_tools: set[bytes] = set()
        self._tools: dict[bytes, list[JSON]] = {}
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._db.executescript(_SCHEMA + self.TABLES)
        except sqlite3.OperationalError as error:
            self._db.close()
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            raise UserError(f"{path} is in use by another build ({error}); wait until it ends, or stop it") from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise TraceError(f"{path} is damaged ({error}); delete its folder and build again") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that is written within, or nothing where the block raises."""
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                self._db.execute("ROLLBACK")
            self._known_tools.clear()
            raise
        self._db.execute("COMMIT")

    def fact(self, name: str) -> Any:
        """A stored JSON value; None where there is none."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def set_fact(self, name: str, value: Any) -> None:
        """Store a JSON value in place of the one before."""
        self._db.execute("REPLACE INTO facts VALUES (?, ?)", (name, orjson.dumps(value).decode()))

    # ---- verification -----------------------------------------------------------------------------

    def plan(self, chunks: Iterable[Chunk]) -> None:
        """Note the chunks that are to be read.

        Args:
            chunks: Numbered in the order given, from 1.
        """
        rows = ((c.path, c.start, c.size, c.lines) for c in chunks)
        self._db.executemany("INSERT INTO chunks (path, start, size, lines) VALUES (?, ?, ?, ?)", rows)

    def pending(self) -> Iterator[tuple[int, Chunk]]:
        """Chunks that were not read yet, a few at a time, so that others may be finished meanwhile.

        Yields:
            (number, chunk), by number.
        """
        after = 0
        while True:
            query = "SELECT id, path, start, size, lines FROM chunks WHERE NOT done AND id > ? ORDER BY id LIMIT 64"
            rows = self._db.execute(query, (after,)).fetchall()
            if not rows:
                return
            for number, *rest in rows:
                yield number, Chunk(*rest)
            after = rows[-1][0]

    def progress(self) -> tuple[int, int]:
        """How much of the input was read.

        Returns:
            (traces read, traces in all).
        """
        done, total = self._db.execute("SELECT total(lines * done), total(lines) FROM chunks").fetchone()
        return int(done), int(total)

    def finish(self, number: int, found: Sequence[E | Rejected]) -> None:
        """Store what came of a chunk and mark the chunk as read, all or nothing.

        Args:
            number: The chunk's number, from `pending`.
            found: What came of each of its lines.
        """
        with self.transaction():
            for one in found:
                if isinstance(one, Rejected):
                    self.reject(one)
                else:
                    self.add(one)
            self._db.execute("UPDATE chunks SET done = 1 WHERE id = ?", (number,))

    def add(self, entry: E) -> None:
        """Store what was found worth keeping; equal entries once.

        Raises:
            NotImplementedError: The index is of no kind that has entries; subclasses say how to store theirs.
        """
        raise NotImplementedError

    def reject(self, one: Rejected) -> None:
        """Count a rejection; the first by episode id is kept as the reason's example."""
        self._db.execute(
            """INSERT INTO rejected VALUES (?, 1, ?, ?) ON CONFLICT (reason) DO UPDATE SET count = count + 1,
            detail = iif((excluded.episode_id, excluded.detail) < (episode_id, detail), excluded.detail, detail),
            episode_id = min(excluded.episode_id, episode_id)""",
            (one.reason, one.episode_id, one.detail[:300]),
        )

    def keep_tools(self, tools: bytes) -> bytes:
        """Store a set of tools once.

        Args:
            tools: The tools as JSON.

        Returns:
            The key of the set, 16 bytes, by which `tools` finds it.
        """
        key = blake2b(tools, digest_size=16).digest()
        if key not in self._known_tools:
            self._db.execute("INSERT OR IGNORE INTO toolsets VALUES (?, ?)", (key, zlib.compress(tools)))
            if len(self._known_tools) < TOOLSETS:
                self._known_tools.add(key)
        return key

    def tools(self, key: bytes) -> list[JSON]:
        """A stored set of tools.

        Args:
            key: What `keep_tools` gave.
        """
        found = self._tools.get(key)
        if found is None:
            data = self._db.execute("SELECT data FROM toolsets WHERE key = ?", (key,)).fetchone()[0]
            found = orjson.loads(zlib.decompress(data))
            if len(self._tools) < TOOLSETS:
                self._tools[key] = found
        return found

    def _count(self, name: str) -> None:
        self._db.execute(
            "INSERT INTO facts VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = CAST(value + 1 AS TEXT)", (name,)
        )

    def rejections(self) -> dict[str, tuple[int, str, str]]:
        """The rejections counted so far.

        Returns:
            Reason -> (how many, the first one's episode id, what was found in that trace), sorted by reason.
        """
        rows = self._db.execute("SELECT reason, count, episode_id, detail FROM rejected ORDER BY reason")
        return {reason: (count, episode_id, detail) for reason, count, episode_id, detail in rows}
