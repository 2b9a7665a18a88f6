"""Running reference solutions: how many calls they make, whether a fault leaves a way past it, what is touched."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from faultgym.core.bank import banked
from faultgym.core.json import JSON
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.judging.form import Answers
from faultgym.envs.judging.goal import judge, looked_up
from faultgym.envs.judging.reading.question import question
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.choices import Choices
from faultgym.envs.reference_agent.client import (
    AllSourcesDown,
    ApiRefused,
    RecordNotFound,
    ReferenceAnswer,
    ReferenceStep,
    Script,
    SourceFailed,
)
from faultgym.envs.registry import suite_named
from faultgym.envs.simulation import Simulation
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.tools.context import Effect
from faultgym.tools.faults.layer import FaultLayer, FaultSchedule
from faultgym.tools.faults.types import Site
from faultgym.tools.types import ToolCall

MAX_MOVES = 60
"""Moves after which a reference solution is taken to be lost."""
BLOCKING = frozenset({"outage", "forbidden", "readonly", "tool_removed"})
"""Kinds that may leave no way past; whether they did is decided by running the reference solution."""


class Reference:
    """A reference solution in progress: takes each result's text, gives the next move or the answer.

    Args:
        task: The task to solve.
        tools: The names of the tools that are offered at the start.
        suite: The task's suite; by default the one registered under its name.
        choices: Which way it goes where there are several; by default the most careful one.
    """

    def __init__(self, task: Task, tools: set[str], suite: Suite | None = None, choices: Choices | None = None):
        suite = suite or suite_named(task.suite)
        self.desk = ReferenceAgent(suite, task, tools, choices)
        self._script = self._guarded(suite.templates[task.template].solve)

    def _guarded(self, solve: Callable[[ReferenceAgent], Script]) -> Generator[ReferenceStep, str, ReferenceAnswer]:
        try:
            yield from self.desk.look_first()
            answer = yield from solve(self.desk)
            return answer if isinstance(answer, ReferenceAnswer) else self.desk.answer(answer)
        except (AllSourcesDown, SourceFailed, RecordNotFound) as failure:
            return self.desk.report(str(failure))
        except ApiRefused as refusal:
            return ReferenceAnswer(f"I could not do this: {refusal.detail}", "refused")

    def next(self, text: str | None, tools: set[str]) -> ReferenceStep | ReferenceAnswer:
        """The next move, or the answer.

        Args:
            text: The text of the last move's result; None at the start.
            tools: The names of the tools that are offered now.
        """
        self.desk.tools = tools
        try:
            return next(self._script) if text is None else self._script.send(text)
        except StopIteration as end:
            answer: ReferenceAnswer = end.value
            return answer


def play_reference(simulation: Simulation, task: Task) -> ReferenceAnswer:
    """Play the reference solution of a task in a simulation that has just begun.

    Args:
        simulation: The simulation; the moves are stepped in it.
        task: The task to solve.

    Returns:
        The answer, which is not yet stepped; its text is empty where the solution is lost.
    """
    reference = Reference(task, set(), simulation.suite)
    text: str | None = None
    for _ in range(MAX_MOVES):
        move = reference.next(text, {spec.name for spec in simulation.tools})
        if isinstance(move, ReferenceAnswer):
            return move
        text = simulation.step(Turn("", (move.call,), move.reasoning)).messages[0].content
    return ReferenceAnswer("")


def closing_turn(answer: ReferenceAnswer, answers: Answers, reasoning: str = "") -> Turn:
    """The turn by which an answer ends an episode.

    Args:
        answer: The answer.
        answers: How the episode ends.
        reasoning: The thought behind it.
    """
    if answers == "text":
        return Turn(answer.text, (), reasoning)
    arguments: JSON = {"outcome": answer.outcome}
    if answer.fields:
        arguments["fields"] = dict(answer.fields)
    return Turn("", (ToolCall("answer", ANSWER, {**arguments, "message": answer.text}),), reasoning)


@banked("tasks", 16_384)
def _solved(suite: Suite, task: Task, schedule: FaultSchedule) -> tuple[int, bool, tuple[Effect, ...]]:
    simulation = Simulation(suite, task, FaultLayer(schedule))
    text = play_reference(simulation, task).text
    seen = looked_up(task.goal, simulation.records)
    asked = question(simulation.world, task.instruction, task.params)
    verdict = judge(task.goal, simulation.world, text, looked_up=seen, blocked=False, asked=asked)
    calls, effects = simulation.calls, tuple(simulation.world.effects)
    simulation.close()
    return calls, verdict.success is True, effects


def feasible(task: Task, schedule: FaultSchedule, suite: Suite | None = None) -> bool:
    """Whether the reference solution reaches the goal itself, not only an honest report.

    Args:
        task: The task to solve.
        schedule: The faults that may fire.
        suite: The task's suite; by default the one registered under its name.
    """
    return _solved(suite or suite_named(task.suite), task, schedule)[1]


def reference_calls(task: Task, schedule: FaultSchedule, suite: Suite | None = None) -> int:
    """The calls that the reference solution makes in this world under this schedule, each check included.

    Args:
        task: The task to solve.
        schedule: The faults that may fire.
        suite: The task's suite; by default the one registered under its name.
    """
    return _solved(suite or suite_named(task.suite), task, schedule)[0]


def reference_effects(task: Task, schedule: FaultSchedule, suite: Suite | None = None) -> tuple[Effect, ...]:
    """The writes that the reference solution makes in this world under this schedule, in order.

    Args:
        task: The task to solve.
        schedule: The faults that may fire.
        suite: The task's suite; by default the one registered under its name.
    """
    return _solved(suite or suite_named(task.suite), task, schedule)[2]


class _Recorder(FaultLayer):
    """A fault layer that injects nothing and notes what passes."""

    def __init__(self) -> None:
        super().__init__()
        self.sites: list[Site] = []

    def armed(self, channel: str) -> bool:
        return True

    def exchange(self, world: Any, site: Site, request: Any, backend: Any) -> Any:
        self.sites.append(site)
        return backend(request)


@banked("tasks", 16_384)
def _sites(suite: Suite, task: Task) -> tuple[Site, ...]:
    recorder = _Recorder()
    simulation = Simulation(suite, task, recorder)
    play_reference(simulation, task)
    simulation.close()
    return tuple(recorder.sites)


def sites(task: Task, suite: Suite | None = None) -> tuple[Site, ...]:
    """What the reference solution touches in a clean run, in order: where a preset can aim faults.

    Args:
        task: The task to solve.
        suite: The task's suite; by default the one registered under its name.
    """
    return _sites(suite or suite_named(task.suite), task)
