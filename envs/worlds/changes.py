"""What changed in a world against the world as it was built, as far as a customer can see it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, Protocol

from faultgym.envs.worlds.domain import Domain
from faultgym.tools.context import Effect

Row = dict[str, Any]
RawRow = tuple[Any, ...]
"""A row as SQLite gives it, its key first."""


@dataclass(frozen=True, slots=True)
class Change:
    """One customer-visible difference to the world as it was built."""

    op: Literal["insert", "update", "delete"]
    table: str
    key: str
    """The row's key; empty for an insert, whose key the service chooses."""
    values: tuple[tuple[str, Any], ...] = ()
    """Sorted (column, value): the new values of an update, the row of an insert."""


def insert(table: str, **values: Any) -> Change:
    """A row that must have been added.

    Args:
        table: The table.
        values: Column -> value, for all visible columns but the key.
    """
    return Change("insert", table, "", tuple(sorted(values.items())))


def update(table: str, key: str, **values: Any) -> Change:
    """A row that must have been changed.

    Args:
        table: The table.
        key: The row's key.
        values: Column -> new value, for the visible columns that change; no others may.
    """
    return Change("update", table, key, tuple(sorted(values.items())))


def delete(table: str, key: str) -> Change:
    """A row that must be gone, by its key."""
    return Change("delete", table, key)


class BuiltWorld(Protocol):
    """The world as it was built: the part of a `WorldImage` that is compared with."""

    @property
    def domain(self) -> Domain:
        """The domain that the world was built from."""

    def rows(self, table: str) -> Mapping[str, Row]:
        """The customer-visible part of a table, by key."""

    def raw_rows(self, table: str) -> frozenset[RawRow]:
        """The customer-visible part of a table, as `visible_rows` gives it."""


class ChangingWorld(Protocol):
    """The part of a `World` that is looked at for changes."""

    effects: list[Effect]

    @property
    def image(self) -> BuiltWorld:
        """The world as it was built."""

    @property
    def db(self) -> sqlite3.Connection:
        """The trusted door for reading."""


def visible_rows(db: sqlite3.Connection, domain: Domain, table: str) -> list[RawRow]:
    """Key and customer-visible columns of each row of a table.

    Args:
        db: The trusted door for reading.
        domain: Says what is visible.
        table: The table.

    Raises:
        KeyError: The table has no customer-visible part.
    """
    key, columns = domain.visible[table]
    return db.execute(f"SELECT {key}, {', '.join(columns)} FROM {table}").fetchall()


def named(domain: Domain, table: str, row: RawRow) -> Row:
    """The customer-visible columns of a row by name, with numbers normalised (5.0 is 5).

    Args:
        domain: Says what the columns are called.
        table: The table.
        row: The row as `visible_rows` gives it; the key is left out.
    """
    return {c: _normal(v) for c, v in zip(domain.visible[table][1], row[1:], strict=True)}


def _normal(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def changes(world: ChangingWorld) -> tuple[Change, ...]:
    """All customer-visible changes of a world since it was built.

    Args:
        world: The world; empty without looking where its effect log is.

    Returns:
        The changes by table, in the order of the domain.
    """
    if not world.effects:
        return ()
    image, found = world.image, list[Change]()
    for table in image.domain.visible:
        found.extend(_differences(image, table, visible_rows(world.db, image.domain, table)))
    return tuple(found)


def _differences(image: BuiltWorld, table: str, after: Sequence[RawRow]) -> Iterable[Change]:
    """Few rows of a table change: the others are told by their raw values alone, which is most of the work."""
    known = image.raw_rows(table)
    fresh = [row for row in after if row not in known]
    if not fresh and len(after) == len(known):
        return
    before = image.rows(table)
    for raw in fresh:
        key, row = str(raw[0]), named(image.domain, table, raw)
        old = before.get(key)
        if old is None:
            yield insert(table, **row)
        elif changed := {c: v for c, v in row.items() if v != old[c]}:
            yield update(table, key, **changed)
    kept = {str(row[0]) for row in after}
    for key in before:
        if key not in kept:
            yield delete(table, key)


def digest_of(found: Iterable[Change]) -> str:
    """A hash of changes, whatever their order; empty when there are none."""
    text = "\n".join(sorted(map(repr, found)))
    return blake2b(text.encode(), digest_size=8).hexdigest() if text else ""
