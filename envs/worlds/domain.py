"""A domain: all that a world is built from and looked at by. A suite is a domain with tasks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from faultgym.envs.worlds.names import Names
from faultgym.tools.context import FieldHints
from faultgym.tools.exchange import Document


@dataclass(frozen=True, kw_only=True, eq=False)
class Domain:
    """The tables of a domain, how they are filled, and who may see what of them.

    Two domains are the same only if they are the same object: what is cached for one that was changed and registered
    again under its old name is never taken for the other's.
    """

    name: str
    """Such as `orders`; the first part of its tasks' ids."""
    version: int
    """Raised whenever a world or a task changes for the same seed."""
    schema: str
    """DDL of the domain's own tables."""
    build: Callable[[sqlite3.Connection, Names], None]
    """Fills the tables of a new world."""
    documents: Callable[[sqlite3.Connection], Sequence[Document]]
    """The documents that search finds, read from the world's tables."""
    readable: Mapping[str, frozenset[str]]
    """Tables and columns that the SQL tool sees."""
    writable: frozenset[str]
    """Tables that the SQL tool may change in tasks that allow it."""
    visible: Mapping[str, tuple[str, tuple[str, ...]]]
    """Customer-visible state: table -> (key column, other columns). No times, no versions, no ids that
    the service chooses."""
    hints: FieldHints = field(default_factory=FieldHints)
    """What the fields of the service's bodies mean."""
