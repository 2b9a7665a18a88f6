"""A scratch copy of the database with a table or a column renamed, so that the engine's errors are real."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from faultgym.tools.channels.sql.connection import GuardedConnection, write_schema_table
from faultgym.tools.channels.sql.policy import SqlPolicy
from faultgym.tools.context import WorldView
from faultgym.tools.exchange import SqlReply

Columns = Mapping[str, frozenset[str]]
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def words(statement: str) -> list[str]:
    """The names and keywords of a statement in order, without those inside string literals.

    Example:
        >>> words("SELECT id FROM orders WHERE status = 'not paid'")
        ['SELECT', 'id', 'FROM', 'orders', 'WHERE', 'status']
    """
    return _WORD.findall(re.sub(r"'[^']*'", " ", statement))


def public_columns(world: WorldView) -> Columns:
    """Public tables and their columns, as the table `schema` lists them."""
    found: dict[str, set[str]] = {}
    for table, column in world.db.execute("SELECT table_name, column_name FROM schema ORDER BY rowid"):
        found.setdefault(table, set()).add(column)
    return {table: frozenset(columns) for table, columns in found.items()}


def tables_in(statement: str, world: WorldView) -> list[str]:
    """The public tables that a statement names, in its order."""
    known = public_columns(world)
    return list(dict.fromkeys(w for w in words(statement) if w in known))


def run_renamed(world: WorldView, statement: str, table: str, column: str, new: str) -> SqlReply:
    """Run a statement where a table or a column is called otherwise.

    Args:
        world: The world whose database is copied; nothing in it is changed.
        statement: The statement; no write is allowed.
        table: The table that is renamed, or whose column is.
        column: The column that is renamed; empty to rename the table.
        new: The other name.

    Returns:
        The reply, with the tables under their old names.
    """
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.deserialize(world.db.serialize())
    readable = dict(public_columns(world))
    if column:
        raw.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "{new}"')
        readable[table] = readable[table] - {column} | {new}
    else:
        raw.execute(f'ALTER TABLE "{table}" RENAME TO "{new}"')
        readable[new] = readable.pop(table)
    raw.execute("DROP TABLE schema")
    write_schema_table(raw, readable)
    image = raw.serialize()
    raw.close()
    scratch = GuardedConnection(image, SqlPolicy(readable))
    try:
        reply = scratch.run(statement, write_allowed=False, now=world.time)
    finally:
        scratch.close()
    return replace(reply, tables=frozenset(table if t == new else t for t in reply.tables))
