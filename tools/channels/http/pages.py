"""Cursor pagination: opaque cursors over a sorted key, so that a page never depends on an offset."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from faultgym.core.json import JSON
from faultgym.tools.channels.http.service import ServiceError

Cursor = Annotated[str, Field(description="`next_cursor` of the page before", max_length=200)]
Limit = Annotated[int, Field(ge=1, le=50, description="Items per page")]


def encode_cursor(key: str) -> str:
    """The cursor that continues after the row with this key."""
    return base64.urlsafe_b64encode(f"after:{key}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The key inside a cursor.

    Raises:
        ServiceError: 400, for a cursor that this service never gave.

    Example:
        >>> decode_cursor(encode_cursor("ORD-1002"))
        'ORD-1002'
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeError, ValueError):
        text = ""
    if not text.startswith("after:"):
        raise ServiceError(400, "Bad Request", "`cursor` is not one that this service gave: start again without it")
    return text[6:]


def page(
    db: sqlite3.Connection,
    columns: Sequence[str],
    table: str,
    where: str,
    values: Sequence[Any],
    *,
    cursor: str | None,
    limit: int,
    key: str = "id",
) -> JSON:
    """One page of rows in the order of `key`.

    Args:
        db: The world's database.
        columns: What is shown of a row, `key` among them. Like `table`, `where` and `key` from the suite's code, never
            from a client.
        table: Where the rows are.
        where: The SQL condition, with a `?` for each of `values`.
        values: What a client asked for.
        cursor: Of the page before; None for the first page.
        limit: Items on a page.
        key: The column by which the rows are sorted; unique.

    Returns:
        `{"items": [...], "total": n, "next_cursor": ... or None}`.

    Raises:
        ServiceError: 400, for a cursor that this service never gave.
    """
    # Without a cursor there is no bound: a key that is a number is smaller than any text, the empty one too.
    beyond, bound = (f" AND {key} > ?", (decode_cursor(cursor),)) if cursor else ("", ())
    rows = db.execute(
        f"SELECT {', '.join(columns)} FROM {table} WHERE ({where}){beyond} ORDER BY {key} LIMIT ?",
        (*values, *bound, limit + 1),
    ).fetchall()
    total = db.execute(f"SELECT count(*) FROM {table} WHERE {where}", tuple(values)).fetchone()[0]
    items = [dict(zip(columns, row, strict=True)) for row in rows[:limit]]
    more = encode_cursor(str(items[-1][key])) if len(rows) > limit else None
    return {"items": items, "total": total, "next_cursor": more}
