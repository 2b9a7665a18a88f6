"""What a backend may touch of the world it serves, and the world's clock.

The protocol stands here, below the environments, so that the tools never import the world.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from faultgym.tools.exchange import Document, SearchReply, SearchRequest, SqlReply

END_OF_TIME = 1e11
"""Seconds, about 3,000 years: beyond the year 9999 there are no dates to write."""


class Clock:
    """Virtual time in seconds since the episode began. Nothing in faultgym ever sleeps.

    Args:
        now: The time at which the clock starts.
    """

    __slots__ = ("now",)

    def __init__(self, now: float = 0.0):
        self.now = now

    def advance(self, seconds: float) -> float:
        """Move the clock forward, at most to `END_OF_TIME`.

        Args:
            seconds: How far; not negative.

        Returns:
            The new time.
        """
        self.now = min(self.now + seconds, END_OF_TIME)
        return self.now


@dataclass(frozen=True, slots=True)
class Effect:
    """One customer-visible write that really happened."""

    kind: str
    """What was done, in the suite's words: `cancel_order`, `sql:update`."""
    table: str
    key: str
    """The row's id, or what the statement named."""
    values: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class FieldHints:
    """What the fields of a service's bodies mean, so that faults can change them plausibly."""

    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field with a fixed set of values -> those values, in the order in which a record passes them."""
    money: frozenset[str] = frozenset()
    """Fields with amounts in cents."""
    references: frozenset[str] = frozenset()
    """Fields with identifiers of other records."""
    fixed: frozenset[str] = frozenset()
    """Fields that never change once a record is there: an older copy has the same."""
    before: Mapping[str, str] = field(default_factory=dict)
    """Choice -> the one before it, where that is not its neighbour in `choices`; empty where there is none."""
    filled: Mapping[str, tuple[str, frozenset[str], Any]] = field(default_factory=dict)
    """Field that is filled in late -> the field with choices that goes with it, those with which it is filled, and what
    it holds before."""
    writes: Mapping[str, str] = field(default_factory=dict)
    """Prefix of an identifier -> what a stranger's text may plausibly ask to have done to such a record, `{id}` for the
    identifier: `cancel {id}`. It begins as an operation that changes that record itself does."""


class SqlDoor(Protocol):
    """The untrusted door to a world's database: a model's statements go through it, and none of them raises."""

    def run(self, statement: str, *, write_allowed: bool, now: Callable[[], str] | None = None) -> SqlReply:
        """Run one statement; what is wrong with the statement is the reply's `error`.

        Args:
            statement: One SQLite statement, as a model wrote it.
            write_allowed: Whether the statement may change the tables that are writable.
            now: Gives the virtual time (ISO 8601, UTC) for date functions; without it, the time is NULL.
        """

    def writes(self, statement: str) -> bool:
        """Whether the statement would change something if it ran and were allowed to."""


class SearchEngine(Protocol):
    """The search engine over a world's documents."""

    @property
    def documents(self) -> Mapping[str, Document]:
        """All documents by id."""

    def search(self, request: SearchRequest) -> SearchReply:
        """One page of hits; what is wrong with the request is the reply's `error`."""


class WorldView(Protocol):
    """The part of a world that routes and tools work on."""

    clock: Clock
    """Virtual time."""
    effects: list[Effect]
    """All customer-visible writes so far, in order."""

    @property
    def db(self) -> sqlite3.Connection:
        """The trusted door for reading; may be shared with other episodes."""

    def writable(self) -> sqlite3.Connection:
        """The trusted door for writing; copies the shared database at the first call."""

    @property
    def guarded(self) -> SqlDoor:
        """The untrusted door for reading."""

    def guarded_writable(self) -> SqlDoor:
        """The untrusted door for writing; copies the shared database at the first call."""

    @property
    def index(self) -> SearchEngine:
        """The search engine over the world's documents."""

    @property
    def hints(self) -> FieldHints:
        """What the fields of the service's bodies mean."""

    def effect(self, kind: str, table: str, key: str, **values: Any) -> None:
        """Note a customer-visible write in the effect log.

        Args:
            kind: What was done, in the suite's words: `cancel_order`.
            table: The table that was changed.
            key: The row's id, or what the statement named.
            values: The new values, by column.
        """

    @property
    def now_iso(self) -> str:
        """The virtual time as ISO 8601, UTC."""

    def time(self) -> str:
        """The virtual time as `now_iso` gives it, for callers that pass the function on."""
