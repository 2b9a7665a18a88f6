"""Runs as input of a build: their segments, hashed and cut into pieces that a worker takes one at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from faultgym.agents.storage.segment import read_lines
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import TraceError, UserError
from faultgym.core.json import JSON
from faultgym.eval.scoring.runs import run_folders

CHUNK_LINES = 64
CHUNK_BYTES = 4 << 20
"""Bounds of a piece of work; a single longer line is a piece by itself."""

_SUITE = re.compile(rb'"suite":"([\w.-]{1,100})"')
_HEAD = 4096
"""Bytes of a line in which its suite is named, where our own store wrote it."""

OnProgress = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is done, and out of how much."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of traces."""

    run: str
    """The run's folder, without where that is."""
    name: str
    lines: int
    sha256: str
    """Of its whole lines."""

    def to_record(self) -> JSON:
        """The fields as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive whole lines of a segment."""

    path: str
    start: int
    size: int
    """Bytes, newlines included."""
    lines: int

    def read(self) -> list[bytes]:
        """The lines, newlines included.

        Raises:
            TraceError: The file has become shorter since the chunk was cut.
            OSError: The file cannot be read.
        """
        with open(self.path, "rb") as file:
            file.seek(self.start)
            data = file.read(self.size)
        lines = data.splitlines(keepends=True)
        if len(data) < self.size or not data.endswith(b"\n"):
            raise TraceError(f"{self.path} has become shorter since the build began; build again from the start")
        return lines

    def traces(self) -> list[bytes]:
        """The lines that are not blank; raises as `read` does."""
        return [line for line in self.read() if not line.isspace()]


def runs_in(paths: Sequence[Path]) -> list[Path]:
    """The runs that paths name, before anything is made: a build that cannot begin leaves nothing behind.

    Args:
        paths: Folders of runs, and folders that hold some.

    Raises:
        UserError: A run is named twice.
        TraceError: A path is neither.
    """
    runs = [RunDirectory.open(folder).path for path in paths for folder in run_folders(path)]
    if len({run.resolve() for run in runs}) < len(runs):
        raise UserError("a run is named twice: name each once")
    return runs


@dataclass(slots=True)
class Inputs:
    """What a build reads. Chunks are handed out as they are found, so that a long run fills no list."""

    segments: list[Segment] = field(default_factory=list)
    suites: set[str] = field(default_factory=set)
    """Suites that the lines name, as far as can be told without parsing them."""
    damaged: list[str] = field(default_factory=list)
    """Lines that are too long, and files that cannot be read."""

    def scan(self, runs: Sequence[Path]) -> Iterator[Chunk]:
        """Cut all segments of all runs into chunks; fills the other fields on the way.

        Args:
            runs: Run folders, as `runs_in` gives them, read in sorted order.

        Yields:
            Chunks of at most `CHUNK_LINES` lines and `CHUNK_BYTES` bytes.

        Raises:
            TraceError: A folder is no run.
        """
        for run in sorted(run.resolve() for run in runs):
            for path in RunDirectory.open(run).segments():
                yield from self._segment(run.name, path)
        self.segments.sort(key=lambda s: (s.run, s.name, s.sha256))
        self.damaged.sort()

    def _segment(self, run: str, path: Path) -> Iterator[Chunk]:
        digest, lines = sha256(), 0
        start = end = count = 0
        for _, at, line in read_lines(path, lambda error: self.damaged.append(f"{run}/{path.name}: {error}")):
            if count and (at != end or count == CHUNK_LINES or end + len(line) - start > CHUNK_BYTES):
                yield Chunk(str(path), start, end - start, count)
                count = 0
            if not count:
                start = at
            end, count, lines = at + len(line), count + 1, lines + 1
            digest.update(line)
            if found := _SUITE.search(line, 0, _HEAD):
                self.suites.add(found[1].decode())
        if count:
            yield Chunk(str(path), start, end - start, count)
        self.segments.append(Segment(run, path.name, lines, digest.hexdigest()))
