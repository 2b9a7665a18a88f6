"""How templates choose from a world: rows, competing candidates, texts of documents."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from typing import Any

from faultgym.envs.judging.answers import Atom, AtomKind

MOST_RIVALS = 24


def rows(db: sqlite3.Connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows of a query, which says in which order."""
    return db.execute(query, values).fetchall()


def choose(db: sqlite3.Connection, rng: random.Random, query: str, *values: Any) -> tuple[Any, ...]:
    """One row of a query by chance; raises LookupError when there is none: a bug of the generator."""
    found = rows(db, query, *values)
    if not found:
        raise LookupError(f"no row in this world for {query!r}")
    return rng.choice(found)


def column(db: sqlite3.Connection, query: str, *values: Any) -> list[Any]:
    """The first column of a query."""
    return [row[0] for row in rows(db, query, *values)]


def distractors(kind: AtomKind, right: Iterable[Any], candidates: Iterable[Any]) -> tuple[Atom, ...]:
    """The candidates that are not right, each once."""
    truth = {str(value) for value in right}
    others = dict.fromkeys(str(c) for c in candidates if str(c) and str(c) not in truth)
    return tuple(Atom(kind, text) for text in others)[:MOST_RIVALS]


def document_text(db: sqlite3.Connection, title: str) -> str:
    """The body of the document with this title; raises LookupError."""
    found = column(db, "SELECT body FROM documents WHERE title = ?", title)
    if not found:
        raise LookupError(f"no document {title!r} in this world")
    return str(found[0])


def engineers(db: sqlite3.Connection) -> list[str]:
    """Everybody's name."""
    return column(db, "SELECT name FROM engineers ORDER BY name")
