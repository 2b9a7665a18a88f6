"""One stage of a round: a folder that is whole or not there, and that knows what it was made of.

    stage = RoundStage(round_folder, "rollout", {"policy": ..., "plan": ...})
    stage.run(make)       # make(work) does the work in a folder of its own, and returns the folder to be kept

A process may be killed at any moment: what is under its final name is whole, what is in the work folder is resumed
or made again. A stage that is whole is skipped when its inputs are the same as before, and is never overwritten when
they are not.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from faultgym.agents.rollouts.plan import plan_difference
from faultgym.core.errors import UserError
from faultgym.core.files import atomic_file, file_sha256, sync_file, sync_folder
from faultgym.core.json import JSON
from faultgym.training.trainers.machine import understood

SEAL = "stage.json"
"""In every finished stage: its inputs, and the size and hash of each of its files."""
_CHECKED_BYTES = 4 << 20
"""Files up to this size are hashed again before they are used; of larger ones the size is looked at."""
_UNSEALED = frozenset({"lock"})
"""Files that may change after a stage has ended."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RoundStage:
    """One stage of one round.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> def make(work):
        ...     (work / "made").mkdir()
        ...     return work / "made"
        >>> with TemporaryDirectory() as place:
        ...     stage = RoundStage(Path(place), "score", {"seed": 3}, say=lambda line: None)
        ...     (stage.run(make) == stage.run(make), sealed(stage.folder)["inputs"])
        (True, {'seed': 3})
    """

    round: Path
    name: str
    inputs: JSON = field(hash=False)
    """All that decides what comes out, as JSON."""
    say: Say = print

    @property
    def folder(self) -> Path:
        """The folder under the final name, where the stage lies when whole."""
        return self.round / self.name

    @property
    def work(self) -> Path:
        """The folder in which the stage is made."""
        return self.round / f".{self.name}.work"

    def run(self, make: Callable[[Path], Path]) -> Path:
        """The finished folder: as found, or made now.

        Args:
            make: Given a work folder, in which a killed process may have left something; returns the folder to be kept.

        Returns:
            The stage's folder.

        Raises:
            UserError: The stage was made of other inputs, or the disk is full.
        """
        if self.folder.exists():
            problem = damage(self.folder)
            if not problem:
                self._refuse_other_inputs()
                shutil.rmtree(self.work, ignore_errors=True)
                return self.folder
            self._set_aside(problem)
        self.say(f"{self.round.name}/{self.name}")
        self.work.mkdir(parents=True, exist_ok=True)
        with understood(self.work):
            self._begin()
            self._publish(make(self.work))
        return self.folder

    def _begin(self) -> None:
        """Work that was begun with other inputs is of no use."""
        note = self.work / "inputs.json"
        wanted = _plain(self.inputs)
        with suppress(OSError, ValueError):
            if orjson.loads(note.read_bytes()) == wanted:
                return
        for entry in self.work.iterdir():
            _remove(entry)
        with atomic_file(note) as file:
            file.write(orjson.dumps(wanted))

    def _publish(self, made: Path) -> None:
        """Seal the folder and give it its name, at once."""
        _remove(made / SEAL)
        for unfinished in made.rglob(".*.tmp"):  # of a file that a killed process was writing
            _remove(unfinished)
        files = {path.relative_to(made).as_posix(): _print_of(path) for path in _files(made)}
        for folder in sorted({made, *(path.parent for path in _files(made))}):
            sync_folder(folder)
        with atomic_file(made / SEAL) as file:
            record = {"stage": self.name, "inputs": _plain(self.inputs), "files": files}
            file.write(orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        os.rename(made, self.folder)
        sync_folder(self.round)
        shutil.rmtree(self.work, ignore_errors=True)

    def _refuse_other_inputs(self) -> None:
        found = sealed(self.folder)["inputs"]
        if difference := plan_difference(found, _plain(self.inputs)):
            raise UserError(
                f"{self.folder} was made of other things ({difference}): delete this folder and those of the stages"
                " after it to make them again"
            )

    def _set_aside(self, problem: str) -> None:
        number = 1
        while (aside := self.round / f"{self.name}.damaged-{number}").exists():
            number += 1
        os.rename(self.folder, aside)
        self.say(f"{self.folder} is damaged ({problem}): it is now {aside.name}, and is made again")


def sealed(folder: Path) -> JSON:
    """What a finished stage says of itself: its inputs, and the size and hash of each file.

    Raises:
        UserError: The record cannot be read.
    """
    try:
        record: JSON = orjson.loads((folder / SEAL).read_bytes())
        if isinstance(record["files"], dict) and isinstance(record["inputs"], dict):
            return record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / SEAL} cannot be read ({error}): delete {folder} to make it again") from error
    raise UserError(f"{folder / SEAL} is no record of a stage: delete {folder} to make it again")


def digest(folder: Path) -> str:
    """A hash of a finished stage's files, by name and content.

    Raises:
        UserError: The stage's record cannot be read.
    """
    record = sealed(folder)["files"]
    return sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def weights_digest(folder: Path) -> str:
    """A hash of a training result's weights alone: nothing follows from how long they took to train.

    Raises:
        UserError: The stage's record cannot be read.
    """
    files = sealed(folder)["files"].items()
    record = {name: told for name, told in files if name.endswith(".safetensors") and "checkpoints/" not in name}
    return sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def damage(folder: Path) -> str:
    """What is wrong with a finished stage, in words; empty where nothing is."""
    if not folder.is_dir():
        return "it is no folder"
    try:
        files: Mapping[str, Any] = sealed(folder)["files"]
    except UserError:
        return f"{SEAL} is missing or torn"
    for name, (size, told) in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes and had {size}"
        if size <= _CHECKED_BYTES and file_sha256(path) != told:
            return f"{name} has changed"
    return ""


def _print_of(path: Path) -> tuple[int, str]:
    """Size and hash of a file, seen onto the disk."""
    sync_file(path)
    return path.stat().st_size, file_sha256(path)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _UNSEALED and p != folder / SEAL)


def _plain(value: JSON) -> JSON:
    """As JSON gives it back."""
    found: JSON = orjson.loads(orjson.dumps(value))
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
