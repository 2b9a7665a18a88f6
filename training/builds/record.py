"""What both builds write down: what they are made of, and what came of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from faultgym.core.errors import UserError
from faultgym.core.files import DISK_FULL, sync_tree
from faultgym.core.json import JSON
from faultgym.training.builds.index import FORMAT, Index
from faultgym.training.builds.inputs import Inputs
from faultgym.training.builds.shards import Shard

SUMMARY = "build.json"
"""All figures of the card, for programs."""


@contextmanager
def room_on_disk(work: Path) -> Iterator[None]:
    """Turn a full disk into an error that says what to do; what was committed before is not lost.

    Args:
        work: The work folder, which the message names.

    Raises:
        UserError: The disk is full.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise
        raise _full(work, str(error)) from error
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise _full(work, error.strerror or str(error)) from error


def _full(work: Path, why: str) -> UserError:
    return UserError(f"{work} cannot be written ({why}): free some space, then go on with --resume")


def planned(index: Index[Any], runs: Sequence[Path], options: JSON) -> set[str]:
    """Note what is to be read, or make sure that the build to resume noted the same.

    Args:
        index: The file of the build.
        runs: Run folders.
        options: The options as JSON.

    Returns:
        The suites that the runs name, as far as can be told without parsing them.

    Raises:
        UserError: The build to resume is of other options or traces, or of another release; or a run is named twice.
        TraceError: A folder in `runs` is no run.
    """
    inputs = Inputs()
    first = index.fact("options") is None
    with index.transaction():
        chunks = inputs.scan(runs)
        if first:
            index.plan(chunks)
        else:
            for _ in chunks:
                pass
        asked = {
            "format": (FORMAT, "of another release"),
            "options": (options, "with other options"),
            "segments": ([segment.to_record() for segment in inputs.segments], "of other traces"),
            "damaged": (inputs.damaged, "of other traces"),
        }
        for name, (value, what) in asked.items():
            if first:
                index.set_fact(name, value)
            elif index.fact(name) != orjson.loads(orjson.dumps(value)):
                raise UserError(f"the build to resume is {what}; delete its folder to build anew")
    return inputs.suites


def fresh(work: Path) -> Path:
    """Make an empty folder for the files; what a stopped build had written there is removed.

    Args:
        work: The work folder.

    Returns:
        The new folder, `work/out`.
    """
    folder = work / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def describe(folder: Path, card: str, report: JSON, options: JSON, index: Index[Any], shards: Sequence[Shard]) -> None:
    """Write the card and the figures, and sync all files to the disk.

    Args:
        folder: Where the data set's files lie.
        card: The text of README.md.
        report: What was made of what, as JSON.
        options: What the data set was made by, as JSON.
        index: Gives the input files, and what of them was damaged.
        shards: The files that were written.
    """
    (folder / "README.md").write_text(card, encoding="utf-8")
    figures = {
        "report": report,
        "options": options,
        "inputs": index.fact("segments"),
        "damaged": index.fact("damaged"),
        "files": [shard.to_record() for shard in shards],
    }
    (folder / SUMMARY).write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sync_tree(folder, ["README.md", SUMMARY, *(shard.name for shard in shards)])
