"""SQLite's date and time functions on the episode's virtual clock, in UTC.

The engine's own read the wall clock ('now', CURRENT_TIMESTAMP) and the machine's time zone
('localtime'), so that one episode would give two answers on two days. Here only those two are
replaced; the calendar itself stays the engine's.
"""

from __future__ import annotations

import functools
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from faultgym.core.bank import banked

_CURRENT = {"current_date": "date", "current_time": "time", "current_timestamp": "datetime"}

FUNCTIONS = frozenset({"date", "time", "datetime", "julianday", "unixepoch", "strftime", *_CURRENT})
"""The functions that read a clock in SQLite."""

_LOCK = threading.Lock()


def install(connection: sqlite3.Connection, now: Callable[[], str | None]) -> None:
    """Replace the clock of a connection: SQLite's date functions then read `now`.

    Args:
        connection: The connection, whose functions are replaced.
        now: Gives an ISO time, or None for no clock: the functions then give NULL.
    """
    for name in FUNCTIONS:
        connection.create_function(name, -1, functools.partial(_call, name, now), deterministic=True)


def _call(name: str, now: Callable[[], str | None], *arguments: Any) -> Any:
    name = _CURRENT.get(name, name)
    values = list(arguments)
    position = 1 if name == "strftime" else 0
    if len(values) <= position:
        values.append("now")
    if len(values) > position and _text(values[position]) in ("now", "subsec", "subsecond"):
        values[position] = now()
    kept = values[: position + 1] + [v for v in values[position + 1 :] if _text(v) not in ("localtime", "utc")]
    marks = ",".join("?" * len(kept))
    with _LOCK:
        return _calendar().execute(f"SELECT {name}({marks})", kept).fetchone()[0]


def _text(value: Any) -> str:
    """`value` as the engine reads it: a C string, compared without case."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.partition("\0")[0].lower()


@banked("code", 1)
def _calendar() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)
