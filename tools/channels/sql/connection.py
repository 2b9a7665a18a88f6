"""The SQL tool: one SQLite connection with a trusted and a guarded door.

An episode's world is one in-memory database. The service writes it through `raw`, with full
rights; a model's statements go through `GuardedConnection.run`, which never raises for them. A
statement passes three gates, the first two once per text and schema:

1. its text (`scan.py`): form, length, and how far it expands while SQLite prepares it;
2. a sketch of the database that holds only what the policy shows. A hidden table does not exist
   there, so the engine's own message is the one for a table that does not exist, and an
   allow-list authorizer records which tables the statement reads and writes;
3. the real connection, where the same authorizer stands behind a flag (installing it anew would
   throw away every prepared statement), with limits on string length, opcodes, memory, time, rows.

The opcode budget is what cuts a statement that does too much, at the same place every time. Time
and memory are a backstop for the few functions whose one opcode is dear; only a statement built to
burn them meets it, and it gets the same message.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from faultgym.core.bank import banked
from faultgym.core.values import maker
from faultgym.tools.channels.sql import time as sqltime
from faultgym.tools.channels.sql.policy import (
    HINT,
    LIMITS,
    MAX_VALUE_BYTES,
    SCHEMA_TABLE,
    Allowed,
    Sketch,
    SqlPolicy,
    StatementVerdict,
    message,
    quoted,
    sketch,
)
from faultgym.tools.exchange import SqlReply

_UNLIMITED = 1_000_000_000
_ROOM = 256 * 1024
"""Bytes by which guarded writes may enlarge a database: rows that double at each statement stop soon."""
_UNCAPPED = "PRAGMA max_page_count = 16384"
_PRAGMAS = (
    "PRAGMA temp_store = MEMORY",  # a sort that spills would open a file
    "PRAGMA cache_size = 8",  # the pages are in memory anyway; a cache holds them twice
    _UNCAPPED,
    "PRAGMA shrink_memory",  # gives back the 20 pages that were set aside before the cache was small
)

_TICK = 1_000
"""Opcodes between two progress callbacks."""
_SECONDS = 0.5
_GROWTH = 64 << 20
"""Bytes by which the process may grow during one statement."""
_reply = maker(SqlReply)


class GuardedConnection:
    """A SQLite connection in memory with a trusted door (`raw`) and a guarded one (`run`).

    The schema must not change after the first `run`, and no transaction may be open around one.

    Args:
        image: A serialized database to open a copy of; None for an empty one.
        policy: What the guarded door shows and allows.
        largest: Bytes to which guarded writes may enlarge the database; by default, 256 KiB more than the image.

    Example:
        >>> connection = GuardedConnection(None, SqlPolicy({"orders": frozenset({"id"})}))
        >>> _ = connection.raw.executescript("CREATE TABLE orders (id, cost); INSERT INTO orders VALUES ('ORD-1', 5)")
        >>> connection.run("SELECT * FROM orders", write_allowed=False).error
        'not authorized: name the columns you need instead of *. ...'
        >>> connection.run("SELECT id FROM orders", write_allowed=False).rows
        [('ORD-1',)]
    """

    __slots__ = ("_cap", "_gate", "_guard", "_policy", "_verdicts", "raw")

    def __init__(self, image: bytes | None, policy: SqlPolicy, *, largest: int = 0) -> None:
        self.raw = sqlite3.connect(":memory:", isolation_level=None, cached_statements=64, check_same_thread=False)
        if image is not None:
            self.raw.deserialize(image)
        for pragma in _PRAGMAS:
            self.raw.execute(pragma)
        for limit, value in LIMITS.items():
            self.raw.setlimit(limit, value)
        self._policy = policy
        self._guard = _Guard(policy)
        sqltime.install(self.raw, self._guard.moment)
        self.raw.set_authorizer(self._guard.authorize)
        self.raw.set_progress_handler(self._guard.progress, _TICK)
        self._cap = f"PRAGMA max_page_count = {(largest or len(image or b'') + _ROOM) // _page_size(image)}"
        self._gate: Sketch | None = None
        self._verdicts: dict[str, StatementVerdict] = {}

    def run(self, statement: str, *, write_allowed: bool, now: Callable[[], str] | None = None) -> SqlReply:
        """Run one statement of a model; what is wrong with the statement is the reply's `error`.

        Args:
            statement: One SQLite statement.
            write_allowed: Whether the statement may change the policy's writable tables.
            now: Gives the virtual time (ISO, UTC) when a date function asks for it, per call because episodes share
                a connection; without it, the time is NULL.

        Returns:
            The rows up to the policy's caps, bytes and infinities as text; for a write, the number of rows changed.

        Raises:
            sqlite3.DatabaseError: The database is closed or broken.
        """
        verdict = self._verdicts.get(statement)
        if verdict is None:
            verdict = self._judge(statement)
        if verdict.refusal is not None:
            return verdict.refusal
        if verdict.writes and not write_allowed:
            return SqlReply(error="not authorized: this tool only reads. Use SELECT.")
        guard, raw = self._guard, self.raw
        if verdict.writes:
            raw.execute(self._cap)
        guard.active = True
        guard.ticks = 0
        guard.now = now
        raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        try:
            cursor = raw.execute(verdict.text)
            columns = verdict.columns
            if columns is None:
                described = cursor.description
                columns = verdict.columns = tuple([c[0] for c in described]) if described else ()
            rows, truncated = _collect(cursor, self._policy) if columns else ((), False)
            if not verdict.writes:
                return _reply(columns, rows, truncated=truncated, tables=verdict.tables)
            for _ in cursor:  # a write counts its rows once its RETURNING rows are read to the end
                pass
            return _reply(columns, rows, changes=max(cursor.rowcount, 0), truncated=truncated, tables=verdict.tables)
        except _BY_STATEMENT as error:
            return SqlReply(error=message(error), tables=verdict.tables)
        except sqlite3.DatabaseError:
            if not guard.denied:
                raise
            guard.denied = False
            return SqlReply(error=f"not authorized: name the columns you need instead of *. {HINT}")
        finally:
            raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _UNLIMITED)
            guard.active = False
            guard.now = None
            if verdict.writes:
                raw.execute(_UNCAPPED)

    def writes(self, statement: str) -> bool:
        """Whether the statement would change something if it ran and were allowed to."""
        return (self._verdicts.get(statement) or self._judge(statement)).writes

    def _judge(self, statement: str) -> StatementVerdict:
        if self._gate is None:
            schema = tuple(self.raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall())
            self._gate = sketch(self._policy, schema)
            self._verdicts = self._gate.verdicts
            self._guard.allowed = self._gate.allowed
        return self._verdicts.get(statement) or self._gate.judge(statement)

    def serialize(self) -> bytes:
        """The database as an image for another `GuardedConnection`."""
        return self.raw.serialize()

    def close(self) -> None:
        """Close the database, whose contents are lost."""
        self.raw.close()


_BY_STATEMENT = (
    sqlite3.OperationalError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.NotSupportedError,
    MemoryError,
    OverflowError,
    UnicodeError,
)
"""What a statement can cause. A closed or broken database is ours, and is raised."""


def _collect(cursor: sqlite3.Cursor, policy: SqlPolicy) -> tuple[list[tuple[Any, ...]], bool]:
    """Rows up to the caps, and whether there were more. Stops reading at the cap."""
    rows: list[tuple[Any, ...]] = []
    left = policy.max_bytes
    for row in cursor:
        if len(rows) == policy.max_rows:
            return rows, True
        for value in row:
            kind = type(value)
            if kind is str:
                left -= len(value) if value.isascii() else len(value.encode())
            elif kind is bytes or (kind is float and value - value != 0.0):
                row = tuple([_plain(v) for v in row])
                left -= 2 * len(value) if kind is bytes else 8
            else:
                left -= 8
        if left < 0:
            if not rows:  # one row wider than the cap: its beginning says more than nothing
                share = policy.max_bytes // len(row)
                rows.append(tuple([v[:share] if isinstance(v, str) else v for v in row]))
            return rows, True
        rows.append(row)
    return rows, False


def _plain(value: Any) -> Any:
    """Bytes and infinities as SQLite's shell prints them; neither fits into JSON."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float) and value - value != 0.0:
        return "Inf" if value > 0 else "-Inf"
    return value


class _Guard:
    """Authorizer and progress callback of one connection; both idle while `active` is off."""

    __slots__ = ("_resident", "_since", "_ticks_allowed", "active", "allowed", "denied", "now", "ticks")

    def __init__(self, policy: SqlPolicy) -> None:
        self.allowed = Allowed(policy)
        self._ticks_allowed = max(1, policy.max_opcodes // _TICK)
        self.active = False
        self.denied = False
        self.now: Callable[[], str] | None = None
        self.ticks = 0
        self._since = 0.0
        self._resident = 0

    def moment(self) -> str | None:
        return self.now() if self.now else None

    def authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if not self.active:
            return sqlite3.SQLITE_OK
        if self.allowed[action, first, second]:
            self.denied = True
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def progress(self) -> bool:
        """True interrupts the statement."""
        if not self.active:
            return False
        self.ticks += 1
        if self.ticks == 1:
            self._since, self._resident = time.monotonic(), _resident()
            return False
        if self.ticks > self._ticks_allowed or time.monotonic() - self._since > _SECONDS:
            return True
        return self.ticks % 4 == 0 and _resident() - self._resident > _GROWTH


def _page_size(image: bytes | None) -> int:
    """From the header of the file format (sqlite.org/fileformat2.html, 1.3.2)."""
    size = int.from_bytes((image or b"")[16:18], "big")
    return {0: 4096, 1: 65_536}.get(size, size)


def _resident() -> int:
    """Bytes of this process in memory; its peak where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            return int(stream.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def write_schema_table(connection: sqlite3.Connection, readable: Mapping[str, frozenset[str]]) -> None:
    """Create the public table `schema`: one row per readable column, with keys in `note`.

    Args:
        connection: The database, by its trusted door; its tables must be there, and none called `schema`.
        readable: Table -> columns that are listed.
    """
    connection.execute(f"CREATE TABLE {SCHEMA_TABLE} (table_name TEXT, column_name TEXT, type TEXT, note TEXT)")
    for table in sorted(readable):
        targets = {
            column: f"references {other}" + (f".{key}" if key else "")
            for other, column, key in connection.execute(
                'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?)', (table,)
            )
            if other in readable
        }
        present = connection.execute("SELECT name, type, pk FROM pragma_table_xinfo(?)", (table,)).fetchall()
        for name, type_, pk in present:
            if name in readable[table]:
                note = "; ".join(filter(None, ["primary key" if pk else "", targets.get(name, "")]))
                connection.execute(f"INSERT INTO {SCHEMA_TABLE} VALUES (?, ?, ?, ?)", (table, name, type_, note))


@banked("code", 256)
def real_lock_message(kind: Literal["busy", "locked", "readonly"], table: str = "t") -> str:
    """The engine's own words for a lock, from two real connections to one database in memory.

    Args:
        kind: `busy`: another connection writes; `locked`: another one holds the table; `readonly`.
        table: The table that `locked` names.

    Example:
        >>> real_lock_message("locked", "orders")
        'database table is locked: orders'
    """
    shared = kind == "locked"
    target = "file:faultgym_lock?mode=memory&cache=shared" if shared else "file:/faultgym_lock?vfs=memdb"
    first = sqlite3.connect(target, uri=True, isolation_level=None, timeout=0)
    second = sqlite3.connect(
        target + ("&mode=ro" if kind == "readonly" else ""), uri=True, isolation_level=None, timeout=0
    )
    name = quoted(table)
    try:
        first.execute(f"CREATE TABLE {name} (a)")
        if kind != "readonly":
            first.execute("BEGIN IMMEDIATE")
            first.execute(f"INSERT INTO {name} VALUES (1)")
        second.execute(f"SELECT * FROM {name}" if shared else f"INSERT INTO {name} VALUES (2)")
    except sqlite3.OperationalError as error:
        return str(error)
    finally:
        second.close()
        first.close()
    raise AssertionError(f"SQLite {sqlite3.sqlite_version} did not refuse: {kind}")
