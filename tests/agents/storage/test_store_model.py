"""The store against a dict, through appends, syncs, reopenings and power cuts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from helpers.levels import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from faultgym.agents.storage.lines import encode
from faultgym.agents.storage.segment import SegmentWriter
from faultgym.agents.storage.store import RunDirectory

WRITERS = st.sampled_from(["a", "b"])
BATCH = 4


class StoreModel(RuleBasedStateMachine):
    """A power cut is a copy of the run in which each segment lost any part of what was not yet synced."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.lives = 0
        self.lines: dict[str, list[bytes]] = {"a": [], "b": []}
        self.durable: dict[str, int] = {"a": 0, "b": 0}
        self.model: dict[str, dict[str, Any]] = {}
        self.writers: dict[str, SegmentWriter] = {}

    @initialize()
    def create(self) -> None:
        self.run = RunDirectory.create(self.folder / "run-0", {"batch": BATCH})

    @rule(name=WRITERS, n=st.integers(0, 15), text=st.text(max_size=8))
    def append(self, name: str, n: int, text: str) -> None:
        record = {"episode_id": f"e{n}", "text": text}
        if name not in self.writers:
            self.writers[name] = self.run.writer(name, batch=BATCH)
        self.writers[name].append(record)
        self.lines[name].append(encode(record))
        if len(self.lines[name]) - self.durable[name] == BATCH:
            self.durable[name] = len(self.lines[name])

    @precondition(lambda self: self.writers)
    @rule(name=WRITERS)
    def sync(self, name: str) -> None:
        if name in self.writers:
            self.writers[name].sync()
            self.durable[name] = len(self.lines[name])

    @precondition(lambda self: self.writers)
    @rule(name=WRITERS)
    def close(self, name: str) -> None:
        if name in self.writers:
            self.writers.pop(name).close()
            self.durable[name] = len(self.lines[name])

    @rule(data=st.data(), repair=st.booleans())
    def power_cut(self, data: st.DataObject, repair: bool) -> None:
        self.lives += 1
        after = self.folder / f"run-{self.lives}"
        shutil.copytree(self.run.path, after)
        for name, lines in self.lines.items():
            segment = after / "traces" / f"segment-{name}-0.jsonl"
            if not segment.exists():
                continue
            durable = sum(map(len, lines[: self.durable[name]]))
            size = data.draw(st.integers(durable, segment.stat().st_size))
            with segment.open("rb+") as file:
                file.truncate(size)
            while sum(map(len, lines)) > size:
                lines.pop()
            self.durable[name] = len(lines)
        self.teardown_writers()
        self.run = RunDirectory.open(after)
        if repair:
            with self.run.lock():
                self.run.repair()
                assert self.run.repair() == []

    @rule()
    def compact(self) -> None:
        target = self.folder / "all.jsonl"
        assert self.run.compact(target) == len(self.expected())
        expected = sorted(self.expected().items())
        assert target.read_bytes() == b"".join(line for _, line in expected)

    def expected(self) -> dict[str, bytes]:
        model: dict[str, bytes] = {}
        for name in ("a", "b"):
            for line in self.lines[name]:
                model.setdefault(line.split(b'"')[3].decode(), line)
        return model

    @invariant()
    def store_equals_model(self) -> None:
        if self.lives == 0 and not hasattr(self, "run"):
            return
        records = [encode(record) for record in self.run.records()]
        assert records == list(self.expected().values())
        assert self.run.committed() == set(self.expected())

    def teardown_writers(self) -> None:
        for writer in self.writers.values():
            writer.close()
        self.writers.clear()

    def teardown(self) -> None:
        self.teardown_writers()
        shutil.rmtree(self.folder)


StoreModel.TestCase.settings = settings(deadline=None, max_examples=examples(40), stateful_step_count=25)
TestStoreModel = StoreModel.TestCase
