"""The SQL tool: one SQLite connection with a trusted and a guarded door.

An episode's world is one in-memory database. The service writes it through `raw`, with full
rights; a model's statements go through `GuardedConnection.run`, which never raises for them. A
statement passes three gates, the first two once per text and schema:

1. its text (`sqlscan.py`): form, length, and how far it expands while SQLite prepares it;
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

import functools
import resource
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from faultgym.tools import sqlscan, sqltime
from faultgym.tools.exchange import SqlReply

SCHEMA_TABLE = "schema"
SCHEMA_COLUMNS = frozenset({"table_name", "column_name", "type", "note"})

FUNCTIONS = sqltime.FUNCTIONS | frozenset(
    "abs avg ceil ceiling coalesce count cume_dist dense_rank first_value floor glob group_concat hex ifnull"
    " iif instr lag last_value lead length like likelihood likely lower ltrim max min mod nth_value ntile"
    " nullif percent_rank quote rank replace round row_number rtrim sign substr substring sum total trim"
    " typeof unicode unlikely upper".split()
)
"""What a model may call: pure, and at most as long as their arguments or the length limit."""

_LONGEST_VALUE = 16_384
"""Bytes of one string or row while the guarded door is open."""
_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
}
"""Limits that no trusted statement comes near, so that they need not be switched."""
_UNLIMITED = 1_000_000_000
_PRAGMAS = (
    "PRAGMA temp_store = MEMORY",  # a sort that spills would open a file
    "PRAGMA cache_size = 8",  # the pages are in memory anyway; a cache holds them twice
    "PRAGMA max_page_count = 16384",
    "PRAGMA shrink_memory",  # gives back the 20 pages that were set aside before the cache was small
)

_TICK = 1_000
"""Opcodes between two progress callbacks."""
_SECONDS = 0.5
_GROWTH = 64 << 20
"""Bytes by which the process may grow during one statement."""

_DOOR = "/* guarded */ "
"""Before every guarded text. Statements are cached by text and authorized only when prepared: no
trusted text starts like this, so neither door ever finds what the other prepared."""

_HINT = "For the tables and their columns, use SELECT * FROM schema."
_TOO_MUCH = "interrupted: the statement does too much work. Narrow it with WHERE, or join on a key."
_ACTIONS = {
    getattr(sqlite3, f"SQLITE_{name}"): name
    for name in "INSERT UPDATE DELETE READ SELECT FUNCTION RECURSIVE PRAGMA ATTACH DETACH TRANSACTION SAVEPOINT"
    " ANALYZE REINDEX CREATE_TABLE DROP_TABLE CREATE_INDEX DROP_INDEX CREATE_VIEW CREATE_TRIGGER"
    " ALTER_TABLE".split()
}


@dataclass(frozen=True, slots=True)
class SqlPolicy:
    """What the guarded door shows, and how much of it. Tables only: views and triggers are not followed."""

    readable: Mapping[str, frozenset[str]] = field(hash=False)
    """Table -> readable columns, spelled as in the schema. A table or column absent here does not
    exist for the model. The table `schema` (`write_schema_table`) is readable without being named."""
    writable: frozenset[str] = frozenset()
    """Tables where INSERT, UPDATE and DELETE are allowed."""
    max_rows: int = 50
    max_bytes: int = 8_000
    """Of the values of the rows returned, as UTF-8."""
    max_opcodes: int = 1_000_000
    """Steps of SQLite's virtual machine per statement; about 20 ms."""


class GuardedConnection:
    """A SQLite connection in memory with a trusted door (`raw`) and a guarded one (`run`).

    The schema must not change after the first `run`, and no transaction may be open around one.
    """

    __slots__ = ("_gate", "_guard", "_policy", "_verdicts", "raw")

    def __init__(
        self, image: bytes | None, policy: SqlPolicy, now: Callable[[], str | None] = lambda: None
    ) -> None:
        """Open a copy of `image` (`sqlite3` serialized), or an empty database.

        `now` gives the virtual time (`YYYY-MM-DD HH:MM:SS`, UTC) that the date functions read.
        """
        self.raw = sqlite3.connect(
            ":memory:", isolation_level=None, cached_statements=64, check_same_thread=False
        )
        if image is not None:
            self.raw.deserialize(image)
        for pragma in _PRAGMAS:
            self.raw.execute(pragma)
        for limit, value in _LIMITS.items():
            self.raw.setlimit(limit, value)
        sqltime.install(self.raw, now)
        self._policy = policy
        self._guard = _Guard(policy)
        self.raw.set_authorizer(self._guard.authorize)
        self.raw.set_progress_handler(self._guard.progress, _TICK)
        self._gate: _Sketch | None = None
        self._verdicts: dict[str, _Verdict] = {}

    def run(self, statement: str, *, write_allowed: bool) -> SqlReply:
        """Run one statement of a model; whatever is wrong with it is the reply's `error`."""
        verdict = self._verdicts.get(statement)
        if verdict is None:
            verdict = self._judge(statement)
        if verdict.refusal is not None:
            return verdict.refusal
        if verdict.writes and not write_allowed:
            return SqlReply(error="not authorized: this tool only reads. Use SELECT.")
        guard, raw = self._guard, self.raw
        guard.active = True
        guard.ticks = 0
        raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        try:
            cursor = raw.execute(verdict.text)
            columns = verdict.columns
            if columns is None:
                described = cursor.description
                columns = verdict.columns = tuple([c[0] for c in described]) if described else ()
            rows, truncated = _collect(cursor, self._policy) if columns else ((), False)
            if not verdict.writes:
                return SqlReply(columns, rows, 0, truncated, tables=verdict.tables)
            for _ in cursor:  # a write counts its rows once its RETURNING rows are read to the end
                pass
            return SqlReply(columns, rows, max(cursor.rowcount, 0), truncated, tables=verdict.tables)
        except _BY_STATEMENT as error:
            return SqlReply(error=_message(error), tables=verdict.tables)
        except sqlite3.DatabaseError:
            if not guard.denied:
                raise
            return SqlReply(error=f"not authorized: name the columns you need instead of *. {_HINT}")
        finally:
            raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _UNLIMITED)
            guard.active = False

    def _judge(self, statement: str) -> _Verdict:
        if self._gate is None:
            schema = tuple(self.raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall())
            self._gate = _sketch(self._policy, schema)
            self._verdicts = self._gate.verdicts
            self._guard.allowed = self._gate.allowed
        return self._verdicts.get(statement) or self._gate.judge(statement)

    def serialize(self) -> bytes:
        """The database as an image for another `GuardedConnection`."""
        return self.raw.serialize()

    def close(self) -> None:
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


def _message(error: BaseException) -> str:
    text = str(error)
    if text == "interrupted":
        return _TOO_MUCH
    if isinstance(error, MemoryError):  # SQLite's answer to a program longer than its opcode limit
        return "statement too complex: split it into simpler ones"
    if text == "string or blob too big":
        return f"{text}: at most {_LONGEST_VALUE} bytes per value or row"
    return text


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


class _Allowed(dict[tuple[int, str | None, str | None], str]):
    """(action, first, second) of the authorizer -> objection, empty when allowed. Keeps what it allowed."""

    def __init__(self, policy: SqlPolicy) -> None:
        self._policy = policy

    def __missing__(self, key: tuple[int, str | None, str | None]) -> str:
        objection = _objection(self._policy, *key)
        if not objection:  # a model can invent names without end, but not names that are allowed
            self[key] = objection
        return objection


class _Guard:
    """Authorizer and progress callback of one connection; both idle while `active` is off."""

    __slots__ = ("_resident", "_since", "_ticks_allowed", "active", "allowed", "denied", "ticks")

    def __init__(self, policy: SqlPolicy) -> None:
        self.allowed = _Allowed(policy)
        self._ticks_allowed = max(1, policy.max_opcodes // _TICK)
        self.active = False
        self.denied = False
        self.ticks = 0
        self._since = 0.0
        self._resident = 0

    def authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if not self.active:
            return sqlite3.SQLITE_OK
        self.denied = bool(self.allowed[action, first, second])
        return sqlite3.SQLITE_DENY if self.denied else sqlite3.SQLITE_OK

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


def _resident() -> int:
    """Bytes of this process in memory; its peak where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            return int(stream.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _objection(policy: SqlPolicy, action: int, first: str | None, second: str | None) -> str:
    """Why the policy refuses one action of the authorizer; empty when it allows it."""
    name = _ACTIONS.get(action, "this kind of statement")
    if action == sqlite3.SQLITE_SELECT:
        return ""
    if action == sqlite3.SQLITE_READ:
        columns = SCHEMA_COLUMNS if first == SCHEMA_TABLE else policy.readable.get(first or "")
        if columns is not None and (not second or second in columns or second == "ROWID"):
            return ""
        return f"not authorized: reading {first}. {_HINT}"
    if action == sqlite3.SQLITE_FUNCTION:
        if (second or "").lower() in FUNCTIONS:
            return ""
        return f"not authorized: function {second}. Allowed: {', '.join(sorted(FUNCTIONS))}."
    if action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE):
        if first in policy.writable:
            if action != sqlite3.SQLITE_UPDATE or second in policy.readable.get(first, ()):
                return ""
            return f"not authorized: UPDATE of that column of {first}. {_HINT}"
        if (first or "").startswith("sqlite_"):  # an eponymous virtual table declares itself there
            return f"not authorized: system tables and table-valued functions. {_HINT}"
        return f"not authorized: {name} on {first}. Writable: {', '.join(sorted(policy.writable)) or 'none'}."
    if action == sqlite3.SQLITE_RECURSIVE:
        return "not authorized: recursive common table expressions"
    return f"not authorized: {name.replace('_', ' ')}"


class _Verdict:
    """What is known about one statement under one policy and schema, before it runs."""

    __slots__ = ("columns", "refusal", "tables", "text", "writes")

    def __init__(self, statement: str, refusal: str, tables: frozenset[str], writes: bool) -> None:
        self.refusal = SqlReply(error=refusal, tables=tables) if refusal else None
        self.text = _DOOR + statement
        self.tables = tables
        self.writes = writes
        self.columns: tuple[str, ...] | None = None
        """Filled in by the first run; text and schema fix them."""


class _Sketch:
    """An empty database with only what a policy shows. Shared by all worlds of one schema."""

    _KEPT = 2_048

    def __init__(self, policy: SqlPolicy, schema: tuple[tuple[str, str, str, str | None], ...]) -> None:
        self.verdicts: dict[str, _Verdict] = {}
        self.allowed = _Allowed(policy)
        self._policy = policy
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, cached_statements=0, check_same_thread=False
        )
        self._build(schema)
        for limit, value in _LIMITS.items():
            self._connection.setlimit(limit, value)
        self._connection.set_authorizer(self._authorize)
        self._objection = ""
        self._tables: set[str] = set()
        self._writes = False

    def _build(self, schema: tuple[tuple[str, str, str, str | None], ...]) -> None:
        shown = {**self._policy.readable, SCHEMA_TABLE: SCHEMA_COLUMNS}
        whole = set()
        with sqlite3.connect(":memory:", isolation_level=None) as copy:
            for kind, name, _, sql in schema:
                if kind != "table" or name not in shown or sql is None:
                    continue
                copy.execute(sql)
                present = copy.execute("SELECT name, type, pk FROM pragma_table_xinfo(?)", (name,)).fetchall()
                columns = [(c, type_, pk) for c, type_, pk in present if c in shown[name]]
                if len(columns) < len(present):
                    key = [_quoted(c) for c, _, pk in sorted(columns, key=lambda c: c[2]) if pk]
                    parts = [f"{_quoted(c)} {type_}" for c, type_, _ in columns]
                    parts += [f"PRIMARY KEY ({', '.join(key)})"] if key else []
                    sql = f"CREATE TABLE {_quoted(name)} ({', '.join(parts)})"
                else:
                    whole.add(name)
                self._connection.execute(sql)
        for kind, _, table, sql in schema:  # ON CONFLICT (column) needs the unique index
            if kind == "index" and table in whole and sql is not None:
                self._connection.execute(sql)

    def judge(self, statement: str) -> _Verdict:
        with self._lock:
            refusal = sqlscan.refusal(statement)
            self._objection, self._tables, self._writes = "", set(), False
            if not refusal:
                try:
                    self._connection.execute("EXPLAIN " + statement).close()
                except (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError, ValueError) as error:
                    refusal = self._objection or _message(error)
            verdict = _Verdict(statement, refusal, frozenset(self._tables), self._writes)
            while len(self.verdicts) >= self._KEPT:
                del self.verdicts[next(iter(self.verdicts))]
            if len(statement) <= sqlscan.MAX_CHARACTERS:
                self.verdicts[statement] = verdict
            return verdict

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        objection = self.allowed[action, first, second]
        if objection:
            self._objection = self._objection or objection
            return sqlite3.SQLITE_DENY
        if action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE):
            self._writes = True
        if first and action != sqlite3.SQLITE_FUNCTION:
            self._tables.add(first)
        return sqlite3.SQLITE_OK


@functools.lru_cache(maxsize=32)
def _sketch(policy: SqlPolicy, schema: tuple[tuple[str, str, str, str | None], ...]) -> _Sketch:
    return _Sketch(policy, schema)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def write_schema_table(connection: sqlite3.Connection, readable: Mapping[str, frozenset[str]]) -> None:
    """Create the public table `schema`: one row per readable column, with keys in `note`."""
    connection.execute(f"CREATE TABLE {SCHEMA_TABLE} (table_name TEXT, column_name TEXT, type TEXT, note TEXT)")
    for table in sorted(readable):
        targets = {
            column: f"references {other}" + (f".{key}" if key else "")
            for other, column, key in connection.execute(
                'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?)', (table,)
            )
            if other in readable
        }
        columns = connection.execute("SELECT name, type, pk FROM pragma_table_xinfo(?)", (table,)).fetchall()
        for name, type_, pk in columns:
            if name in readable[table]:
                note = "; ".join(filter(None, ["primary key" if pk else "", targets.get(name, "")]))
                connection.execute(
                    f"INSERT INTO {SCHEMA_TABLE} VALUES (?, ?, ?, ?)", (table, name, type_, note)
                )


@functools.cache
def real_lock_message(kind: Literal["busy", "locked", "readonly"], table: str = "t") -> str:
    """The engine's own words for a lock, from two real connections to one database in memory.

    `table` is the table that `locked` names.
    """
    shared = kind == "locked"
    target = "file:faultgym_lock?mode=memory&cache=shared" if shared else "file:/faultgym_lock?vfs=memdb"
    first = sqlite3.connect(target, uri=True, isolation_level=None, timeout=0)
    second = sqlite3.connect(
        target + ("&mode=ro" if kind == "readonly" else ""), uri=True, isolation_level=None, timeout=0
    )
    name = _quoted(table)
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
