"""Rival worlds: how a task's world could be instead, so that the right answer would be another.

Whether an agent could know its answer is decided by them: had the world been a rival one, would anything that it saw
have been different? Rivals are found by trial. One value of a table is changed, and the reference solution, which
sees what an agent sees, answers again; where it comes to another answer, the world is a rival.

    a value of a table -> another one of its column, and the same changed places with another row's
    a number or a wanted text in a document -> its neighbour, or a competing candidate
    what does not exist -> a copy of another record under its name, and another record renamed
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

import orjson

from faultgym.core.bank import banked
from faultgym.envs.judging.form import Outcome
from faultgym.envs.reference.run import MAX_MOVES, Reference
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.simulation import Simulation
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import World, WorldImage, world_image
from faultgym.tools.channels.sql.policy import quoted
from faultgym.tools.faults.layer import FaultLayer
from faultgym.tools.toolbox import CallRecord

MOST = 40
"""Rivals of one task that are kept."""
MOST_ROWS = 2_000
"""Rows of a table up to which each of them is tried."""
FEW = 8
"""Different values of a column up to which each of them is tried: who learns how long a status is does not know it."""
LONG = 80
"""Characters from which a text is a document, in which single numbers are changed."""
Statements = tuple[tuple[str, tuple[Any, ...]], ...]
"""SQL statements with the values for their placeholders."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the reference solution comes to in a world."""

    outcome: Outcome
    fields: tuple[tuple[str, str], ...]
    """The values by field, as text."""


@dataclass(frozen=True, slots=True)
class CleanPlay:
    """The reference solution in the world as it is, without faults."""

    conclusion: Conclusion | None
    """None where it is lost."""
    read: frozenset[str]
    """The results of its calls that were not meant to change anything."""
    tables: tuple[str, ...]
    """The tables that its calls were about, sorted."""


@banked("tasks", 4_096)
def clean_play(suite: Suite, task: Task) -> CleanPlay:
    """What the reference solution reads and concludes in the task's world, without faults.

    Args:
        suite: The task's suite.
        task: The task.
    """
    simulation = Simulation(suite, task)
    records: list[CallRecord] = []
    conclusion = _concluded(simulation, task, records)
    simulation.close()
    tables = {table for record in records for table in record.tables}
    read = frozenset(record.result.content for record in records if not record.write)
    return CleanPlay(conclusion, read, tuple(sorted(tables & suite.readable.keys())))


def in_world(suite: Suite, task: Task, image: WorldImage, layer: FaultLayer | None = None) -> Simulation:
    """A simulation of a task in another world.

    Args:
        suite: The task's suite.
        task: The task.
        image: The world.
        layer: Where faults come in; none by default.
    """
    simulation = Simulation(suite, task, layer)
    simulation.move_to(World(image), image.token)
    return simulation


def _concluded(simulation: Simulation, task: Task, records: list[CallRecord]) -> Conclusion | None:
    """Play the reference solution without taking turns: what they store of the world takes longer than its calls."""
    reference = Reference(task, set(), simulation.suite)
    text: str | None = None
    for _ in range(MAX_MOVES):
        move = reference.next(text, {spec.name for spec in simulation.tools})
        if isinstance(move, ReferenceAnswer):
            return _conclusion(move)
        records.append(simulation.toolbox.call(move.call))
        text = records[-1].result.content
    return None


def _conclusion(answer: ReferenceAnswer) -> Conclusion | None:
    if not answer.text:
        return None
    return Conclusion(answer.outcome, tuple(sorted((name, str(value)) for name, value in answer.fields.items())))


@banked("tasks", 1_024)
def rivals(suite: Suite, task: Task) -> tuple[Statements, ...]:
    """What makes rivals of the task's world, found by trial; nothing where its answer follows from its text alone.

    Args:
        suite: The task's suite.
        task: The task.
    """
    base = clean_play(suite, task)
    if base.conclusion is None or (base.conclusion.outcome == "done" and not base.conclusion.fields):
        return ()
    search = _Search(suite, task, base)
    if task.goal.kind == "abstain":
        return tuple(search.existing()) or tuple(search.otherwise())
    columns = [(table, column) for table in base.tables for column in sorted(suite.readable[table])]
    found = [search.in_column(*place) for place in columns]
    if not any(found):  # places that were changed leave a count as it was: values that no row has do not
        found = [search.in_column(*place, fresh=True) for place in columns]
    turns = zip_longest(*found)  # one of each column, then a second one of each
    return tuple(islice((rival for turn in turns for rival in turn if rival is not None), MOST))


Row = tuple[Any, ...]
"""The key of a row, and the value of a column."""


class _Search:
    """The search for rivals of one task's world.

    Args:
        suite: The task's suite.
        task: The task.
        base: What the reference solution concludes in the world as it is.
    """

    def __init__(self, suite: Suite, task: Task, base: CleanPlay):
        self.suite, self.task, self.base = suite, task, base
        self.image = world_image(suite, task.split, task.world_seed)
        self.db = self.image.reader.raw

    # ---- what is tried ------------------------------------------------------------------------------

    def conclusion(self, statements: Statements, *, indexed: bool = False) -> Conclusion | Exception | None:
        """What the reference solution concludes in the altered world: None where it is lost."""
        try:
            image = self.image.altered(statements)
        except sqlite3.Error as error:
            return error
        if not indexed:
            image = image.indexed_as(self.image)
        simulation = in_world(self.suite, self.task, image)
        try:
            return _concluded(simulation, self.task, [])
        except Exception as error:  # a solution is written for worlds that the generator makes, and may stumble here
            return error
        finally:
            simulation.close()
            image.reader.close()

    def is_rival(self, statements: Statements, *, indexed: bool = False) -> bool:
        """Whether the statements lead to another answer. Where work is asked for, only its values are."""
        found, own = self.conclusion(statements, indexed=indexed), self.base.conclusion
        if not isinstance(found, Conclusion) or found == own or own is None:
            return False
        return own.outcome != "done" or found.outcome == "done"

    # ---- one value of a column ----------------------------------------------------------------------

    def in_column(self, table: str, column: str, *, fresh: bool = False) -> list[Statements]:
        """Rivals by one value of a column: set to another one, and changed places with another row's.

        Which rows matter is found by other rows' values, or by fresh ones that no row has.
        """
        keys = self._keys(table)
        if keys == [column]:
            return []
        rows = self._rows(table, keys, column)
        values = sorted({row[-1] for row in rows}, key=lambda v: (v is None, isinstance(v, str), v))
        if not values or len(rows) > MOST_ROWS:
            return []
        if any(isinstance(value, str) and len(value) > LONG for value in values):
            return self.in_texts(table, column, keys, rows)
        if len(values) == 1:
            values.append(_invented(values[0]))
        far = len(values) // 2  # of two dates, one then passes the other
        after = dict(zip(values, [*values[far:], *values[:far]], strict=True))
        unlike = {value: _invented(value) for value in values} if fresh else after

        def put(row: Row, value: Any) -> tuple[str, Row]:
            return self._put(table, column, keys, row, value)

        third = -(-len(rows) // 3)  # all at once might come to the same answer again by chance
        found: list[Statements] = []
        for start in range(0, len(rows), third):
            for row in self._deciding(rows[start : start + third], lambda row: put(row, unlike[row[-1]])):
                partner = next((other for other in rows if other[-1] != row[-1]), None)
                ways: list[Statements] = []
                if partner is not None:
                    ways.append((put(row, partner[-1]), put(partner, row[-1])))
                values_there = dict.fromkeys([_apart(after[row[-1]], values), *_others(row[-1], values)])
                ways += [(put(row, value),) for value in values_there]
                found += filter(self.is_rival, ways)
                if len(found) >= MOST:
                    return found
        return found

    def _deciding(self, rows: Sequence[Row], changed: Callable[[Row], tuple[str, Row]]) -> Iterator[Row]:
        """The rows on whose value the answer depends, by halves."""
        if self.conclusion(tuple(map(changed, rows))) == self.base.conclusion:
            return
        if len(rows) == 1:
            yield rows[0]
            return
        middle = len(rows) // 2
        yield from self._deciding(rows[:middle], changed)
        yield from self._deciding(rows[middle:], changed)

    # ---- one place in a document ----------------------------------------------------------------------

    def in_texts(self, table: str, column: str, keys: list[str], rows: Sequence[Row]) -> list[Statements]:
        """Rivals by one number or wanted text of a document that the reference solution has opened."""
        found: list[Statements] = []
        opened = [row for row in rows if row[-1] and any(_inside(row[-1]) in text for text in self.base.read)]
        for row in opened:
            ways = (self._put(table, column, keys, row, text) for text in self._rewritten(row[-1]))
            mine = [(way,) for way in ways if self.is_rival((way,))]
            if not mine:
                others = (self._put(table, column, keys, row, other[-1]) for other in rows if other != row)
                mine = [(way,) for way in islice(others, 8) if self.is_rival((way,))][:1]
            found += mine
        return found[:MOST]

    def _rewritten(self, text: str) -> Iterator[str]:
        """The text with one of its numbers changed, or one mention of what is wanted."""
        for match in _NUMBER.finditer(text):
            digit = match[0][-1]
            yield f"{text[: match.end() - 1]}{int(digit) ^ 1}{text[match.end() :]}"
        goal = self.task.goal
        for atom in goal.expected:
            parts = [re.escape(word) for word in re.findall(r"\w+", atom.text.replace("_", " "))]
            if atom.kind not in ("text", "id") or not parts:
                continue
            other = next((rival.text for rival in goal.distractors if rival.kind == atom.kind), "") or f"x{atom.text}"
            for match in re.finditer(r"[\W_]+".join(parts), text, re.IGNORECASE):
                joined = other.replace(" ", "_") if "_" in match[0] else other
                yield f"{text[: match.start()]}{joined}{text[match.end() :]}"

    # ---- what does not exist ----------------------------------------------------------------------------

    def existing(self) -> Iterator[Statements]:
        """Rivals in which what is missing is there: a copy of another record, and other records renamed."""
        for missing in self.task.goal.about:
            prefix = self.suite.identifiers.prefix(missing)
            for table in sorted(self.task.goal.evidence & self.suite.readable.keys()) if prefix else ():
                yield from self._as_another(table, prefix, missing)

    def _as_another(self, table: str, prefix: str, missing: str) -> Iterator[Statements]:
        keys = self._keys(table)
        columns = [name for _, name, *_ in self.db.execute(f"PRAGMA table_info({quoted(table)})")]
        renamed = 0
        rows = self.db.execute(f"SELECT {_list(columns)} FROM {quoted(table)} ORDER BY {_list(keys)}").fetchall()
        for row in _spread(rows):
            named = dict.fromkeys(n for v in row if isinstance(v, str) for n in self.suite.identifiers.found(v))
            other = next((n for n in named if self.suite.identifiers.prefix(n) == prefix and n != missing), None)
            if other is None:
                continue
            new = tuple(v.replace(other, missing) if isinstance(v, str) else v for v in row)
            old_key = tuple(row[columns.index(key)] for key in keys if key in columns)
            where = " AND ".join(f"{quoted(key)} = ?" for key in keys)
            rename = ((f"UPDATE {quoted(table)} SET {', '.join(f'{quoted(c)} = ?' for c in columns)} WHERE {where}",
                       (*new, *old_key)),)  # fmt: skip
            if len(old_key) < len(keys) or not self.is_rival(rename, indexed=True):
                continue
            if not renamed:
                marks = ", ".join("?" * len(columns))
                fresh = tuple(
                    _another(v) if c in keys and v in old_key else v for c, v in zip(columns, new, strict=True)
                )
                copied = ((f"INSERT INTO {quoted(table)} VALUES ({marks})", fresh),)
                if self.is_rival(copied, indexed=True):
                    yield copied
            yield rename
            renamed += 1
            if renamed == RENAMED:
                return

    def otherwise(self) -> Iterator[Statements]:
        """Worlds in which the records that are asked about hold something else, where nothing could be added."""
        for table in sorted(self.task.goal.evidence & self.suite.readable.keys()):
            keys = self._keys(table)
            for about in self.task.goal.about:
                texts = sorted(self.suite.readable[table] - set(keys))
                for key in keys:
                    kept = {c for c in texts if self._holds(table, key, about, c)}
                    if kept:
                        put = ", ".join(f"{quoted(c)} = {quoted(c)} || '+'" for c in sorted(kept))
                        yield ((f"UPDATE {quoted(table)} SET {put} WHERE {quoted(key)} = ?", (about,)),)

    def _holds(self, table: str, key: str, about: str, column: str) -> bool:
        """Whether the record has a text in the column."""
        found = self.db.execute(f"SELECT {quoted(column)} FROM {quoted(table)} WHERE {quoted(key)} = ?", (about,))
        return any(isinstance(value, str) for (value,) in found)

    # ---- tables ---------------------------------------------------------------------------------------

    def _keys(self, table: str) -> list[str]:
        """The columns by which a row is told from others."""
        found = [row for row in self.db.execute(f"PRAGMA table_info({quoted(table)})") if row[5]]
        return [name for _, name, *_ in sorted(found, key=lambda row: row[5])] or ["rowid"]

    def _rows(self, table: str, keys: list[str], column: str) -> list[Row]:
        return self.db.execute(
            f"SELECT {_list(keys)}, {quoted(column)} FROM {quoted(table)} ORDER BY {_list(keys)}"
        ).fetchall()

    def _put(self, table: str, column: str, keys: list[str], row: Row, value: Any) -> tuple[str, Row]:
        where = " AND ".join(f"{quoted(key)} = ?" for key in keys)
        return f"UPDATE {quoted(table)} SET {quoted(column)} = ? WHERE {where}", (value, *row[:-1])


RENAMED = 3
"""Other records that take the name of what is missing, each in a rival of its own."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"\d(?:[\d.:-]*\d)?")


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))


def _spread(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows, from both ends and the middle in turn: no page of a list holds the first ones of them all."""
    middle = len(rows) // 2
    for few in zip_longest(reversed(rows[middle:]), rows[:middle], rows[middle:]):
        yield from (row for row in few if row is not None)


def _inside(text: str) -> str:
    """A text as it stands within a JSON document."""
    return orjson.dumps(text).decode()[1:-1]


def _others(value: Any, values: Sequence[Any]) -> list[Any]:
    """Further values for a row: all of a few, and the neighbour of a number or date, which no range tells from it."""
    few = [other for other in values if other != value] if len(values) <= FEW else []
    return [*few, *([_beside(value, values)] if _has_neighbours(value) else [])]


def _apart(value: Any, values: Sequence[Any]) -> Any:
    """The value, or in a column of many numbers or dates one beside it: of two equal ones neither is the last."""
    return _beside(value, values) if len(values) > FEW and _has_neighbours(value) else value


def _beside(value: Any, values: Sequence[Any]) -> Any:
    """A number or date as near as can be that its column, where it holds many, does not have yet."""
    first = _invented(value)
    if len(values) <= FEW:
        return first
    if isinstance(value, int | float):
        return next(number for n in range(1, len(values) + 2) if (number := value + n) not in values)
    digit = re.search(r"\d(?=\D*$)", value)
    places = (f"{value[: digit.start()]}{n}{value[digit.end() :]}" for n in range(10)) if digit else ()
    return next((text for text in (first, *places) if text not in values), first)


def _has_neighbours(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and _DATE.match(value) is not None)


def _invented(value: Any) -> Any:
    """Another value of the same kind, as near as can be."""
    if isinstance(value, int | float):
        return value + 1
    text = "" if value is None else str(value)
    digit = re.search(r"\d(?=\D*$)", text)
    return f"{text[: digit.start()]}{int(digit[0]) ^ 1}{text[digit.end() :]}" if digit else f"{text}x"


def _another(key: Any) -> Any:
    """Another key of the same form, which no record is likely to have; None lets the database choose a number."""
    if not isinstance(key, str):
        return None
    return re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 8) % 10), key)
