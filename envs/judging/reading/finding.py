"""What a text is held against, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import Outcome
from faultgym.envs.worlds.changes import Change


class TextGoal(Protocol):
    """The part of a goal that a text is held against."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that are wanted."""

    @property
    def expected(self) -> tuple[Atom, ...]:
        """The facts that are wanted."""

    @property
    def evidence(self) -> frozenset[str]:
        """Of an abstention: the tables in which what is missing would be."""

    @property
    def kind(self) -> str:
        """`answer`, `abstain` or `report`."""

    @property
    def outcome(self) -> Outcome | None:
        """How the task ends where that does not follow from the kind and the changes: `refused`."""

    @property
    def about(self) -> tuple[str, ...]:
        """What an abstention or a report must name."""


@dataclass(frozen=True, slots=True)
class TextFinding:
    """What a text comes to."""

    right: bool | None
    """None where it cannot be told."""
    reason: str = ""
