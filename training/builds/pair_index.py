"""What a build of pairs has found so far, beside what `Index` holds: the pairs, and those of them that are chosen."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from faultgym.core.json import JSON
from faultgym.training.builds.index import Index
from faultgym.training.examples import PreferencePair, pair_of, pair_record
from faultgym.training.filters.mix import rank
from faultgym.training.preferences.balance import balanced, surface
from faultgym.training.preferences.kto import prompt_key
from faultgym.training.preferences.pairs import PairsFound
from faultgym.training.rows.columns import Form

BLOCK = 8_000
"""Pairs that are balanced at a time: what is in memory."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pairs (
    id INTEGER PRIMARY KEY, key BLOB UNIQUE, rank INTEGER, prompt BLOB, chosen BLOB, rejected BLOB,
    origin TEXT, kind TEXT, critical INTEGER, own INTEGER);
CREATE INDEX IF NOT EXISTS ahead ON pairs (prompt, chosen);
CREATE TABLE IF NOT EXISTS pair_bodies (id INTEGER PRIMARY KEY, data BLOB, tools BLOB);
"""


@dataclass(frozen=True, slots=True)
class PairEntry:
    """A pair as the index holds it."""

    key: bytes
    """Equal for pairs with the same prompt, completions and tools."""
    rank: int
    prompt: bytes
    chosen: bytes
    rejected: bytes
    origin: str
    """Of equal pairs, the one with the smallest stays."""
    kind: str
    critical: bool
    own: bool
    data: bytes
    """The pair without its tools."""
    tools: bytes

    @classmethod
    def of(cls, found: PairsFound, seed: int) -> PairEntry:
        """The entry of a pair.

        Args:
            found: The pair, as it was found at a fork.
            seed: Fixes the entry's rank.
        """
        pair = found.pair
        key = _hashed([pair.prompt, pair.chosen, pair.rejected, pair.tools])
        origin = f"{pair.origin.episode_id} {pair.fork_step:04d} {pair.chosen_id} {pair.rejected_id}"
        record = pair_record(pair)
        tools = orjson.dumps(record.pop("tools"))
        data = zlib.compress(orjson.dumps(record), 1)
        chosen, rejected = _hashed(without_ids(pair.chosen)), _hashed(without_ids(pair.rejected))
        return cls(
            key=key,
            rank=rank(seed, key),
            prompt=prompt_key(pair),
            chosen=chosen,
            rejected=rejected,
            origin=origin,
            kind=pair.kind,
            critical=found.critical,
            own=found.own,
            data=data,
            tools=tools,
        )


def _hashed(value: Any) -> bytes:
    return blake2b(orjson.dumps(value), digest_size=16).digest()


def without_ids(messages: Sequence[JSON]) -> list[JSON]:
    """What messages say and call, without thoughts and call ids: equal for equal decisions.

    Args:
        messages: Messages in OpenAI's form.

    Example:
        >>> without_ids([{"role": "assistant", "content": "Done.", "reasoning_content": "All is there."}])
        [{'content': 'Done.', 'calls': []}]
    """
    return [
        {"content": m["content"], "calls": [call["function"] for call in m.get("tool_calls", ())]} for m in messages
    ]


@dataclass(frozen=True, slots=True)
class Choice:
    """What became of the pairs."""

    found: dict[str, int]
    """Pairs by kind, equal ones counted once."""
    kept: dict[str, int]
    critical: int
    """Of the kept ones: those that reject what a failed trace did at its first critical step."""
    same_prompt: int
    """Left out because another pair of the same prompt was taken; only for labelled completions."""
    duplicates: int
    contradicted: int = 0
    """Left out because what they reject is chosen by another pair of the same prompt."""


class PairIndex(Index[PairEntry]):
    """The file of one build of pairs."""

    TABLES = _SCHEMA

    def add(self, entry: PairEntry) -> None:
        """Store a pair; of equal pairs the one whose origin is smallest stays, marked critical if any of them was."""
        e = entry
        old = self._db.execute("SELECT id, origin, critical, own FROM pairs WHERE key = ?", (e.key,)).fetchone()
        row = (e.key, e.rank, e.prompt, e.chosen, e.rejected, e.origin, e.kind)
        if old is None:
            done = self._db.execute(
                "INSERT INTO pairs (key, rank, prompt, chosen, rejected, origin, kind, critical, own)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, e.critical, e.own),
            )
            body = (done.lastrowid, e.data, self.keep_tools(e.tools))
            self._db.execute("INSERT INTO pair_bodies VALUES (?, ?, ?)", body)
            return
        self._count("duplicate_pairs")
        marks = (old[2] or e.critical, old[3] or e.own, old[0])
        self._db.execute("UPDATE pairs SET critical = ?, own = ? WHERE id = ?", marks)
        if e.origin < old[1]:
            self._db.execute("UPDATE pairs SET origin = ?, kind = ? WHERE id = ?", (e.origin, e.kind, old[0]))
            self._db.execute("UPDATE pair_bodies SET data = ? WHERE id = ?", (e.data, old[0]))

    def choose_pairs(self, form: Form, balance: bool = True) -> Choice:
        """Leave in the table `taken` what goes into the data set, block by block, in the order of the ranks.

        Args:
            form: `labels` takes one pair of each prompt.
            balance: Whether pairs that a shortcut could solve are left out.

        Returns:
            What became of the pairs.
        """
        with self.transaction():
            self._db.execute("DROP TABLE IF EXISTS open")
            self._db.execute("DROP TABLE IF EXISTS taken")
            self._db.execute("CREATE TABLE open (place INTEGER PRIMARY KEY, id INTEGER)")
            self._db.execute("CREATE TABLE taken (place INTEGER PRIMARY KEY, id INTEGER)")
            first = "row_number() OVER (PARTITION BY prompt ORDER BY rank, key) = 1" if form == "labels" else "1"
            sound = (
                "SELECT * FROM pairs AS p WHERE NOT EXISTS"
                " (SELECT 1 FROM pairs AS q WHERE q.prompt = p.prompt AND q.chosen = p.rejected)"
            )
            self._db.execute(
                f"INSERT INTO open (id) SELECT id FROM (SELECT id, rank, key, {first} AS first FROM ({sound}))"
                " WHERE first ORDER BY rank, key"
            )
            agreed = self._one(f"SELECT count(*) FROM ({sound})")
            total = self._one("SELECT count(*) FROM open")
            size = math.ceil(total / math.ceil(total / BLOCK)) if total else 1
            for start in range(0, total, size):
                self._balance(start, size, balance)
            return self._choice(agreed - total, self._one("SELECT count(*) FROM pairs") - agreed)

    def _balance(self, start: int, size: int, balance: bool) -> None:
        query = (
            "SELECT open.place, open.id, own, data, tools FROM open JOIN pairs USING (id) JOIN pair_bodies USING (id)"
            " WHERE open.place > ? AND open.place <= ? ORDER BY open.place"
        )
        places, surfaces = [], []
        for place, number, own, data, tools in self._db.execute(query, (start, start + size)):
            places.append((place, number))
            surfaces.append(surface(self._unpacked(data, tools), bool(own)))
        keeps = balanced(surfaces) if balance else [True] * len(places)
        kept = [place for place, keep in zip(places, keeps, strict=True) if keep]
        self._db.executemany("INSERT INTO taken VALUES (?, ?)", kept)

    def _choice(self, same_prompt: int, contradicted: int) -> Choice:
        kinds = dict(self._db.execute("SELECT kind, count(*) FROM pairs GROUP BY kind ORDER BY kind"))
        taken = "SELECT kind, critical FROM taken JOIN pairs USING (id)"
        taken_kinds: Counter[str] = Counter()
        critical = 0
        for kind, at_critical in self._db.execute(taken):
            taken_kinds[kind] += 1
            critical += at_critical
        duplicates = int(self.fact("duplicate_pairs") or 0)
        kept = {kind: taken_kinds[kind] for kind in kinds}
        return Choice(
            found=kinds,
            kept=kept,
            critical=critical,
            same_prompt=same_prompt,
            duplicates=duplicates,
            contradicted=contradicted,
        )

    def _one(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])

    def chosen_pairs(self) -> Iterator[PreferencePair]:
        """The chosen pairs, in the order in which they are written.

        Yields:
            One pair at a time; `choose_pairs` has to be called before.
        """
        query = "SELECT data, tools FROM taken JOIN pair_bodies USING (id) ORDER BY taken.place"
        for data, tools in self._db.execute(query):
            yield self._unpacked(data, tools)

    def _unpacked(self, data: bytes, tools: bytes) -> PreferencePair:
        return pair_of({**orjson.loads(zlib.decompress(data)), "tools": self.tools(tools)})
