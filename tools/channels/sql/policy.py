"""What a model's statement may touch, and what is known about it before it runs.

A statement is judged on a sketch of the database: the same schema without rows, and without all
that the policy hides. The engine's message for a hidden table is there the one for a table that
does not exist, to the letter. The authorizer's allow-list refuses the rest and records the tables.
A verdict holds for the text, the policy and the schema, so that all worlds of a suite share it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

from faultgym.core.bank import banked
from faultgym.tools.channels.sql import scan as sqlscan
from faultgym.tools.channels.sql import time as sqltime
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

MAX_VALUE_BYTES = 16_384
"""Bytes of one string or row while the guarded door is open."""
LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
}
"""Limits that no trusted statement comes near, so that they need not be switched."""
_DOOR = "/* guarded */ "
"""Before every guarded text. Statements are cached by text and authorized only when prepared: no
trusted text starts like this, so neither door ever finds what the other prepared."""

HINT = "For the tables and their columns, use SELECT * FROM schema."
_TOO_MUCH = "interrupted: the statement does too much work. Narrow it with WHERE, or join on a key."
_ACTIONS = {
    getattr(sqlite3, f"SQLITE_{name}"): name
    for name in "INSERT UPDATE DELETE PRAGMA ATTACH DETACH TRANSACTION SAVEPOINT ANALYZE REINDEX CREATE_TABLE"
    " DROP_TABLE CREATE_INDEX DROP_INDEX CREATE_VIEW CREATE_TRIGGER ALTER_TABLE".split()
}


@dataclass(frozen=True, slots=True)
class SqlPolicy:
    """What the guarded door shows, and how much of it. Tables only: views and triggers are not followed."""

    readable: Mapping[str, frozenset[str]] = field(hash=False)
    """Table -> readable columns, spelled as in the schema. A table or column absent here does not
    exist for the model. The table `schema` (`write_schema_table`) is readable without being named."""
    _: KW_ONLY
    writable: frozenset[str] = frozenset()
    """Tables where INSERT, UPDATE and DELETE are allowed."""
    max_rows: int = 50
    max_bytes: int = 8_000
    """Of the values of the rows returned, as UTF-8."""
    max_opcodes: int = 4_000_000
    """Steps of SQLite's virtual machine per statement; about 80 ms. A correlated subquery over a
    table of 800 rows without an index fits."""


class StatementVerdict:
    """What is known about one statement under one policy and schema, before it runs.

    Args:
        statement: The text as the model sent it; `text` is how it runs.
        refusal: Why the statement is refused; empty when it may run.
        tables: Public tables that the statement reads or writes.
        writes: Whether the statement would change something.
    """

    __slots__ = ("columns", "refusal", "tables", "text", "writes")

    def __init__(self, statement: str, refusal: str, tables: frozenset[str], writes: bool) -> None:
        self.refusal = SqlReply(error=refusal, tables=tables) if refusal else None
        self.text = _DOOR + statement
        self.tables = tables
        self.writes = writes
        self.columns: tuple[str, ...] | None = None
        """Filled in by the first run; text and schema fix them."""


class Sketch:
    """An empty database with only what a policy shows. Shared by all worlds of one schema.

    Args:
        policy: What is shown.
        schema: The rows (type, name, tbl_name, sql) of the real database's `sqlite_master`.
    """

    _KEPT = 2_048

    def __init__(self, policy: SqlPolicy, schema: tuple[tuple[str, str, str, str | None], ...]) -> None:
        self.verdicts: dict[str, StatementVerdict] = {}
        self.allowed = Allowed(policy)
        self._policy = policy
        self._lock = threading.Lock()
        self._partial = False
        """Whether the policy hides single columns of a table that it shows."""
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, cached_statements=0, check_same_thread=False
        )
        self._build(schema)
        for limit, value in LIMITS.items():
            self._connection.setlimit(limit, value)
        self._connection.set_authorizer(self._authorize)
        self._objection = ""
        self._tables: set[str] = set()
        self._writes = False

    def _build(self, schema: tuple[tuple[str, str, str, str | None], ...]) -> None:
        shown = {**self._policy.readable, SCHEMA_TABLE: SCHEMA_COLUMNS}
        whole = set()
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            for kind, name, _, sql in schema:
                if kind != "table" or name not in shown or sql is None:
                    continue
                copy.execute(sql)
                present = copy.execute("SELECT name, type, pk FROM pragma_table_xinfo(?)", (name,)).fetchall()
                columns = [(c, type_, pk) for c, type_, pk in present if c in shown[name]]
                if len(columns) < len(present):
                    self._partial = True
                    key = [quoted(c) for c, _, pk in sorted(columns, key=lambda c: c[2]) if pk]
                    parts = [f"{quoted(c)} {type_}" for c, type_, _ in columns]
                    parts += [f"PRIMARY KEY ({', '.join(key)})"] if key else []
                    sql = f"CREATE TABLE {quoted(name)} ({', '.join(parts)})"
                else:
                    whole.add(name)
                self._connection.execute(sql)
        for kind, _, table, sql in schema:  # ON CONFLICT (column) needs the unique index
            if kind == "index" and table in whole and sql is not None:
                self._connection.execute(sql)

    def judge(self, statement: str) -> StatementVerdict:
        """Judge a statement and keep the verdict, in place of the oldest one if there are many.

        Args:
            statement: One SQLite statement, not judged before.

        Returns:
            The verdict; its `refusal` is the reply to a statement that must not run.
        """
        with self._lock:
            refusal = sqlscan.refusal(statement)
            self._objection, self._tables, self._writes = "", set(), False
            if not refusal:
                try:
                    self._connection.execute("EXPLAIN " + statement).close()
                except (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError, ValueError) as error:
                    refusal = self._objection or message(error)
            if self._partial and "natural" in statement.lower():  # joins on hidden columns, without a callback
                refusal = refusal or "not authorized: NATURAL JOIN. Use JOIN ... ON."
            verdict = StatementVerdict(statement, refusal, frozenset(self._tables), self._writes)
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
        if first is not None and (first in self._policy.readable or first == SCHEMA_TABLE):
            self._tables.add(first)
        return sqlite3.SQLITE_OK


@banked("code", 32)
def sketch(policy: SqlPolicy, schema: tuple[tuple[str, str, str, str | None], ...]) -> Sketch:
    """The sketch for a policy and a schema, from a cache.

    Args:
        policy: What is shown.
        schema: The rows (type, name, tbl_name, sql) of `sqlite_master`.
    """
    return Sketch(policy, schema)


class Allowed(dict[tuple[int, str | None, str | None], str]):
    """(action, first, second) of the authorizer -> objection, empty when allowed. Keeps what it allowed.

    Args:
        policy: What decides.
    """

    def __init__(self, policy: SqlPolicy) -> None:
        self._policy = policy

    def __missing__(self, key: tuple[int, str | None, str | None]) -> str:
        objection = _objection(self._policy, *key)
        if not objection and key[2] != "":  # a model can invent names of queries without end
            self[key] = objection
        return objection


def _objection(policy: SqlPolicy, action: int, first: str | None, second: str | None) -> str:
    """Why the policy refuses one action of the authorizer; empty when it allows it."""
    name = _ACTIONS.get(action, "this kind of statement")
    if action == sqlite3.SQLITE_SELECT:
        return ""
    if action == sqlite3.SQLITE_READ:
        # No column: only the existence of `first`, which may be a query's own name. A hidden table
        # does not exist in the sketch, and a virtual one would have declared itself before.
        if not second and not (first or "").startswith("sqlite_"):
            return ""
        columns = SCHEMA_COLUMNS if first == SCHEMA_TABLE else policy.readable.get(first or "", frozenset())
        if second in columns or (second == "ROWID" and columns):
            return ""
        return f"not authorized: reading {first}. {HINT}"
    if action == sqlite3.SQLITE_FUNCTION:
        if (second or "").lower() in FUNCTIONS:
            return ""
        return f"not authorized: function {second}. Allowed: {', '.join(sorted(FUNCTIONS))}."
    if action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE):
        if first in policy.writable:
            if action != sqlite3.SQLITE_UPDATE or second in policy.readable.get(first, ()):
                return ""
            return f"not authorized: UPDATE of that column of {first}. {HINT}"
        if (first or "").startswith("sqlite_"):  # an eponymous virtual table declares itself there
            return f"not authorized: system tables and table-valued functions. {HINT}"
        return f"not authorized: {name} on {first}. Writable: {', '.join(sorted(policy.writable)) or 'none'}."
    if action == sqlite3.SQLITE_RECURSIVE:
        return "not authorized: recursive common table expressions"
    return f"not authorized: {name.replace('_', ' ')}"


def message(error: BaseException) -> str:
    """What a model reads about an error: the engine's words, and what to do where they do not say it.

    Args:
        error: What a statement caused.
    """
    text = str(error)
    if text == "interrupted":
        return _TOO_MUCH
    if isinstance(error, MemoryError):  # SQLite's answer to a program longer than its opcode limit
        return "statement too complex: split it into simpler ones"
    if text == "string or blob too big":
        return f"{text}: at most {MAX_VALUE_BYTES} bytes per value or row"
    return text


def quoted(name: str) -> str:
    """A name as an SQL identifier, in double quotes.

    Example:
        >>> quoted('the "last" order')
        '"the ""last"" order"'
    """
    return '"' + name.replace('"', '""') + '"'
