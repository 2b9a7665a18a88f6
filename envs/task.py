"""A task: what is asked, with which tools, and when it counts as done. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from faultgym.envs.judging.form import AnswerField, Answers
from faultgym.envs.judging.goal import Goal

Style = Literal["http", "tools"]
"""`http`: one tool for the whole REST API. `tools`: one typed tool for each operation."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a suite."""

    id: str
    """`suite/template/split/index`, and `:style` when it is not the one that the index gives."""
    suite: str
    template: str
    split: str
    index: int
    """From 0; together with template and split it fixes everything else."""
    world_seed: int
    style: Style
    tools: tuple[str, ...]
    """Names of the tools offered."""
    system: str
    """The system message, where the answer is a text."""
    instruction: str
    """The user message."""
    phrasing: int
    """Which of the template's phrasings the instruction is."""
    params: Mapping[str, Any] = field(hash=False)
    """What the instruction names; all that the reference solution may know."""
    goal: Goal
    answerable: bool = True
    needs_tools: bool = True
    sql_writes: bool = False
    """Whether the SQL tool may write to the suite's writable tables."""
    faults: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """Rules that belong to the task itself, such as an outage that never ends."""
    answer: tuple[AnswerField, ...] = field(default=(), hash=False)
    """The fields of a typed answer; the same for a task and its unanswerable or blocked twin."""
    typed_system: str = ""
    """The system message where the answer is typed."""

    def system_for(self, answers: Answers) -> str:
        """The system message of an episode.

        Args:
            answers: How the episode ends.
        """
        return self.typed_system if answers == "typed" else self.system
