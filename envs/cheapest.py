"""The fewest calls with which a task can be done: the cheapest of its ways that a schedule leaves.

A reference solution has a choice in many places: one statement for all that it needs or source after source, SQL,
either version of a route or the search, with a second look or without, going on after an error or turning to another
source. A way is what it decides at each of them. The ways are tried by running the solution anew, those first that
leave the shortest way least often. In a world without faults the shortest way is known to be minimal: the tests
search for a shorter one.
"""

from __future__ import annotations

from collections import deque

from faultgym.core.bank import banked
from faultgym.envs.episode import Episode
from faultgym.envs.intents import intents, lookups
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import MAX_MOVES, Reference, closing_turn, feasible, reference_calls
from faultgym.envs.reference_agent.choices import Choices
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule

MAX_WAYS = 32
"""Ways that are tried under one schedule."""


def optimal_calls(task: Task, schedule: FaultSchedule, suite: Suite | None = None) -> int:
    """The fewest calls with which the task can be done in this world under this schedule.

    Args:
        task: The task to solve.
        schedule: The faults that may fire.
        suite: The task's suite; by default the one registered under its name.

    Example:
        >>> from faultgym.envs.registry import task_by_id
        >>> optimal_calls(task_by_id("orders/product_warranty/train/0"), ())
        1
    """
    return _cheapest(suite or suite_named(task.suite), task, schedule)[0]


def cheapest_way(task: Task, schedule: FaultSchedule, suite: Suite | None = None) -> Choices | None:
    """What the cheapest way decides, to be played again.

    Args:
        task: The task to solve.
        schedule: The faults that may fire.
        suite: The task's suite; by default the one registered under its name.

    Returns:
        The choices; None where no way is cheaper than the reference solution's own.
    """
    _, given, hopeless = _cheapest(suite or suite_named(task.suite), task, schedule)
    return None if given is None else Choices(given, hopeless=hopeless)


@banked("tasks", 16_384)
def _cheapest(suite: Suite, task: Task, schedule: FaultSchedule) -> tuple[int, tuple[int, ...] | None, bool]:
    best, found = reference_calls(task, schedule, suite), None
    hopeless = task.goal.kind == "report" or not feasible(task, schedule, suite)
    least = 1 if hopeless else _cheapest(suite, task, ())[0] if schedule else 0
    waiting: deque[tuple[int, ...]] = deque([()])
    for _ in range(MAX_WAYS if schedule else 1):
        if not waiting or best <= least:
            break
        choices = Choices(waiting.popleft(), hopeless=hopeless)
        calls = _calls(suite, task, schedule, choices, best - 1)
        if calls is not None:
            best, found = calls, choices.given
        waiting.extend(choices.others())
    return best, found, hopeless


class _Way(Episode):
    """An episode of one way, which asks for what it says: to prove that it could know it takes longer than all else."""

    __slots__ = ()

    def _could_know(self) -> bool:
        return True


def _calls(suite: Suite, task: Task, schedule: FaultSchedule, choices: Choices, most: int) -> int | None:
    """The calls that count of one way; None where it needs more than `most`, or does not do the task."""
    episode = _Way(task, schedule, suite=suite, answers="typed")
    try:
        answer = _played(episode, choices, most)
        if answer is None:
            return None
        calls = _counted(episode)
        episode.step(closing_turn(answer, episode.answers))
        return calls if episode.verdict is not None and episode.verdict.success else None
    finally:
        episode.close()


def _played(episode: Episode, choices: Choices, most: int) -> ReferenceAnswer | None:
    """Play one way; None once it needs more than `most` calls, or is lost in what a fault has made of a reply."""
    reference = Reference(episode.task, set(), episode.suite, choices)
    text: str | None = None
    for _ in range(MAX_MOVES):
        try:
            move = reference.next(text, {spec.name for spec in episode.tools})
        except (LookupError, ValueError, TypeError, AttributeError):
            return None
        if isinstance(move, ReferenceAnswer):
            return move
        if episode.calls >= most and _counted(episode) >= most:
            return None
        text = episode.step(Turn("", (move.call,), move.reasoning)).messages[0].content
    return None


def _counted(episode: Episode) -> int:
    """The calls so far without those that are no cost."""
    records = episode.records
    return len(records) - lookups(intents(episode.suite, records), records)
