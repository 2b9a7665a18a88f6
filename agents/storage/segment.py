"""One segment of the store: JSON lines in one file, written by one process, readable after any crash.

A line is a record only with its newline. Whatever follows the last newline is a truncated tail: readers
pass over it, writers cut it before they append, so that it can never swallow the record after it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn

from faultgym.agents.storage.lines import MAX_LINE, OnError, damaged, report, storable_line
from faultgym.core.errors import HarnessError, TraceError, UserError
from faultgym.core.files import sync_folder, write_error
from faultgym.core.json import JSON

_BLOCK = 1 << 16
_WRITE_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def read_lines(path: Path, on_error: OnError | None = None) -> Iterator[tuple[int, int, bytes]]:
    """Yield (line number from 1, byte offset, line) of each whole line; a truncated tail is passed over.

    Memory is that of one line.

    Args:
        path: The segment.
        on_error: Takes the errors; reading goes on behind them. By default they are raised.

    Raises:
        TraceError: The file cannot be read, or a line is longer than `MAX_LINE`.
    """
    try:
        with _open_regular(path) as file:
            offset = 0
            for number in count(1):
                line = file.readline(MAX_LINE + 1)
                start, offset = offset, offset + len(line)
                if len(line) > MAX_LINE:
                    report(on_error, damaged(path, number, f"longer than {MAX_LINE:,} bytes"))
                    while line and not line.endswith(b"\n"):
                        line = file.readline(_BLOCK)
                        offset += len(line)
                elif not line.endswith(b"\n"):
                    return
                elif len(line) > 2 or not line.isspace():
                    yield number, start, line
    except OSError as error:
        report(on_error, _unreadable(path, error.strerror or str(error)))


def _unreadable(path: Path, reason: str) -> TraceError:
    return TraceError(f"{path}:1: cannot be read as a segment ({reason}); move it out of the run folder")


def _open_regular(path: Path) -> BinaryIO:
    # O_NONBLOCK: a named pipe in place of a segment must not hang us.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file")
    return open(fd, "rb", buffering=1 << 20)


@dataclass(frozen=True, slots=True)
class TruncatedTail:
    """What was cut off the end of a segment."""

    segment: Path
    """The segment that it was cut from."""
    offset: int
    """Where it began, in bytes."""
    length: int
    """How many bytes it had."""
    kept: Path
    """The file that holds these bytes now."""


def open_segment(path: Path, *, create: bool) -> int | None:
    """Open a segment for appending and lock it.

    Args:
        path: The segment.
        create: Whether a missing file is made.

    Returns:
        The file descriptor; None when another writer holds the lock.

    Raises:
        TraceError: Something else than a regular file is there.
        UserError: The file cannot be opened or locked.
    """
    try:
        fd = os.open(path, _WRITE_FLAGS | (os.O_CREAT if create else 0), 0o666)
    except IsADirectoryError as error:
        raise _unreadable(path, "a folder, not a file") from error
    except OSError as error:
        raise write_error(path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _unreadable(path, "not a regular file")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError as error:
        os.close(fd)
        raise write_error(path, error) from error
    except TraceError:
        os.close(fd)
        raise
    return fd


def _first_free(folder: Path, name: str) -> tuple[Path, int]:
    for n in count():
        path = folder / f"segment-{name}-{n}.jsonl"
        fd = open_segment(path, create=True)
        if fd is not None:
            return path, fd
    raise AssertionError("count() ended")


def close_segment(fd: int) -> None:
    """Close a segment and release its lock, also where a forked child still has the descriptor.

    Args:
        fd: What `open_segment` gave.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _whole_length(fd: int) -> int:
    """Bytes up to and including the last newline."""
    end = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def cut_truncated_tail(fd: int, path: Path) -> TruncatedTail | None:
    """Cut what follows the last newline, after its bytes are safe in `truncated/` beside the segment.

    Args:
        fd: The open segment.
        path: The segment's path.

    Returns:
        What was cut; None where the segment ends with a whole line.

    Raises:
        UserError: There is no room to keep the bytes; nothing is cut then.
    """
    offset, size = _whole_length(fd), os.fstat(fd).st_size
    if offset == size:
        return None
    folder = path.parent / "truncated"
    try:
        folder.mkdir(exist_ok=True)
        for n in count():
            kept = folder / f"{path.name}.{offset}.{n}"
            with suppress(FileExistsError), kept.open("xb") as copy:
                for start in range(offset, size, _BLOCK):
                    copy.write(os.pread(fd, min(_BLOCK, size - start), start))
                copy.flush()
                os.fsync(copy.fileno())
                break
        os.ftruncate(fd, offset)
        os.fsync(fd)
    except OSError as error:
        raise write_error(path, error) from error
    return TruncatedTail(path, offset, size - offset, kept)


class SegmentWriter:
    """Appends records to a segment of its own.

    Each record is handed to the operating system at once, so that it outlasts this process however
    that ends, and synced to the disk with its batch, so that a power cut costs a batch at most. (A
    buffer in the process saved no time.) A writer whose disk failed stays failed: a later sync that
    succeeds would prove nothing about the pages that the first one dropped.

    Args:
        folder: Where segments are kept; made where missing.
        name: The writer's; the segment is called `segment-NAME-N.jsonl`.
        batch: Records between two syncs.

    Raises:
        UserError: The folder or the segment cannot be written.
        TraceError: Something else than a regular file has the segment's name.
    """

    def __init__(self, folder: Path, name: str, batch: int = 256) -> None:
        """Open the first segment of that name which no living writer holds, and cut its truncated tail."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        self.path, self._fd = _first_free(folder, name)
        self._batch = batch
        self._unsynced = 0
        self._failure = ""
        try:
            cut_truncated_tail(self._fd, self.path)
            sync_folder(folder)
            self._synced = os.fstat(self._fd).st_size
        except OSError as error:
            self.close()
            raise write_error(self.path, error) from error
        except UserError:
            self.close()
            raise

    def append(self, record: JSON | bytes) -> None:
        """Write one record.

        Args:
            record: JSON values with an `episode_id`, or the line that `encode` made of them.

        Raises:
            UserError: The disk is full or has failed.
            HarnessError: The record cannot be stored, or the writer is closed.
        """
        self.append_line(storable_line(record))

    def append_line(self, line: bytes) -> None:
        """Write one record that `storable_line` has made into a line.

        Raises:
            UserError: The disk is full or has failed.
            HarnessError: The writer is closed.
        """
        self._require_usable()
        self._unsynced += 1
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, memoryview(line)[written:])
        except OSError as error:
            self._fail(error)
        except BaseException:
            # Ctrl-C between two halves of a line: the next record must not be glued to the first half.
            os.ftruncate(self._fd, _whole_length(self._fd))
            raise
        if self._unsynced >= self._batch:
            self.sync()

    def sync(self) -> None:
        """Return once all that was appended outlasts a power cut.

        Raises:
            UserError: The disk has failed, now or before.
            HarnessError: The writer is closed.
        """
        self._require_usable()
        if not self._unsynced:
            return
        size = os.fstat(self._fd).st_size
        try:
            _sync_data(self._fd)
        except OSError as error:
            self._fail(error, self._synced)
        self._synced, self._unsynced = size, 0

    def close(self) -> None:
        """Sync and close; closing twice, or after a failure that was raised already, does nothing more.

        Raises:
            UserError: The last sync failed; the segment is closed all the same.
        """
        fd, failed = self._fd, bool(self._failure)
        if fd < 0:
            return
        try:
            if not failed:
                self.sync()
        finally:
            self._fd = -1
            close_segment(fd)

    def _require_usable(self) -> None:
        if self._failure:
            raise UserError(self._failure)
        if self._fd < 0:
            raise HarnessError(f"{self.path} is closed")

    def _fail(self, error: OSError, length: int | None = None) -> NoReturn:
        # Where even this fails, the tail stays truncated, and whoever opens the segment next cuts it.
        with suppress(OSError):
            os.ftruncate(self._fd, _whole_length(self._fd) if length is None else length)
            _sync_data(self._fd)
        failure = write_error(self.path, error)
        self._failure = str(failure)
        raise failure from error

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
