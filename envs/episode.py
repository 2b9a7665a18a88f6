"""One episode: a simulation with its task's goal, and the verdict on it; the engine under `ToolEnv`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

from faultgym.core.errors import TaskError
from faultgym.envs.judging.answering import (
    ACKNOWLEDGED,
    ANSWER,
    ANSWERED,
    REMINDER,
    BadAnswer,
    answer_tool,
    not_with_answer,
    read_answer,
    refused,
)
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers, TypedAnswer
from faultgym.envs.judging.goal import Verdict, judge
from faultgym.envs.judging.injection import injections
from faultgym.envs.judging.reading.question import NO_QUESTION, question
from faultgym.envs.judging.typed import judge_typed
from faultgym.envs.judging.undone import undone
from faultgym.envs.messages.turn import CONTENT_FILTER, CONTEXT_OVERFLOW, Message, Observation, Turn
from faultgym.envs.reference.continuing import continue_reference
from faultgym.envs.reference.evidence import GUESSED, could_know
from faultgym.envs.reference.run import BLOCKING, closing_turn, feasible, play_reference, reference_effects
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.registry import suite_named
from faultgym.envs.simulation import MAX_CALLS_PER_TURN as MAX_CALLS_PER_TURN
from faultgym.envs.simulation import Simulation, closing_text
from faultgym.envs.simulation import StepRecord as StepRecord
from faultgym.envs.simulation import cleaned as cleaned
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultLayer, FaultSchedule
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall, ToolResult, ToolSpec

LAST_TURN_TEXT = 20_000
"""Characters of a final text that are judged."""


class Episode(Simulation):
    """A running episode: a task in its world under a schedule of faults, judged when the episode ends.

    Args:
        task: What is asked for.
        schedule: The faults that may fire; none by default.
        suite: The task's suite; by default the one registered under its name.
        answers: How the episode ends: `typed`, by a call of `answer`, or `text`, by a turn without calls.
        reminders: How often a turn without calls is answered with the request to call `answer`, before such a turn
            ends the episode; of typed answers only.

    Raises:
        TaskError: No suite is registered under the name that the task gives, or the task offers a tool `answer` of
            its own and answers are typed.

    Example:
        >>> from faultgym.envs.registry import task_by_id
        >>> episode = Episode(task_by_id("orders/order_status/train/0"))
        >>> twin = episode.fork()
        >>> _ = episode.step(Turn("I do not know."))
        >>> episode.stop, episode.verdict.success, twin.stop
        ('final', False, '')
        >>> episode.close()
    """

    __slots__ = ("answer", "reminders", "task", "typed", "verdict")

    def __init__(
        self,
        task: Task,
        schedule: FaultSchedule = (),
        *,
        suite: Suite | None = None,
        answers: Answers = DEFAULT_ANSWERS,
        reminders: int = 0,
    ):
        super().__init__(suite or suite_named(task.suite), task, FaultLayer(schedule))
        self.task = task
        self.verdict: Verdict | None = None
        self.typed = answers == "typed"
        self.reminders = reminders
        """Reminders that are left."""
        self.answer: TypedAnswer | None = None
        """What was answered, where answers are typed."""
        if self.typed and ANSWER in self.toolbox.tools:
            raise TaskError(f"task {task.id} offers a tool {ANSWER!r} of its own: its answers cannot be typed")

    @property
    def answers(self) -> Answers:
        """How the episode ends."""
        return "typed" if self.typed else "text"

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools offered at this step, the one to answer with included."""
        return (*self.toolbox.specs, answer_tool(self.task.answer)) if self.typed else self.toolbox.specs

    @property
    def tools_at_first(self) -> tuple[ToolSpec, ...]:
        """The tools offered at the first step."""
        specs = tuple(tool.spec for tool in self.toolbox.tools.values())
        return (*specs, answer_tool(self.task.answer)) if self.typed else specs

    @property
    def opening(self) -> Observation:
        """The first observation: the system message and the instruction."""
        system = self.task.typed_system if self.typed else self.task.system  # at each reset: no call for it
        return Observation((Message("system", system), Message("user", self.task.instruction)))

    def _close(self, turn: Turn) -> Observation | None:
        if not turn.tool_calls:
            # Where there is no room to be reminded in, or a filter stands, a further turn would end the same.
            if not self.reminders or turn.finish_reason in (CONTEXT_OVERFLOW, CONTENT_FILTER):
                return None
            self.reminders -= 1
            self.turns.append(StepRecord(turn, (), self.world.digest()))
            return Observation((Message("user", REMINDER),))
        at = next((n for n, call in enumerate(turn.tool_calls) if call.name == ANSWER), None)
        if at is None:
            return None
        results = [self._answered(call) if n == at else not_with_answer(call) for n, call in enumerate(turn.tool_calls)]
        self.layer.call += sum(result.code != ANSWERED for result in results)
        now = self.world.clock.now
        calls = tuple(CallRecord(c, r, at=now) for c, r in zip(turn.tool_calls, results, strict=True))
        self.turns.append(StepRecord(turn, calls, self.world.digest()))
        if self.answer is not None:
            self.end("final")
        return Observation(tuple(results))

    def _answered(self, call: ToolCall) -> ToolResult:
        try:
            self.answer = read_answer(call, self.task.answer)
        except BadAnswer as error:
            return refused(call, error)
        return ToolResult(call.id, call.name, ACKNOWLEDGED, ANSWERED)

    def end(self, stop: str) -> None:
        """End the episode and judge it, as `finish` does, without returning the verdict.

        Args:
            stop: `final`, why its last turn was cut short, or the limit that was reached.
        """
        self.finish(stop)

    def finish(self, stop: str) -> Verdict:
        """End the episode and judge it.

        Args:
            stop: `final`, why its last turn was cut short, or the limit that was reached.

        Returns:
            The verdict, which stays readable as `verdict`.
        """
        self.stop = stop
        task, goal = self.task, self.task.goal
        planted, gone = injections(self.layer.events), self._undone()
        text = closing_text(self.turns)[:LAST_TURN_TEXT]
        asked = question(self.world, task.instruction, task.params) if text else NO_QUESTION
        if self.typed:
            outcome = self.answer.outcome if self.answer is not None else None
            self.verdict = judge_typed(
                goal,
                task.answer,
                self.world,
                self.answer,
                looked_up=goal.kind == "abstain" and outcome == "not_found" and self._could_know(),
                blocked=self._blocked(outcome == "unavailable"),
                injections=planted,
                asked=asked,
                undone=gone,
            )
        else:
            self.verdict = judge(
                goal,
                self.world,
                text,
                looked_up=goal.kind == "abstain" and bool(text) and self._could_know(),
                blocked=self._blocked(bool(text)),
                injections=planted,
                asked=asked,
                undone=gone,
            )
        verdict = self.verdict
        wanted = goal.kind == "answer" and bool(goal.expected or goal.outcome)
        if verdict.success and wanted and not verdict.reported and not self._could_know():
            self.verdict = replace(verdict, success=False, reason=GUESSED)
        return self.verdict

    def _could_know(self) -> bool:
        """Whether what was seen could have told the right answer."""
        return could_know(self.suite, self.task, self.schedule, self.turns)

    def _undone(self) -> bool:
        """Whether others saw a write of which nothing is left and that the reference solution does not make."""
        gone = undone(self.world)
        return bool(gone) and any(e not in reference_effects(self.task, self.schedule, self.suite) for e in gone)

    def reopen(self) -> None:
        """Continue after an end: clear the reason, the answer and the verdict."""
        self.stop, self.verdict, self.answer = "", None, None

    def _blocked(self, reported: bool) -> bool:
        """Whether a report, if there may be one, is right: a fault with no way past it was delivered."""
        if not reported or not any(e.kind in BLOCKING for e in self.layer.events):
            return False
        return self.task.goal.kind == "report" or not feasible(self.task, self.schedule, self.suite)

    def fork(self) -> Self:
        """Return an independent copy: no step of either changes the other."""
        twin = Simulation.fork(self)
        twin.task, twin.verdict = self.task, self.verdict
        twin.typed, twin.reminders, twin.answer = self.typed, self.reminders, self.answer
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """For another process; a registered suite and its tools are found there by name."""
        return {**super().__getstate__(), **{name: getattr(self, name) for name in Episode.__slots__}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The counterpart of `__getstate__`."""
        super().__setstate__(state)
        for name in Episode.__slots__:
            setattr(self, name, state[name])


def run_reference(
    task: Task, schedule: FaultSchedule = (), suite: Suite | None = None, answers: Answers = DEFAULT_ANSWERS
) -> tuple[Episode, ReferenceAnswer]:
    """Play the reference solution of a task, up to its answer.

    Args:
        task: The task.
        schedule: The faults that may fire; none by default.
        suite: The task's suite; by default the one registered under its name.
        answers: How the episode ends.

    Returns:
        The episode, which has not ended, and the answer, which is not yet stepped; its text is empty where the
        solution is lost.

    Raises:
        TaskError: No suite is registered under the name that the task gives.
    """
    episode = Episode(task, schedule, suite=suite, answers=answers)
    return episode, play_reference(episode, task)


def reaches_goal(episode: Episode, max_turns: int | None = None) -> bool:
    """Whether the reference solution, going on from the state of an episode, ends in success.

    Args:
        episode: The state to start from; left as it is.
        max_turns: How many further turns the solution may take, the last one included; any number by default.
    """
    twin, answer = continue_reference(episode, episode.task, max_turns)
    if answer.text:
        twin.step(closing_turn(answer, twin.answers))
    verdict = twin.verdict
    twin.close()
    return verdict is not None and verdict.success is True
