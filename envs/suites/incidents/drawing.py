"""How templates choose from a world: columns, competing candidates, texts of documents."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from faultgym.envs.judging.answers import Atom, AtomKind
from faultgym.envs.suites.common import rows

MAX_DISTRACTORS = 24
"""Competing candidates that a goal names."""


def column(db: sqlite3.Connection, query: str, *values: Any) -> list[Any]:
    """The first column of a query."""
    return [row[0] for row in rows(db, query, *values)]


def distractors(kind: AtomKind, right: Iterable[Any], candidates: Iterable[Any]) -> tuple[Atom, ...]:
    """Atoms for the candidates that are not right, each once and at most `MAX_DISTRACTORS` of them.

    Args:
        kind: The kind of the atoms.
        right: The right values.
        candidates: Values that compete with them.
    """
    truth = {str(value) for value in right}
    others = dict.fromkeys(str(c) for c in candidates if str(c) and str(c) not in truth)
    return tuple(Atom(kind, text) for text in others)[:MAX_DISTRACTORS]


def document_text(db: sqlite3.Connection, title: str) -> str:
    """The body of the document with this title.

    Raises:
        LookupError: No document of this world has the title.
    """
    found = column(db, "SELECT body FROM documents WHERE title = ?", title)
    if not found:
        raise LookupError(f"no document {title!r} in this world")
    return str(found[0])


def engineers(db: sqlite3.Connection) -> list[str]:
    """Everybody's name."""
    return column(db, "SELECT name FROM engineers ORDER BY name")
