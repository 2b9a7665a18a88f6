"""The store of traces: a folder per run, append-only, readable after any crash.

    RUN/plan.json                           what was asked for; written once, or anew with more
    RUN/lock                                held by the one process that runs or resumes the run
    RUN/traces/segment-<writer>-<n>.jsonl   one file per writer, one record per line
    RUN/traces/truncated/                   what was cut off segments that a crash had truncated
    RUN/traces/quarantine/                  records that count no more: their episodes are run again

Runs of version 0.1 call these two folders `torn` and `set-aside`; nothing reads either.

A resume is `with run.lock(): run.repair()`, then planned minus `run.committed()`. Nothing else says
what was done, so no crash can make the account and the records differ.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import orjson

from faultgym.agents.storage.lines import OnError, damaged, episode_id_of, parse, report
from faultgym.agents.storage.segment import (
    SegmentWriter,
    TruncatedTail,
    close_segment,
    cut_truncated_tail,
    open_segment,
    read_lines,
)
from faultgym.core.errors import HarnessError, TraceError, UserError
from faultgym.core.files import atomic_file, write_error
from faultgym.core.json import JSON

_MAX_PLAN = 100_000_000
T = TypeVar("T")
_WRITER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


class RunDirectory:
    """One run's folder. Make it with `create` or `open`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = RunDirectory.create(f"{folder}/run", {"kind": "demo"})
        ...     with run.writer("main") as writer:
        ...         writer.append({"episode_id": "a", "success": True})
        ...     run.committed(), [record["success"] for record in run.records()]
        ({'a'}, [True])
    """

    def __init__(self, path: Path, plan: JSON) -> None:
        """Hold a run that is there already; reads and writes nothing."""
        self.path = path
        self.plan = plan
        self._locked = False

    @classmethod
    def create(cls, path: str | os.PathLike[str], plan: JSON) -> RunDirectory:
        """Start a run in a new or empty folder.

        Args:
            path: The run's folder; made where missing.
            plan: JSON values that `plan.json` is to hold: what was asked for.

        Raises:
            UserError: The folder holds anything else, cannot be written, or is in use by another process.
        """
        run = cls(Path(path), plan)
        try:
            _refuse_used(run.path)
            run._traces.mkdir(parents=True, exist_ok=True)
            with run.lock():
                _refuse_used(run.path)  # two processes may have come this far with one folder
                with atomic_file(run.path / "plan.json") as file:
                    file.write(orjson.dumps(plan, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise write_error(run.path, error) from error
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunDirectory:
        """A run that was created before.

        Raises:
            TraceError: The path is a file, or its `plan.json` is missing or damaged.
        """
        if Path(path).is_file():
            raise TraceError(f"{path} is a file; name the folder of a run")
        return cls(Path(path), _read_plan(Path(path) / "plan.json"))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other process off this run, while the context lasts or until the process ends, however that ends.

        Raises:
            UserError: Another process holds the lock (the message names it), or the file system gives none.
        """
        with exclusive(self.path):
            self._locked = True
            try:
                yield
            finally:
                self._locked = False

    def require_lock(self, what: str) -> None:
        """Check that this process holds the run's lock.

        Args:
            what: What needs the lock, for the message.

        Raises:
            HarnessError: The lock is not held through this object.
        """
        if not self._locked:
            raise HarnessError(f"{what} needs the run's lock: call it inside `with run.lock():`")

    def replan(self, plan: JSON) -> None:
        """Put another plan in the place of the run's own: one that has all that this one had, and more.

        Args:
            plan: JSON values that `plan.json` is to hold.

        Raises:
            UserError: The file cannot be written.
            HarnessError: The lock is not held.
        """
        self.require_lock("a new plan")
        try:
            with atomic_file(self.path / "plan.json") as file:
                file.write(orjson.dumps(plan, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise write_error(self.path, error) from error
        self.plan = plan

    def writer(self, name: str, batch: int = 256) -> SegmentWriter:
        """A writer that syncs every `batch` records; each process, or thread, needs its own.

        The writer continues that name's first segment, or starts the next one where another living process
        holds it. Workers get their names from the process that holds the run's lock.

        Args:
            name: Letters, digits, `_`, `.` and `-`, at most 100: part of the segment's file name.
            batch: Records between two syncs, at least 1.

        Raises:
            UserError: The segment cannot be opened.
            HarnessError: The name is no such name, or the batch is below 1.
        """
        if not _WRITER_NAME.fullmatch(name) or batch < 1:
            raise HarnessError(f"not a writer: name {name!r}, batch {batch}")
        return SegmentWriter(self._traces, name, batch)

    def committed(self, on_error: OnError | None = None) -> set[str]:
        """The episode ids of all whole lines; what is planned and not among them is owed.

        Lines are read one at a time and parsed only where they do not look like ours.

        Args:
            on_error: Takes the errors of damaged lines, whose episodes are then owed. By default they are raised.

        Raises:
            TraceError: A line is damaged or a segment cannot be read; the message gives file, line and reason.
        """
        ids: set[str] = set()
        for path in self.segments():
            for number, _, line in read_lines(path, on_error):
                try:
                    ids.add(episode_id_of(line))
                except ValueError as error:
                    report(on_error, damaged(path, number, error))
        return ids

    def records(self, on_error: OnError | None = None) -> Iterator[JSON]:
        """Every record once, one at a time, in the order of the segments' names and lines.

        Where two segments hold an episode, the first counts.

        Args:
            on_error: Takes the errors; reading goes on behind them. By default they are raised.

        Raises:
            TraceError: A line is damaged or a segment cannot be read; the message gives file, line and reason.
        """
        for _, record in self.located(on_error):
            yield record

    def located(self, on_error: OnError | None = None) -> Iterator[tuple[str, JSON]]:
        """The same as `records`, each with its place for people: `run/traces/segment-main-0.jsonl:12`."""
        return self.decoded(parse, on_error)

    def decoded(self, decode: Callable[[bytes], T], on_error: OnError | None = None) -> Iterator[tuple[str, T]]:
        """What `decode` makes of each record's line, with its place for people, one at a time.

        Args:
            decode: Takes a line. Raises ValueError where the line is no record, TraceError where the record cannot
                be used.
            on_error: Takes the errors; reading goes on behind them. By default they are raised.

        Raises:
            TraceError: A line is damaged, or a record cannot be used.
        """
        seen: set[str] = set()
        for path in self.segments():
            for number, _, line in read_lines(path, on_error):
                try:
                    episode_id = episode_id_of(line)
                    if episode_id in seen:
                        continue
                    value = decode(line)
                except ValueError as error:
                    report(on_error, damaged(path, number, error))
                except TraceError as error:
                    report(on_error, TraceError(f"{path}:{number}: {error}"))
                else:
                    seen.add(episode_id)
                    yield f"{path}:{number}", value

    def repair(self) -> list[TruncatedTail]:
        """Cut the truncated tail of every segment; the bytes are kept in `RUN/traces/truncated/`.

        Returns:
            What was cut, one entry for each segment that had a tail.

        Raises:
            HarnessError: This process does not hold the run's lock.
            UserError: A worker of an earlier start still writes a segment, whose half-written line only looks
                truncated; or there is no room to keep the bytes.
        """
        self.require_lock("repair()")
        cuts = []
        for path in self.segments():
            fd = open_segment(path, create=False)
            if fd is None:
                what = f"{path} is still being written by a worker of an earlier start of this run"
                raise UserError(f"{what}; wait until it ends, or stop it, then resume")
            try:
                cut = cut_truncated_tail(fd, path)
            finally:
                close_segment(fd)
            if cut is not None:
                cuts.append(cut)
        return cuts

    def compact(self, path: str | os.PathLike[str], on_error: OnError | None = None) -> int:
        """Write all records to one file, sorted by episode id.

        The same episodes give the same bytes, whichever process wrote them in whichever order. The file appears
        whole or not at all. Memory is one index entry per record and one line.

        Args:
            path: The file to write.
            on_error: Takes the errors of damaged lines, which are left out. By default they are raised.

        Returns:
            How many records were written.

        Raises:
            TraceError: A line is damaged.
            UserError: The file cannot be written.
        """
        index: dict[str, tuple[Path, int, int]] = {}
        for segment, _, start, length, record in self._whole_records(on_error):
            index.setdefault(record["episode_id"], (segment, start, length))
        target = Path(path)
        try:
            with atomic_file(target) as file:
                _copy_lines([index[episode_id] for episode_id in sorted(index)], file)
        except OSError as error:
            raise write_error(target, error) from error
        return len(index)

    def segments(self) -> list[Path]:
        """The segment files, sorted by name.

        Raises:
            TraceError: The folder cannot be listed.
        """
        try:
            return sorted(self._traces.glob("segment-*.jsonl"))
        except OSError as error:
            raise TraceError(f"{self._traces} cannot be listed ({error.strerror})") from error

    def _whole_records(self, on_error: OnError | None) -> Iterator[tuple[Path, int, int, int, JSON]]:
        for path in self.segments():
            for number, start, line in read_lines(path, on_error):
                try:
                    record = parse(line)
                except ValueError as error:
                    report(on_error, damaged(path, number, error))
                else:
                    yield path, number, start, len(line), record

    @property
    def _traces(self) -> Path:
        return self.path / "traces"


def _refuse_used(path: Path) -> None:
    """Raise UserError unless the folder is missing, empty, or what a killed `create` left behind."""
    if not path.exists():
        return
    if not path.is_dir():
        raise UserError(f"{path} is a file; a run needs a folder of its own: choose another path")
    if (path / "plan.json").exists():
        raise UserError(f"{path} already holds a run; resume it, or choose another folder for a new run")
    found = {entry.name for entry in path.iterdir()} - {"lock", "traces", ".plan.json.tmp"}
    if (path / "traces").is_dir():
        found |= {f"traces/{entry.name}" for entry in (path / "traces").iterdir()}
    if found:
        raise UserError(f"{path} is not empty: it holds {min(found)}; choose another folder for the run")


def _read_plan(path: Path) -> JSON:
    advice = "name a run folder, or start a new run there"
    try:
        if path.stat().st_size > _MAX_PLAN:
            raise TraceError(f"{path}:1: larger than {_MAX_PLAN:,} bytes, so not a plan; {advice}")
        plan = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise TraceError(f"no run in {path.parent}: {path} does not exist; {advice}") from error
    except OSError as error:
        raise TraceError(f"{path}:1: cannot be read ({error.strerror}); {advice}") from error
    except orjson.JSONDecodeError as error:
        where = f"{path}:{error.lineno}: not valid JSON ({error.msg} at column {error.colno})"
        raise TraceError(f"{where}; repair that line, or start the run again in another folder") from error
    if not isinstance(plan, dict):
        raise TraceError(f"{path}:1: a JSON object is expected, not {type(plan).__name__}; {advice}")
    return plan


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep every other process off a folder by its file `lock`, while the context lasts or until the process ends.

    Raises:
        UserError: Another process holds the lock (the message names it), the file system gives none, or the file
            cannot be written.
    """
    path = folder / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        _claim(fd, folder)
        try:
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # closing alone would leave it with a forked worker
    finally:
        os.close(fd)


def _claim(fd: int, run: Path) -> None:
    """Take the lock and write down who holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "another process"
        what = f"{run} is in use by {holder}"
        raise UserError(f"{what}; wait until it ends, or stop it, or choose another folder") from error
    except OSError as error:
        what = f"the file system of {run} gives no locks ({error.strerror})"
        raise UserError(f"{what}; choose a folder on a local disk") from error
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
    except OSError as error:
        # A full disk must not keep anyone from reading and compacting what is there.
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise write_error(run / "lock", error) from error


def _copy_lines(places: list[tuple[Path, int, int]], target: BinaryIO) -> None:
    """Copy each (file, offset, length) to the target; one file is open at a time, however many there are."""
    source: BinaryIO | None = None
    current: Path | None = None
    try:
        for path, start, length in places:
            if source is None or path != current:
                if source is not None:
                    source.close()
                source, current = path.open("rb", buffering=0), path
            target.write(os.pread(source.fileno(), length, start))
    finally:
        if source is not None:
            source.close()
