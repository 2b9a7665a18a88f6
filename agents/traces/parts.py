"""The parts of a trace that say which episode it was, and what broke."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated

from msgspec import Meta

from faultgym.envs.task import Style, Task


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """Which task it was; `task_by_id(id)` gives the rest."""

    id: str
    suite: str
    template: str
    split: str
    index: int
    style: Style
    phrasing: int = 0
    answerable: bool = True
    needs_tools: bool = True

    @classmethod
    def of(cls, task: Task) -> TaskInfo:
        """The part of a task that a trace names."""
        return cls(**{name: getattr(task, name) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Seeds:
    """Where randomness came from."""

    world: int
    fault: int
    policy: int


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What must be the same for a replay to be possible."""

    package: str
    """Version of faultgym."""
    suite: int
    """Version of the suite."""
    world: str
    """Hash of the database as it was built."""
    schedule: str
    """Hash of the schedule."""


def said(error: BaseException) -> str:
    """What an exception says, also where its own code fails at saying so."""
    try:
        return str(error)
    except Exception as other:
        return f"an exception that cannot be shown ({type(other).__name__})"


@dataclass(frozen=True, slots=True)
class HarnessFailure:
    """What broke on our side, or the policy's code; the episode says nothing about how it acts."""

    type: str
    message: str
    where: tuple[str, ...] = ()
    """The last places of the traceback, innermost last; without folders, so that machines agree."""
    attempts: Annotated[int, Meta(ge=1)] = 1

    @classmethod
    def of(cls, error: BaseException, attempts: int = 1) -> HarnessFailure:
        """The failure that an exception stands for, with the last six places of its traceback.

        Args:
            error: The exception, once raised.
            attempts: How many times the episode was begun, the failed try included.
        """
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        where = tuple(f"{PurePath(f.filename).name}:{f.lineno} in {f.name}" for f in frames)
        return cls(type(error).__name__, said(error)[:4000], where, attempts)
