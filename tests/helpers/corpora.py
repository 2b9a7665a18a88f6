"""Labelled answers and episodes, and how they are played again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from faultgym.envs.episode import Episode
from faultgym.envs.judging.goal import compare
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.envs.worlds.changes import changes
from faultgym.tools.types import ToolCall

FOLDER = Path(__file__).parent.parent / "data" / "judge"

Line = dict[str, Any]


@cache
def corpus(name: str) -> tuple[Line, ...]:
    """The lines of one file of labels.

    Args:
        name: The file's name without its ending.
    """
    return tuple(json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())


def course(line: Line) -> str:
    """What happened before the final text, as a key: lines of the same course differ in their last text alone."""
    return json.dumps([line["task"], line["faults"], line["fault_seed"], line["turns"]])


def courses(lines: Iterable[Line]) -> list[Line]:
    """One line of each course."""
    return list({course(line): line for line in lines}.values())


def _call(n: int, name: str, given: Any) -> ToolCall:
    """A call whose arguments are a text was written so by the agent and has still to be parsed."""
    return ToolCall(f"c{n}", name, raw=given) if isinstance(given, str) else ToolCall(f"c{n}", name, given)


def replayed(line: Line) -> Episode:
    """Play the turns of a line; the final text of an answer is not among them.

    Args:
        line: A line of any of the files.
    """
    task = task_by_id(line["task"])
    episode = Episode(task, schedule_for(task, line["faults"], line["fault_seed"]))
    for turn in line["turns"]:
        calls = tuple(_call(n, *call) for n, call in enumerate(turn.get("calls", ())))
        episode.step(Turn(turn.get("text", ""), calls, confidence=turn.get("confidence")))
    return episode


def may_be_right(episode: Episode) -> bool:
    """Whether the state allows success: as the task wants it, or untouched where an outage was met."""
    made = changes(episode.world)
    met = {event.kind for event in episode.layer.events}
    return compare(episode.task.goal, made) == ([], [], []) or (not made and "outage" in met)
