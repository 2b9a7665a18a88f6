"""What a text is meant to answer: the records that are asked about, and the others that could be taken for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from faultgym.core.bank import banked
from faultgym.envs.judging.answers import words
from faultgym.envs.judging.reading.names import IDENTIFIER, identifiers
from faultgym.envs.judging.reading.senses import senses
from faultgym.envs.worlds.world import World, WorldImage

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_ASKED_TO = re.compile(
    r"\b(cancel|refund|restart|reboot|scale|change|correct|redirect|move|transfer|add|insert|store|write|file|put|"
    r"acknowledge|assign|resolve|close|roll|revert|undo|withdraw|exchange|swap|update|set|run|hand|take|note|deliver|"
    r"send|stop|relabel|finish|return|treat|carry|do|act|route|adjust|bring|prepare)\b"
)
_EXCLUDED = re.compile(
    r" (?:excluding|without|except|leave out|leaving out|were not|was not|are not)(?: (?:the|what|was|were|"
    r"been|any))* (\w+ed) "
    r"| (\w+ed)(?: ones| orders)? (?:left out|excluded)"
)
_HOW_MANY = re.compile(r" (?:how many|number of|count(?: of)?(?: all| the)?) ((?:\w+ ){1,4})")
_THEN = re.compile(
    r" (?:was|were|ran|did|had been) .*(?:at the (?:moment|time)|when|as|before|the (?:moment|time)) "
    r".*(?:began|started|opened|begin|start) "
)
COUNTABLE = {
    "order": "order", "customer": "customer", "incident": "incident", "service": "service", "replica": "replica",
    "tag": "tag", "payment": "payment", "product": "product", "error": "error", "entry": "error", "entrie": "error",
    "warning": "warning", "log": "error",
}  # fmt: skip
"""What can be counted, in the singular -> the same under one name."""
_PARTS = re.compile(r"[;.?!](?:\s|$)")
_ASKS = re.compile(r"\b(?:how (?:many|much|long|far)|what|which|who|when|tell me|report)\b")
MOST_NAMES = 400
"""Values of a column that are taken for other subjects."""
SHORTEST_NAME = 3


@dataclass(frozen=True, eq=False)
class Question:
    """An instruction, and what its parameters name."""

    instruction: str
    params: Mapping[str, str]
    image: WorldImage | None = None
    """The world in which the other subjects are looked for; without one there are none."""

    @cached_property
    def plain(self) -> str:
        """The instruction as words."""
        return f" {words(self.instruction)} "

    @cached_property
    def senses(self) -> Mapping[str, set[str]]:
        """The senses of its words that exclude others, such as a day of the week."""
        return senses(self.plain.split())

    @cached_property
    def focus(self) -> frozenset[str]:
        """Of the identifiers that it names, those of the sentence that asks; empty where that names none."""
        parts = [part for part in _PARTS.split(self.instruction.lower()) if _ASKS.search(part)]
        return frozenset(m[0] for m in identifiers(parts[-1])) if len(parts) == 1 else frozenset()

    @cached_property
    def counted(self) -> str:
        """What it asks the number of, such as `order`; empty where it asks for no number of things."""
        match = _HOW_MANY.search(self.plain)
        return next((COUNTABLE[w] for w in match[1].replace("s ", " ").split() if w in COUNTABLE), "") if match else ""

    @cached_property
    def of_the_past(self) -> bool:
        """Whether it asks how something was at a moment that is over."""
        return _THEN.search(self.plain) is not None

    @cached_property
    def own(self) -> frozenset[str]:
        """The identifiers that the instruction names, in lower case."""
        named = (m[0] for value in self.params.values() for m in IDENTIFIER.finditer(value.lower()))
        return frozenset(named)

    @cached_property
    def prefixes(self) -> frozenset[str]:
        """The prefixes of these identifiers, such as `ord`."""
        return frozenset(key.partition("-")[0] for key in self.own)

    @cached_property
    def dates(self) -> frozenset[str]:
        """The ISO dates that the instruction names."""
        return frozenset(date for value in self.params.values() for date in _DATE.findall(value))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The words that name what is asked for otherwise: a town, a team, a severity, a status."""
        return tuple(
            phrase
            for value in self.params.values()
            if not IDENTIFIER.search(value.lower()) and not _DATE.fullmatch(value)
            for phrase in (words(value),)
            if len(phrase) >= SHORTEST_NAME and not phrase.isdigit()
        )

    @cached_property
    def quoted(self) -> tuple[str, ...]:
        """Texts of several words that are to be written as they are, such as a note."""
        return tuple(value.lower() for value in self.params.values() if value.count(" ") >= 2 and value[:1].islower())

    @cached_property
    def others(self) -> Mapping[str, frozenset[str]]:
        """For each name, those that the world has in the same column: what a wrong answer may be about instead."""
        found = {} if self.image is None else _others(self.image, tuple(self.params.values()))
        return {name: found.get(name, frozenset()) for name in self.names}

    @cached_property
    def excluded(self) -> str:
        """What the instruction leaves out, such as `cancelled`; empty where it names no such thing."""
        match = _EXCLUDED.search(self.plain)
        return (match[1] or match[2]) if match else ""

    @cached_property
    def asks_for_work(self) -> frozenset[str]:
        """The verbs of change that the instruction uses in the imperative."""
        return frozenset(_ASKED_TO.findall(self.plain))


NO_QUESTION = Question("", {})
"""What is known where only a goal is at hand."""


def record_holds(world: World, key: str, stems: Collection[str]) -> bool:
    """Whether the record with an identifier holds one of some words, in any of its columns.

    Args:
        world: The world.
        key: The identifier, in any case.
        stems: The words, or their beginnings, in lower case.
    """
    for table, columns in sorted(world.image.domain.readable.items()):
        if "id" not in columns:
            continue
        row = world.db.execute(f"SELECT * FROM {table} WHERE id = ?", (key.upper(),)).fetchone()
        if row is not None:
            return any(stem in str(value).lower() for value in row for stem in stems)
    return False


def question(world: World, instruction: str, params: Mapping[str, Any]) -> Question:
    """The question that a task asks, from a cache.

    Args:
        world: The world of the episode.
        instruction: What was asked.
        params: What the instruction names.
    """
    return _question(world.image, instruction, tuple((name, str(value)) for name, value in params.items()))


@banked("tasks", 4096)
def _question(image: WorldImage, instruction: str, params: tuple[tuple[str, str], ...]) -> Question:
    return Question(instruction, dict(params), image)


@banked("tasks", 4096)
def _others(image: WorldImage, values: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """Name -> the other values of the first column that holds it."""
    db = image.reader.raw
    left = {value: words(value) for value in values if not IDENTIFIER.search(value.lower())}
    found: dict[str, frozenset[str]] = {}
    for table, columns in sorted(image.domain.readable.items()):
        for column in sorted(columns):
            for value, name in left.items():
                if name in found or len(name) < SHORTEST_NAME or name.isdigit():
                    continue
                statement = f"SELECT 1 FROM {table} WHERE {column} = ? LIMIT 1"
                if db.execute(statement, (value,)).fetchone() is None:
                    continue
                rows = db.execute(f"SELECT DISTINCT {column} FROM {table} LIMIT {MOST_NAMES}").fetchall()
                found[name] = frozenset(words(str(row[0])) for row in rows) - {name, ""}
    return found
