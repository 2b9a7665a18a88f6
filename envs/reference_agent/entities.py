"""How reference solutions read a kind of record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntitySource:
    """One way to read an entity, for reference solutions: an operation, or a statement."""

    operation: str = ""
    sql: str = ""
    """A statement with `{id}` for the identifier."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A kind of record, with the ways in which reference solutions read it."""

    name: str
    """Such as `order`."""
    parameter: str
    """The operations' parameter with its id, such as `order_id`."""
    sources: tuple[EntitySource, ...]
    """In the order in which they are tried."""
