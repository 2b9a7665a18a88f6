"""What a build has found so far, in one SQLite file: all that grows with the number of traces is there, not in memory.

The file outlasts a killed process: a piece of input and what came of it are committed together. `chunks`, `examples`,
`bodies` and `rejected` are filled by verification; `live` is made from them by `choose`, anew each time.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from faultgym.core.errors import TraceError, UserError
from faultgym.core.json import JSON
from faultgym.training.builds.inputs import Chunk
from faultgym.training.examples import SFTExample
from faultgym.training.filters.dedupe import (
    PERMUTATIONS,
    DedupThresholds,
    DuplicateGroup,
    exact_key,
    group_key,
    signature,
)
from faultgym.training.filters.mix import MixReport, MixWeights, SampleCaps, fair, leads, mix_report, quotas, rank
from faultgym.training.filters.select import Rejected, example_of, example_record

CACHE_KIB = 32 * 1024
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY, path TEXT, start INTEGER, size INTEGER, lines INTEGER, done INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS rejected (
    reason TEXT PRIMARY KEY, count INTEGER, episode_id TEXT, detail TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS examples (
    id INTEGER PRIMARY KEY, exact BLOB UNIQUE, grp BLOB, rank INTEGER, episode_id TEXT, kind TEXT, contracts TEXT,
    template TEXT, task TEXT);
CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, signature BLOB, data BLOB, tools BLOB);
CREATE TABLE IF NOT EXISTS toolsets (key BLOB PRIMARY KEY, data BLOB) WITHOUT ROWID;
"""
FORMAT = 3
"""Of the file: a build that another release began cannot be resumed."""
TOOLSETS = 512
"""Sets of tools that are remembered; a suite offers a few, of which each is longer than most episodes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An example as the index holds it."""

    exact: bytes
    group: bytes
    rank: int
    episode_id: str
    kind: str
    contracts: str
    template: str
    task: str
    signature: bytes
    data: bytes
    """The example without its tools."""
    tools: bytes

    @classmethod
    def of(cls, example: SFTExample, seed: int) -> Entry:
        """The entry of an example; needs datasketch."""
        origin, exact = example.origin, exact_key(example)
        record = example_record(example)
        tools = orjson.dumps(record.pop("tools"))
        return cls(
            exact,
            group_key(example),
            rank(seed, exact),
            origin.episode_id,
            example.kind,
            ",".join(example.contracts),
            f"{origin.suite}/{origin.template}",
            origin.task,
            signature(example).tobytes(),
            zlib.compress(orjson.dumps(record), 1),
            tools,
        )


class Index:
    """The file of one build. One process at a time has it open."""

    def __init__(self, path: Path | None = None):
        """Open or make the file; without a path it is in memory. Raises UserError when another process has it."""
        self._known_tools: set[bytes] = set()
        self._tools: dict[bytes, list[JSON]] = {}
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._db.executescript(_SCHEMA)
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
        """All or nothing of what is written within."""
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
        """A stored JSON value; None when there is none."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def set_fact(self, name: str, value: Any) -> None:
        """Store a JSON value."""
        self._db.execute("REPLACE INTO facts VALUES (?, ?)", (name, orjson.dumps(value).decode()))

    # ---- verification -----------------------------------------------------------------------------

    def plan(self, chunks: Iterable[Chunk]) -> None:
        """Note what is to be read."""
        rows = ((c.path, c.start, c.size, c.lines) for c in chunks)
        self._db.executemany("INSERT INTO chunks (path, start, size, lines) VALUES (?, ?, ?, ?)", rows)

    def pending(self) -> Iterator[tuple[int, Chunk]]:
        """Chunks that were not read yet, with their numbers; a few at a time, so that others may be finished."""
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
        """(traces read, traces there are)."""
        done, total = self._db.execute("SELECT total(lines * done), total(lines) FROM chunks").fetchone()
        return int(done), int(total)

    def finish(self, number: int, found: Sequence[Entry | Rejected]) -> None:
        """Store what came of a chunk, all or nothing."""
        with self.transaction():
            for one in found:
                if isinstance(one, Entry):
                    self.add(one)
                else:
                    self.reject(one)
            self._db.execute("UPDATE chunks SET done = 1 WHERE id = ?", (number,))

    def reject(self, one: Rejected) -> None:
        """Count a rejection; the first by episode id is kept as the reason's example."""
        self._db.execute(
            """INSERT INTO rejected VALUES (?, 1, ?, ?) ON CONFLICT (reason) DO UPDATE SET count = count + 1,
            detail = iif((excluded.episode_id, excluded.detail) < (episode_id, detail), excluded.detail, detail),
            episode_id = min(excluded.episode_id, episode_id)""",
            (one.reason, one.episode_id, one.detail[:300]),
        )

    def add(self, entry: Entry) -> None:
        """Store an example. Of exact duplicates the one with the smallest episode id stays, then the smallest."""
        e = entry
        row = (e.exact, e.group, e.rank, e.episode_id, e.kind, e.contracts, e.template, e.task)
        old = self._db.execute("SELECT id, episode_id FROM examples WHERE exact = ?", (e.exact,)).fetchone()
        if old is not None:
            self._count("exact_duplicate")
            if (old[1], self._body(old[0])) <= (e.episode_id, e.data):
                return
            self._db.execute("DELETE FROM examples WHERE id = ?", (old[0],))
            self._db.execute("DELETE FROM bodies WHERE id = ?", (old[0],))
        places = ", ".join("?" * (len(row) + 1))
        number = None if old is None else old[0]
        done = self._db.execute(f"INSERT INTO examples VALUES ({places})", (number, *row))
        body = (done.lastrowid, e.signature, e.data, self.keep_tools(e.tools))
        self._db.execute("INSERT INTO bodies VALUES (?, ?, ?, ?)", body)

    def keep_tools(self, tools: bytes) -> bytes:
        """Store a set of tools once; its key."""
        key = blake2b(tools, digest_size=16).digest()
        if key not in self._known_tools:
            self._db.execute("INSERT OR IGNORE INTO toolsets VALUES (?, ?)", (key, zlib.compress(tools)))
            if len(self._known_tools) < TOOLSETS:
                self._known_tools.add(key)
        return key

    def tools(self, key: bytes) -> list[JSON]:
        """A stored set of tools."""
        found = self._tools.get(key)
        if found is None:
            data = self._db.execute("SELECT data FROM toolsets WHERE key = ?", (key,)).fetchone()[0]
            found = orjson.loads(zlib.decompress(data))
            if len(self._tools) < TOOLSETS:
                self._tools[key] = found
        return found

    def _body(self, number: int) -> bytes:
        data: bytes = self._db.execute("SELECT data FROM bodies WHERE id = ?", (number,)).fetchone()[0]
        return data

    def _count(self, name: str) -> None:
        self._db.execute(
            "INSERT INTO facts VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = CAST(value + 1 AS TEXT)", (name,)
        )

    def rejections(self) -> dict[str, tuple[int, str, str]]:
        """Reason -> (how many, the first one's episode id, what was found in it)."""
        rows = self._db.execute("SELECT reason, count, episode_id, detail FROM rejected ORDER BY reason")
        return {reason: (count, episode_id, detail) for reason, count, episode_id, detail in rows}

    def accepted(self) -> int:
        """Examples, exact duplicates counted once."""
        count: int = self._db.execute("SELECT count(*) FROM examples").fetchone()[0]
        return count

    # ---- choice -----------------------------------------------------------------------------------

    def choose(self, grades: DedupThresholds, caps: SampleCaps, mix: MixWeights) -> tuple[MixReport, dict[str, int]]:
        """Leave in `live` what goes into the data set; (what it is, what was left out as a duplicate)."""
        with self.transaction():
            self._db.execute("DROP TABLE IF EXISTS live")
            self._db.execute(
                "CREATE TABLE live (id INTEGER PRIMARY KEY, rank INTEGER, exact BLOB, kind TEXT, contracts TEXT,"
                " template TEXT, task TEXT, lead TEXT DEFAULT '')"
            )
            duplicates = self._without_duplicates(grades)
            left_out = {
                "task_cap": self._cap("task", caps.per_task),
                "template_cap": self._cap("template", caps.per_template),
                "mix": self._mixed(mix),
            }
            return self._report(mix, left_out), duplicates

    def _without_duplicates(self, grades: DedupThresholds) -> dict[str, int]:
        """Fill `live`, group by group."""
        count: Counter[str] = Counter({"exact_duplicate": int(self.fact("exact_duplicate") or 0)})
        self._db.execute("CREATE INDEX IF NOT EXISTS grouped ON examples (grp, episode_id, exact)")
        group, current = DuplicateGroup(grades), b""
        kept: list[tuple[int]] = []
        for number, key in self._db.execute("SELECT id, grp FROM examples ORDER BY grp, episode_id, exact"):
            if key != current:
                group, current = DuplicateGroup(grades), key
            mine = self._db.execute("SELECT signature FROM bodies WHERE id = ?", (number,)).fetchone()[0]
            why = group.verdict(np.frombuffer(mine, dtype=np.uint32, count=PERMUTATIONS))
            if why:
                count[why] += 1
                continue
            kept.append((number,))
            if len(kept) == 1000:
                self._keep(kept)
        self._keep(kept)
        return {name: n for name, n in count.items() if n}

    def _keep(self, kept: list[tuple[int]]) -> None:
        columns = "id, rank, exact, kind, contracts, template, task"
        self._db.executemany(f"INSERT INTO live ({columns}) SELECT {columns} FROM examples WHERE id = ?", kept)
        kept.clear()

    def _cap(self, column: str, most: int) -> int:
        """Keep the first so many of each value of a column."""
        return self._drop(
            f"SELECT id, row_number() OVER (PARTITION BY {column} ORDER BY rank, exact) > {most} AS beyond FROM live"
        )

    def _drop(self, ranked: str) -> int:
        return self._db.execute(f"DELETE FROM live WHERE id IN (SELECT id FROM ({ranked}) WHERE beyond)").rowcount

    def _mixed(self, mix: MixWeights) -> int:
        """Keep the first so many of each kind, and of recoveries so many of each contract."""
        counts = dict(self._db.execute("SELECT kind, count(*) FROM live GROUP BY kind"))
        wanted = quotas(counts, mix)
        combined = {
            tuple(text.split(",")): n
            for text, n in self._db.execute(
                "SELECT contracts, count(*) FROM live WHERE kind = 'recovery' GROUP BY contracts"
            )
        }
        lead, shown = leads(combined), Counter[str]()
        for contracts, count in combined.items():
            shown[lead[contracts]] += count
            self._db.execute(
                "UPDATE live SET lead = ? WHERE kind = 'recovery' AND contracts = ?",
                (lead[contracts], ",".join(contracts)),
            )
        limits = [(kind, "", n) for kind, n in wanted.items() if kind != "recovery"]
        limits += [("recovery", name, n) for name, n in fair(shown, wanted.get("recovery", 0)).items()]
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS quota (kind TEXT, lead TEXT, most INTEGER)")
        self._db.execute("DELETE FROM quota")
        self._db.executemany("INSERT INTO quota VALUES (?, ?, ?)", limits)
        return self._drop(
            "SELECT l.id, row_number() OVER (PARTITION BY l.kind, l.lead ORDER BY l.rank, l.exact)"
            " > coalesce(q.most, 0) AS beyond FROM live l LEFT JOIN quota q ON q.kind = l.kind AND q.lead = l.lead"
        )

    def _report(self, mix: MixWeights, left_out: dict[str, int]) -> MixReport:
        def by(column: str, where: str = "") -> dict[str, int]:
            return dict(self._db.execute(f"SELECT {column}, count(*) FROM live {where} GROUP BY {column}"))

        contracts: Counter[str] = Counter()
        for text, count in by("contracts", "WHERE kind = 'recovery'").items():
            for contract in text.split(","):
                contracts[contract] += count
        return mix_report(by("kind"), contracts, by("template"), mix, left_out)

    def chosen(self) -> Iterator[SFTExample]:
        """What was chosen, in the order in which it is written."""
        numbers = self._db.execute("SELECT id FROM live ORDER BY rank, exact")
        query = "SELECT data, tools FROM bodies WHERE id = ?"
        for (number,) in numbers:  # one by one: a sort of whole bodies would go through the disk twice
            data, tools = self._db.execute(query, (number,)).fetchone()
            yield example_of({**orjson.loads(zlib.decompress(data)), "tools": self.tools(tools)})
