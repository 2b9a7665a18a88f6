"""Taking records out of a run's segments, so that their episodes are owed again; nothing is thrown away."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import BinaryIO

from faultgym.agents.storage.lines import parse
from faultgym.agents.storage.segment import read_lines
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.files import atomic_file, sync_folder, write_error
from faultgym.core.json import JSON

Wanted = Callable[[JSON], bool]


def quarantine(run: RunDirectory, wanted: Wanted) -> int:
    """Move the records that are wanted out of the segments, into `RUN/traces/quarantine/`.

    A crash leaves each segment as it was or as it should be, and at worst the lines that were kept are there twice.

    Args:
        run: The run, whose lock this process holds and which no writer has open.
        wanted: Whether a record is to be moved.

    Returns:
        How many records were moved.

    Raises:
        HarnessError: This process does not hold the run's lock.
        TraceError: A segment cannot be read.
        UserError: The disk is full or cannot be written.
    """
    run.require_lock("quarantine()")
    return sum(_take_out(path, wanted) for path in run.segments())


def _take_out(path: Path, wanted: Wanted) -> int:
    if not any(_is_wanted(line, wanted) for _, _, line in read_lines(path)):
        return 0
    folder = path.parent / "quarantine"
    taken = 0
    try:
        folder.mkdir(exist_ok=True)
        with atomic_file(path) as rest, _new_file(folder, path.name) as kept:
            for _, _, line in read_lines(path):
                if _is_wanted(line, wanted):
                    kept.write(line)
                    taken += 1
                else:
                    rest.write(line)
            kept.flush()
            os.fsync(kept.fileno())
            sync_folder(folder)
    except OSError as error:
        raise write_error(path, error) from error
    return taken


def _is_wanted(line: bytes, wanted: Wanted) -> bool:
    try:
        return wanted(parse(line))
    except ValueError:  # damaged, which is for others to say: it stays where it is
        return False


def _new_file(folder: Path, name: str) -> BinaryIO:
    for n in count():
        try:
            return (folder / f"{name}.{n}").open("xb")
        except FileExistsError:
            continue
    raise AssertionError("count() ended")
