"""The world of an episode: one SQLite database, a search index, a virtual clock, an effect log.

A world is built once for its seed and kept as an image. Episodes read the image's own connection and
copy it only when they first write.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from copy import copy
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from faultgym.core.bank import banked
from faultgym.core.hashing import stable_hash
from faultgym.envs.worlds.changes import RawRow, Row, changes, digest_of, named, visible_rows
from faultgym.envs.worlds.domain import Domain
from faultgym.envs.worlds.names import Names
from faultgym.tools.channels.http.service import SERVICE_TABLES, TOKEN_SECONDS
from faultgym.tools.channels.search import SearchIndex
from faultgym.tools.channels.sql.connection import GuardedConnection, write_schema_table
from faultgym.tools.channels.sql.policy import SqlPolicy
from faultgym.tools.context import Clock, Effect, FieldHints

EPOCH = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""The virtual moment at which every episode begins."""
ROOM = 256 * 1024
"""Bytes by which an agent's SQL may enlarge a world. Counted from its image, so that a fork has no more of it."""
CLIENT_ID = "desk"
"""The API client that every agent is."""


class WorldImage:
    """A world as its seed makes it; never changed, shared by all episodes on it.

    Args:
        domain: What the world is built from.
        split: The split whose names and numbers it holds.
        seed: The same domain, split and seed give the same bytes.
    """

    def __init__(self, domain: Domain, split: str, seed: int):
        self.domain = domain
        self.split = split
        self.seed = seed
        builder = sqlite3.connect(":memory:", isolation_level=None)
        builder.execute("PRAGMA page_size = 1024")  # small tables: a third less to copy than with 4096
        builder.executescript(SERVICE_TABLES + domain.schema)
        rng = random.Random(stable_hash("world", domain.name, domain.version, split, seed))
        self.secret = f"sk-{rng.randrange(16**8):08x}"
        builder.execute("BEGIN")
        domain.build(builder, Names(split, rng))
        builder.execute("INSERT INTO _clients VALUES (?, ?, ?)", (CLIENT_ID, self.secret, "all"))
        self.token = f"tok-{CLIENT_ID}-{rng.randrange(16**6):06x}"
        builder.execute("INSERT INTO _tokens VALUES (?, ?, ?)", (self.token, "all", float(TOKEN_SECONDS)))
        write_schema_table(builder, domain.readable)
        builder.execute("COMMIT")
        builder.execute("VACUUM")
        self.image = builder.serialize()
        builder.close()
        self.largest = len(self.image) + ROOM
        self.policy = SqlPolicy(domain.readable, writable=domain.writable)
        self.reader = GuardedConnection(self.image, self.policy)
        self.fingerprint = blake2b(self.image, digest_size=8).hexdigest()
        self._index: SearchIndex | None = None
        self._indexed_as: WorldImage | None = None
        """The world whose index it uses."""
        self._rows: dict[str, dict[str, Row]] = {}
        self._raw: dict[str, frozenset[RawRow]] = {}

    def altered(self, changes: Iterable[tuple[str, tuple[Any, ...]]]) -> WorldImage:
        """This world as it would be had it been built a little otherwise; this one is left as it is.

        Args:
            changes: SQL statements with the values for their placeholders.

        Raises:
            sqlite3.Error: A statement does not fit the tables.
        """
        twin = copy(self)
        twin.reader = GuardedConnection(self.image, self.policy)
        for statement, values in changes:
            twin.reader.raw.execute(statement, values)
        twin.image = twin.reader.serialize()
        twin._index, twin._rows, twin._raw = None, {}, {}
        return twin

    def indexed_as(self, other: WorldImage) -> WorldImage:
        """This world with the search engine of another one, which it does not change: building one takes long.

        Args:
            other: The world whose documents are found here.
        """
        twin = copy(self)
        twin._indexed_as = other
        return twin

    @property
    def index(self) -> SearchIndex:
        """The search engine over the world's documents; built when first needed."""
        if self._indexed_as is not None:
            return self._indexed_as.index
        if self._index is None:
            self._index = SearchIndex(self.domain.documents(self.reader.raw))
        return self._index

    def rows(self, table: str) -> dict[str, Row]:
        """The customer-visible part of a table: key -> column -> value.

        Raises:
            KeyError: The table has no customer-visible part.
        """
        found = self._rows.get(table)
        if found is None:
            raw = visible_rows(self.reader.raw, self.domain, table)
            found = self._rows[table] = {str(row[0]): named(self.domain, table, row) for row in raw}
        return found

    def raw_rows(self, table: str) -> frozenset[RawRow]:
        """The customer-visible part of a table, as `visible_rows` gives it.

        Raises:
            KeyError: The table has no customer-visible part.
        """
        found = self._raw.get(table)
        if found is None:
            found = self._raw[table] = frozenset(visible_rows(self.reader.raw, self.domain, table))
        return found


@banked("worlds", 256)
def world_image(domain: Domain, split: str, seed: int) -> WorldImage:
    """The image of a world, from a cache of the last 256.

    Args:
        domain: What the world is built from.
        split: The split whose names and numbers it holds.
        seed: The world's seed.
    """
    return WorldImage(domain, split, seed)


class World:
    """One episode's view of a world: reads are shared, the first write makes a copy.

    Args:
        image: The world as it was built.

    Example:
        >>> shop = Domain(
        ...     name="shop",
        ...     version=1,
        ...     schema="CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT);",
        ...     build=lambda db, names: db.execute("INSERT INTO orders VALUES ('ORD-1', 'open')"),
        ...     documents=lambda db: [],
        ...     readable={},
        ...     writable=frozenset(),
        ...     visible={"orders": ("id", ("status",))},
        ... )
        >>> world = World(WorldImage(shop, "train", 0))
        >>> fork = world.fork()
        >>> _ = fork.writable().execute("UPDATE orders SET status = 'paid'")
        >>> fork.effect("pay", "orders", "ORD-1", status="paid")
        >>> changes(fork)
        (Change(op='update', table='orders', key='ORD-1', values=(('status', 'paid'),)),)
        >>> changes(world), fork.written, world.written
        ((), True, False)
    """

    __slots__ = ("_digest", "_frozen", "_own", "clock", "effects", "image")

    def __init__(self, image: WorldImage):
        self.image = image
        self.clock = Clock()
        self.effects: list[Effect] = []
        self._own: GuardedConnection | None = None
        self._frozen: bytes | None = None
        """The database as of a fork that has not been opened yet."""
        self._digest: tuple[int, str] | None = None

    @property
    def guarded(self) -> GuardedConnection:
        """The untrusted door for reading."""
        if self._own is not None:
            return self._own
        if self._frozen is not None:
            return self.guarded_writable()
        return self.image.reader

    @property
    def db(self) -> sqlite3.Connection:
        """The trusted door for reading."""
        return self.guarded.raw

    def guarded_writable(self) -> GuardedConnection:
        """The untrusted door for writing."""
        if self._own is None:
            self._own = GuardedConnection(
                self._frozen or self.image.image, self.image.policy, largest=self.image.largest
            )
            self._frozen = None
        return self._own

    def writable(self) -> sqlite3.Connection:
        """The trusted door for writing."""
        return self.guarded_writable().raw

    @property
    def written(self) -> bool:
        """Whether this episode has a database of its own."""
        return self._own is not None or self._frozen is not None

    @property
    def index(self) -> SearchIndex:
        """The search engine over the world's documents."""
        return self.image.index

    @property
    def hints(self) -> FieldHints:
        """What the fields of the service's bodies mean."""
        return self.image.domain.hints

    def effect(self, kind: str, table: str, key: str, **values: Any) -> None:
        """Note a customer-visible write in the effect log.

        Args:
            kind: What was done, in the suite's words: `cancel_order`.
            table: The table that was changed.
            key: The row's id, or what the statement named.
            values: The new values, by column.
        """
        self.effects.append(Effect(kind, table, key, values))

    @property
    def now_iso(self) -> str:
        """The virtual time as ISO 8601, UTC."""
        return iso(self.clock.now)

    def time(self) -> str:
        """The virtual time as `now_iso` gives it, for callers that pass the function on."""
        return iso(self.clock.now)

    def serialize(self) -> bytes:
        """The database as bytes."""
        if self._own is not None:
            return self._own.serialize()
        return self._frozen or self.image.image

    def fork(self) -> World:
        """An independent copy in the same state; opened only when it is used."""
        twin = World(self.image)
        twin.clock.now = self.clock.now
        twin.effects = list(self.effects)
        twin._digest = self._digest
        if self._own is not None:
            twin._frozen = self._own.serialize()
        else:
            twin._frozen = self._frozen
        return twin

    def digest(self) -> str:
        """A hash of the customer-visible state: equal states have equal digests, reads never change it.

        Returns:
            16 hexadecimal digits; those of the image where no effect was noted or all changes were undone.
        """
        if not self.effects:
            return self.image.fingerprint
        if self._digest is None or self._digest[0] != len(self.effects):
            self._digest = (len(self.effects), digest_of(changes(self)) or self.image.fingerprint)
        return self._digest[1]

    def close(self) -> None:
        """Close the episode's own database, if there is one. The state is kept as bytes, and opened again when used."""
        if self._own is not None:
            self._frozen = self._own.serialize()
            self._own.close()
            self._own = None

    def __getstate__(self) -> tuple[Any, ...]:
        """For another process: the image by what it is built from, the own database as bytes."""
        image = self.image
        own = self._own.serialize() if self._own is not None else self._frozen
        return (image.domain, image.split, image.seed, self.clock.now, self.effects, own)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """The counterpart of `__getstate__`."""
        domain, split, seed, now, effects, own = state
        self.__init__(world_image(domain, split, seed))  # type: ignore[misc]
        self.clock.now, self.effects, self._frozen = now, effects, own


def iso(seconds: float) -> str:
    """Virtual seconds since the episode began as ISO 8601, UTC.

    Raises:
        OverflowError: The time is beyond the year 9999; a `Clock` never is.

    Example:
        >>> iso(90)
        '2026-03-02T09:01:30Z'
    """
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
