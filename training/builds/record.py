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
from faultgym.core.files import DISK_FULL
from faultgym.core.json import JSON
from faultgym.training.builds.index import FORMAT, Index
from faultgym.training.builds.inputs import Inputs
from faultgym.training.builds.shards import Shard, sync_tree

SUMMARY = "build.json"
"""All figures of the card, for programs."""


@contextmanager
def room_on_disk(work: Path) -> Iterator[None]:
    """Raises UserError that says what to do where the disk is full; what is committed by then is not lost."""
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
    """Note what is to be read, or make sure that it is what was noted; the suites that it names.

    Raises UserError when the build to resume is of other options, traces, or of another release.
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
    """An empty folder for the files; what a stopped build had written of them is written anew."""
    folder = work / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def describe(folder: Path, card: str, report: JSON, options: JSON, index: Index[Any], shards: Sequence[Shard]) -> None:
    """Write the card and the figures, and see all files onto the disk."""
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
