"""What a build for supervised fine-tuning has found so far, beside what `Index` holds: the examples, and the choice.

`examples` and `bodies` are filled by verification; `live` is made from them by `choose`, anew each time.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from faultgym.training.builds.index import Index
from faultgym.training.examples import SFTExample, example_of, example_record
from faultgym.training.filters.dedupe import (
    PERMUTATIONS,
    DedupThresholds,
    DuplicateGroup,
    exact_key,
    group_key,
    signature,
)
from faultgym.training.filters.mix import MixReport, MixWeights, SampleCaps, fair, leads, mix_report, quotas, rank

_SCHEMA = """
CREATE TABLE IF NOT EXISTS examples (
    id INTEGER PRIMARY KEY, exact BLOB UNIQUE, grp BLOB, rank INTEGER, episode_id TEXT, kind TEXT, contracts TEXT,
    template TEXT, task TEXT);
CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, signature BLOB, data BLOB, tools BLOB);
"""


@dataclass(frozen=True, slots=True)
class ExampleEntry:
    """An example as the index holds it."""

    exact: bytes
    group: bytes
    rank: int
    episode_id: str
    kind: str
    contracts: str
    template: str
    task: str
    signature: bytes
    data: bytes
    """The example without its tools."""
    tools: bytes

    @classmethod
    def of(cls, example: SFTExample, seed: int) -> ExampleEntry:
        """The entry of an example; needs datasketch.

        Args:
            example: The verified example.
            seed: Fixes the entry's rank.
        """
        origin, exact = example.origin, exact_key(example)
        record = example_record(example)
        tools = orjson.dumps(record.pop("tools"))
        return cls(
            exact=exact,
            group=group_key(example),
            rank=rank(seed, exact),
            episode_id=origin.episode_id,
            kind=example.kind,
            contracts=",".join(example.contracts),
            template=f"{origin.suite}/{origin.template}",
            task=origin.task,
            signature=signature(example).tobytes(),
            data=zlib.compress(orjson.dumps(record), 1),
            tools=tools,
        )


class ExampleIndex(Index[ExampleEntry]):
    """The file of one build of examples."""

    TABLES = _SCHEMA

    def add(self, entry: ExampleEntry) -> None:
        """Store an example; of exact duplicates the one with the smallest episode id stays, then the one with the
        smallest data.
        """
        e = entry
        row = (e.exact, e.group, e.rank, e.episode_id, e.kind, e.contracts, e.template, e.task)
        old = self._db.execute("SELECT id, episode_id FROM examples WHERE exact = ?", (e.exact,)).fetchone()
        if old is not None:
            self._count("exact_duplicate")
            if (old[1], self._body(old[0])) <= (e.episode_id, e.data):
                return
            self._db.execute("DELETE FROM examples WHERE id = ?", (old[0],))
            self._db.execute("DELETE FROM bodies WHERE id = ?", (old[0],))
        places = ", ".join("?" * (len(row) + 1))
        number = None if old is None else old[0]
        done = self._db.execute(f"INSERT INTO examples VALUES ({places})", (number, *row))
        body = (done.lastrowid, e.signature, e.data, self.keep_tools(e.tools))
        self._db.execute("INSERT INTO bodies VALUES (?, ?, ?, ?)", body)

    def _body(self, number: int) -> bytes:
        data: bytes = self._db.execute("SELECT data FROM bodies WHERE id = ?", (number,)).fetchone()[0]
        return data

    def accepted(self) -> int:
        """The number of examples, exact duplicates counted once."""
        count: int = self._db.execute("SELECT count(*) FROM examples").fetchone()[0]
        return count

    def choose(self, grades: DedupThresholds, caps: SampleCaps, mix: MixWeights) -> tuple[MixReport, dict[str, int]]:
        """Leave in the table `live` what goes into the data set: de-duplicated, capped, mixed.

        Args:
            grades: What counts as a duplicate.
            caps: The most examples of one task, and of one template.
            mix: The stated shares of the kinds.

        Returns:
            What the mix came to, and (kind of duplicate -> how many were left out).
        """
        with self.transaction():
            self._db.execute("DROP TABLE IF EXISTS live")
            self._db.execute(
                "CREATE TABLE live (id INTEGER PRIMARY KEY, rank INTEGER, exact BLOB, kind TEXT, contracts TEXT,"
                " template TEXT, task TEXT, lead TEXT DEFAULT '')"
            )
            duplicates = self._without_duplicates(grades)
            left_out = {
                "task_cap": self._cap("task", caps.per_task),
                "template_cap": self._cap("template", caps.per_template),
                "mix": self._mixed(mix),
            }
            return self._report(mix, left_out), duplicates

    def _without_duplicates(self, grades: DedupThresholds) -> dict[str, int]:
        """Fill `live`, group by group."""
        count: Counter[str] = Counter({"exact_duplicate": int(self.fact("exact_duplicate") or 0)})
        self._db.execute("CREATE INDEX IF NOT EXISTS grouped ON examples (grp, episode_id, exact)")
        group, current = DuplicateGroup(grades), b""
        kept: list[tuple[int]] = []
        for number, key in self._db.execute("SELECT id, grp FROM examples ORDER BY grp, episode_id, exact"):
            if key != current:
                group, current = DuplicateGroup(grades), key
            mine = self._db.execute("SELECT signature FROM bodies WHERE id = ?", (number,)).fetchone()[0]
            why = group.verdict(np.frombuffer(mine, dtype=np.uint32, count=PERMUTATIONS))
            if why:
                count[why] += 1
                continue
            kept.append((number,))
            if len(kept) == 1000:
                self._keep(kept)
        self._keep(kept)
        return {name: n for name, n in count.items() if n}

    def _keep(self, kept: list[tuple[int]]) -> None:
        columns = "id, rank, exact, kind, contracts, template, task"
        self._db.executemany(f"INSERT INTO live ({columns}) SELECT {columns} FROM examples WHERE id = ?", kept)
        kept.clear()

    def _cap(self, column: str, most: int) -> int:
        """Keep the first so many of each value of a column."""
        return self._drop(
            f"SELECT id, row_number() OVER (PARTITION BY {column} ORDER BY rank, exact) > {most} AS beyond FROM live"
        )

    def _drop(self, ranked: str) -> int:
        return self._db.execute(f"DELETE FROM live WHERE id IN (SELECT id FROM ({ranked}) WHERE beyond)").rowcount

    def _mixed(self, mix: MixWeights) -> int:
        """Keep the first so many of each kind, and of recoveries so many of each contract."""
        counts = dict(self._db.execute("SELECT kind, count(*) FROM live GROUP BY kind"))
        wanted = quotas(counts, mix)
        combined = {
            tuple(text.split(",")): n
            for text, n in self._db.execute(
                "SELECT contracts, count(*) FROM live WHERE kind = 'recovery' GROUP BY contracts"
            )
        }
        lead, shown = leads(combined), Counter[str]()
        for contracts, count in combined.items():
            shown[lead[contracts]] += count
            self._db.execute(
                "UPDATE live SET lead = ? WHERE kind = 'recovery' AND contracts = ?",
                (lead[contracts], ",".join(contracts)),
            )
        limits = [(kind, "", n) for kind, n in wanted.items() if kind != "recovery"]
        limits += [("recovery", name, n) for name, n in fair(shown, wanted.get("recovery", 0)).items()]
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS quota (kind TEXT, lead TEXT, most INTEGER)")
        self._db.execute("DELETE FROM quota")
        self._db.executemany("INSERT INTO quota VALUES (?, ?, ?)", limits)
        return self._drop(
            "SELECT l.id, row_number() OVER (PARTITION BY l.kind, l.lead ORDER BY l.rank, l.exact)"
            " > coalesce(q.most, 0) AS beyond FROM live l LEFT JOIN quota q ON q.kind = l.kind AND q.lead = l.lead"
        )

    def _report(self, mix: MixWeights, left_out: dict[str, int]) -> MixReport:
        def by(column: str, where: str = "") -> dict[str, int]:
            return dict(self._db.execute(f"SELECT {column}, count(*) FROM live {where} GROUP BY {column}"))

        contracts: Counter[str] = Counter()
        for text, count in by("contracts", "WHERE kind = 'recovery'").items():
            for contract in text.split(","):
                contracts[contract] += count
        return mix_report(by("kind"), contracts, by("template"), mix, left_out)

    def chosen(self) -> Iterator[SFTExample]:
        """The chosen examples, in the order in which they are written.

        Yields:
            One example at a time; `choose` has to be called before.
        """
        numbers = self._db.execute("SELECT id FROM live ORDER BY rank, exact")
        query = "SELECT data, tools FROM bodies WHERE id = ?"
        for (number,) in numbers:  # one by one: a sort of whole bodies would go through the disk twice
            data, tools = self._db.execute(query, (number,)).fetchone()
            yield example_of({**orjson.loads(zlib.decompress(data)), "tools": self.tools(tools)})
