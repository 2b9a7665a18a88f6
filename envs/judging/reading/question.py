"""What a text is meant to answer: the records that are asked about, and the others that could be taken for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase
from typing import Any

from faultgym.core.bank import banked
from faultgym.envs.judging.answers import words
from faultgym.envs.worlds.world import World, WorldImage

_IDENTIFIER = re.compile(r"\b[a-z]{2,8}-\d{1,9}\b")
_NUMBER = re.compile(r"-(?<=[a-z]{2}-)[0-9]")
"""The middle of an identifier: it begins with a sign that is rare, which is found several times faster."""
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
MOST_NAMES = 400
"""Values of a column that are taken for other subjects."""
SHORTEST_NAME = 3


def identifiers(plain: str) -> list[re.Match[str]]:
    """The identifiers in a folded text, such as `ord-10422`, with their places."""
    found = []
    for number in _NUMBER.finditer(plain):
        hyphen = number.start()
        start = max(0, hyphen - 9)
        start += len(plain[start:hyphen].rstrip(ascii_lowercase))
        match = _IDENTIFIER.match(plain, start)
        if match is not None:
            found.append(match)
    return found


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
    def own(self) -> frozenset[str]:
        """The identifiers that the instruction names, in lower case."""
        named = (m[0] for value in self.params.values() for m in _IDENTIFIER.finditer(value.lower()))
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
            if not _IDENTIFIER.search(value.lower()) and not _DATE.fullmatch(value)
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
    left = {value: words(value) for value in values if not _IDENTIFIER.search(value.lower())}
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
