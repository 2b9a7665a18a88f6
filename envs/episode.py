"""One episode: a simulation with its task's goal, and the verdict on it; the engine under `ToolEnv`."""

from __future__ import annotations

from typing import Any, Self

from faultgym.envs.judging.goal import Verdict, judge, looked_up
from faultgym.envs.judging.injection import injections
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.envs.reference.continuing import continue_reference
from faultgym.envs.reference.run import feasible, play_reference
from faultgym.envs.registry import suite_named
from faultgym.envs.simulation import MAX_CALLS_PER_TURN as MAX_CALLS_PER_TURN
from faultgym.envs.simulation import Simulation
from faultgym.envs.simulation import StepRecord as StepRecord
from faultgym.envs.simulation import cleaned as cleaned
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultLayer, FaultSchedule

LAST_TURN_TEXT = 20_000
"""Characters of a final text that are judged."""
BLOCKING = frozenset({"outage", "forbidden", "readonly", "tool_removed"})
"""Kinds that may leave no way past; whether they did is decided by running the reference solution."""


class Episode(Simulation):
    """A running episode: a task in its world under a schedule of faults, judged when the episode ends.

    Args:
        task: What is asked for.
        schedule: The faults that may fire; none by default.
        suite: The task's suite; by default the one registered under its name.

    Raises:
        TaskError: No suite is registered under the name that the task gives.

    Example:
        >>> from faultgym.envs.registry import task_by_id
        >>> episode = Episode(task_by_id("orders/order_status/train/0"))
        >>> twin = episode.fork()
        >>> _ = episode.step(Turn("I do not know."))
        >>> episode.stop, episode.verdict.success, twin.stop
        ('final', False, '')
        >>> episode.close()
    """

    __slots__ = ("task", "verdict")

    def __init__(self, task: Task, schedule: FaultSchedule = (), *, suite: Suite | None = None):
        super().__init__(suite or suite_named(task.suite), task, FaultLayer(schedule))
        self.task = task
        self.verdict: Verdict | None = None

    @property
    def opening(self) -> Observation:
        """The first observation: the system message and the instruction."""
        return Observation((Message("system", self.task.system), Message("user", self.task.instruction)))

    def end(self, stop: str) -> None:
        """End the episode and judge it, as `finish` does, without returning the verdict.

        Args:
            stop: `final`, or the limit that was reached.
        """
        self.finish(stop)

    def finish(self, stop: str) -> Verdict:
        """End the episode and judge it.

        Args:
            stop: `final`, or the limit that was reached.

        Returns:
            The verdict, which stays readable as `verdict`.
        """
        self.stop = stop
        final = self.turns[-1].turn if self.turns else Turn()
        text = final.text[:LAST_TURN_TEXT] if final.final else ""
        self.verdict = judge(
            self.task.goal,
            self.world,
            text,
            looked_up=looked_up(self.task.goal, self.records),
            blocked=self._blocked(text),
            injections=injections(self.layer.events),
        )
        return self.verdict

    def reopen(self) -> None:
        """Continue after an end: clear the reason and the verdict."""
        self.stop, self.verdict = "", None

    def _blocked(self, text: str) -> bool:
        """Whether an honest report is right: a fault with no way past it was delivered."""
        if not text or not any(e.kind in BLOCKING for e in self.layer.events):
            return False
        return self.task.goal.kind == "report" or not feasible(self.task, self.schedule, self.suite)

    def fork(self) -> Self:
        """Return an independent copy: no step of either changes the other."""
        twin = Simulation.fork(self)
        twin.task, twin.verdict = self.task, self.verdict
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """For another process; a registered suite and its tools are found there by name."""
        return {**super().__getstate__(), "task": self.task, "verdict": self.verdict}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The counterpart of `__getstate__`."""
        super().__setstate__(state)
        self.task, self.verdict = state["task"], state["verdict"]


def run_reference(task: Task, schedule: FaultSchedule = (), suite: Suite | None = None) -> tuple[Episode, str]:
    """Play the reference solution of a task, up to its final text.

    Args:
        task: The task.
        schedule: The faults that may fire; none by default.
        suite: The task's suite; by default the one registered under its name.

    Returns:
        The episode, which has not ended, and the final text, which is not yet stepped; the text is empty where the
        solution is lost.

    Raises:
        TaskError: No suite is registered under the name that the task gives.
    """
    episode = Episode(task, schedule, suite=suite)
    return episode, play_reference(episode, task)


def reaches_goal(episode: Episode, max_turns: int | None = None) -> bool:
    """Whether the reference solution, going on from the state of an episode, ends in success.

    Args:
        episode: The state to start from; left as it is.
        max_turns: How many further turns the solution may take, the last one included; any number by default.
    """
    twin, text = continue_reference(episode, episode.task, max_turns)
    if text:
        twin.step(Turn(text))
    verdict = twin.verdict
    twin.close()
    return verdict is not None and verdict.success
