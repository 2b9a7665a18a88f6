"""How scripted policies are written: a script yields turns and receives the text of what came back.

The expert is the script that follows the reference solution. A flawed policy is the expert with one
deviation: a detour before one of its moves, or another ending.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace

from faultgym.agents.policy import Opening
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.judging.form import Answers
from faultgym.envs.messages.turn import Observation, Turn
from faultgym.envs.reference.run import Reference, closing_turn
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.types import ToolCall, ToolSpec

Script = Generator[Turn, str, Turn]
"""Yields turns with calls, receives the last result's text, returns the final turn."""
Aside = Generator[Turn, str, ReferenceAnswer | None]
"""A detour: returns an answer to end the episode with, or None to go on."""


class ScriptContext:
    """What a script has at hand: the opening, what was heard so far, and the reference solution.

    Args:
        task: The task of the episode.
        opening: What any policy is given.
    """

    def __init__(self, task: Task, opening: Opening):
        self.task = task
        self.suite: Suite = suite_named(task.suite)
        self.seed = opening.seed
        self.tools: tuple[ToolSpec, ...] = opening.tools
        """Offered at this step; the actor keeps it current."""
        self.heard: list[str] = []
        """Messages and results so far, in order; the first two are the system message and the instruction."""
        self.said: list[ToolCall] = []
        """Calls so far, in order."""
        self.strayed = False
        """Whether the deviation has been made."""
        self.answers: Answers = "typed" if any(spec.name == ANSWER for spec in opening.tools) else "text"
        """How the script ends the episode: with a call where the tool for it is offered."""
        self.reference = Reference(task, set())

    @property
    def results(self) -> list[str]:
        """The texts of the results so far."""
        return self.heard[2:]

    @property
    def told(self) -> list[str]:
        """What was heard so far, without the form of a typed answer: a value that may be given has not been told."""
        return [self.task.system, *self.heard[1:]]

    def spec(self, name: str) -> ToolSpec | None:
        """The tool of this name, if it is offered now."""
        return next((spec for spec in self.tools if spec.name == name), None)

    def closing(self, answer: ReferenceAnswer, confidence: float | None = None) -> Turn:
        """The turn that ends the episode: a call of `answer`, or the text alone where answers are texts.

        Args:
            answer: The answer.
            confidence: Stated with the answer, from 0 to 1.
        """
        return replace(closing_turn(answer, self.answers), confidence=confidence)

    def next(self, text: str | None) -> ReferenceStep | ReferenceAnswer:
        """The reference solution's next move, or its answer.

        Args:
            text: The result of the solution's last move; None before the first.
        """
        return self.reference.next(text, {spec.name for spec in self.tools})

    def call(self, call: ToolCall, reasoning: str) -> Generator[Turn, str, str]:
        """Make one call, in a turn of its own.

        Args:
            call: The call.
            reasoning: What the turn says of the call.

        Yields:
            The turn.

        Returns:
            The result's text.
        """
        self.said.append(call)
        return (yield Turn("", (call,), reasoning, finish_reason="tool_calls"))


Write = Callable[[ScriptContext], Script]


@dataclass(frozen=True, slots=True)
class Scripted:
    """A policy that plays a script."""

    name: str
    script: Write
    options: JSON = field(default_factory=dict, hash=False)
    """What the policy says of itself beyond its name."""

    def start(self, opening: Opening) -> ScriptedActor:
        """Refuse: a script is written from the task, so that an episode begins with `start_with`.

        Raises:
            UserError: Always.
        """
        raise UserError(f"policy {self.name} plays from the task: start it with start_with(task, schedule, opening)")

    def start_with(self, task: Task, schedule: FaultSchedule, opening: Opening) -> ScriptedActor:
        """An actor for a new episode of the task.

        Args:
            task: Shown to the script.
            schedule: Not used: no script knows what will fail.
            opening: What any policy is given.
        """
        return ScriptedActor(self.script, task, opening)

    def describe(self) -> JSON:
        """The name, and what else makes the policy behave as it does."""
        return {"name": self.name, "scripted": True, **self.options}


class ScriptedActor:
    """One episode's script, being played.

    Args:
        script: Writes the script from its context.
        task: The task of the episode.
        opening: What any policy is given.
    """

    def __init__(self, script: Write, task: Task, opening: Opening):
        self.stage = ScriptContext(task, opening)
        self._script = script(self.stage)
        self._begun = False
        self._last: Turn | None = None

    def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn:
        """The script's next turn; its last one again, should that not have ended the episode."""
        if self._last is not None:
            self._last = without_fields(self._last)
            return self._last
        self.stage.tools = tools
        self.stage.heard.extend(message.content for message in observation.messages)
        try:
            if not self._begun:
                self._begun = True
                return next(self._script)
            return self._script.send(self.stage.heard[-1])
        except StopIteration as end:
            final: Turn = end.value
            self._last = final
            return final


def without_fields(turn: Turn) -> Turn:
    """The turn with a call of `answer` as it can be repeated once its fields were refused: without them."""
    calls = tuple(
        replace(call, arguments={n: v for n, v in (call.arguments or {}).items() if n != "fields"})
        for call in turn.tool_calls
    )
    return replace(turn, tool_calls=calls)


def no_detour(stage: ScriptContext, move: ReferenceStep, text: str = "") -> Aside:
    """Nothing beside the expert's way."""
    yield from ()
    return None


def follow(
    stage: ScriptContext,
    before: Callable[[ScriptContext, ReferenceStep], Aside] = no_detour,
    after: Callable[[ScriptContext, ReferenceStep, str], Aside] = no_detour,
    ending: Callable[[ScriptContext, ReferenceAnswer], Aside] | None = None,
    confidence: float | None = None,
) -> Script:
    """Follow the reference solution, with detours before or after its moves, or with another ending.

    Args:
        stage: What the script has at hand.
        before: The detour before a move; an answer that it returns ends the episode.
        after: The detour after a move, given the result's text; an answer that it returns ends the episode.
        ending: The detour before the answer, which it is given; another one that it returns takes its place.
        confidence: Stated with the answer, from 0 to 1.
    """
    text: str | None = None
    while True:
        move = stage.next(text)
        if isinstance(move, ReferenceAnswer):
            break
        final = yield from before(stage, move)
        if final is not None:
            return stage.closing(final, confidence)
        if stage.spec(move.call.name) is None:
            # The detour met the fault that takes the tool away: the expert hears of it and does not call it.
            text = f"error: there is no tool {move.call.name!r}: it is no longer offered"
            continue
        text = yield from stage.call(move.call, move.reasoning)
        final = yield from after(stage, move, text)
        if final is not None:
            return stage.closing(final, confidence)
    final = (yield from ending(stage, move)) if ending is not None else None
    return stage.closing(final or move, confidence)
