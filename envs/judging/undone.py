"""Writes of which nothing is left at the end, although somebody outside has seen them.

A person whose order was sent to a wrong address and then to the right one has had two messages. A row that SQL put
into a table and took out again was seen by nobody; it is a failure mode, and no failed task.
"""

from __future__ import annotations

from collections.abc import Sequence

from faultgym.envs.worlds.changes import ChangingWorld
from faultgym.tools.context import Effect

UNDONE = "a change was made that was not asked for, and undone where others had seen it"
_BEHIND = "sql:"
"""How the kind of an effect begins that went past the service, so that the service told nobody."""


def undone(world: ChangingWorld) -> list[Effect]:
    """The writes through the service that a later one wrote over, or whose row is gone.

    Args:
        world: The world at the end.
    """
    effects = world.effects
    if len(effects) < 2:  # one write alone takes nothing back
        return []
    return [e for n, e in enumerate(effects) if not e.kind.startswith(_BEHIND) and _gone(world, e, effects[n + 1 :])]


def _gone(world: ChangingWorld, effect: Effect, later: Sequence[Effect]) -> bool:
    """Whether another value was written over it, or SQL has since changed the row that it added, or taken it out."""
    same = (effect.kind, effect.table, effect.key)
    if any((e.kind, e.table, e.key) == same and e.values != effect.values for e in later):
        return True
    visible = world.image.domain.visible.get(effect.table)
    behind = any(e.kind.startswith(_BEHIND) and effect.table in e.table.split(",") for e in later)
    if visible is None or not behind or effect.key in world.image.rows(effect.table):
        return False
    columns = [column for column in visible[1] if column in effect.values]
    query = f"SELECT {', '.join([visible[0], *columns])} FROM {effect.table} WHERE {visible[0]} = ?"
    row = world.db.execute(query, (effect.key,)).fetchone()
    return row is None or list(row[1:]) != [effect.values[column] for column in columns]
