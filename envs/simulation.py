"""A simulation: a world, its tools behind the fault layer, and the turns taken there; nothing judges it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from faultgym.core.text import has_surrogates, storable
from faultgym.core.values import fast_init, maker
from faultgym.envs.judging.answering import ANSWER, ANSWERED, REMINDER
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import World, world_image
from faultgym.tools.faults.layer import FaultLayer, FaultSchedule
from faultgym.tools.faults.types import FaultEvent
from faultgym.tools.session import Session
from faultgym.tools.toolbox import CallRecord, Tool, Toolbox, parse_arguments
from faultgym.tools.types import ToolCall, ToolResult, ToolSpec

MAX_CALLS_PER_TURN = 16
"""Calls of one turn beyond this number are answered with an error and not done."""


@fast_init
@dataclass(frozen=True, slots=True)
class StepRecord:
    """One turn and what it caused."""

    turn: Turn
    calls: tuple[CallRecord, ...]
    digest: str
    """Of the customer-visible state after the turn."""


_step, _observation = maker(StepRecord), maker(Observation)


class Simulation:
    """A world with a task's tools, in which turns are taken.

    Args:
        suite: The suite that makes the world and its tools.
        task: Which world, which tools, and whether SQL may write. Its goal is not looked at.
        layer: Where faults come in; none by default.
    """

    __slots__ = ("layer", "session", "stop", "suite", "toolbox", "turns", "world")
    typed = False
    """Whether it is ended by a call of `answer`: only where something judges it."""

    def __init__(self, suite: Suite, task: Task, layer: FaultLayer | None = None):
        self.suite = suite
        self.turns: list[StepRecord] = []
        self.stop = ""
        """Why it ended: `final`, one of `CUT_SHORT`, or the budget that was hit; empty while it runs."""
        world = World(world_image(suite, task.split, task.world_seed))
        self._connect(world, layer or FaultLayer(), world.image.token, suite.tools(task), task.sql_writes)

    def _connect(
        self, world: World, layer: FaultLayer, token: str, tools: Mapping[str, Tool], sql_writes: bool
    ) -> None:
        """Put the tools to work on a world: the one place where sessions and toolboxes are made."""
        self.world = world
        self.layer = layer
        self.session = Session(world, self.suite.service, layer, token=token, sql_writes=sql_writes)
        self.toolbox = Toolbox(tools, self.session)

    @property
    def schedule(self) -> FaultSchedule:
        """The faults that were planned."""
        return self.layer.schedule

    @property
    def events(self) -> list[FaultEvent]:
        """The faults that fired."""
        return self.layer.events

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools offered at this step."""
        return self.toolbox.specs

    @property
    def calls(self) -> int:
        """Calls so far."""
        return self.layer.call

    @property
    def records(self) -> list[CallRecord]:
        """All calls of tools so far, in order; a call of `answer` that ended the episode is none."""
        return calls_in(self.turns)

    def step(self, turn: Turn) -> Observation:
        """Take one turn; a turn without calls is the final one.

        Args:
            turn: The turn. Calls beyond `MAX_CALLS_PER_TURN` are answered with an error and not done.

        Returns:
            The results of its calls, in their order; nothing for a final turn.

        Raises:
            RuntimeError: The simulation has ended: a bug of the caller.
        """
        if self.stop:
            raise RuntimeError("the episode is over: call reset() first")
        turn = cleaned(turn)
        self.layer.step = len(self.turns)
        calls = turn.tool_calls
        if self.typed and (len(calls) != 1 or calls[0].name == ANSWER):  # else a call like any other: the hot path
            closed = self._close(turn)
            if closed is not None:
                return closed
        if not calls:
            self.turns.append(StepRecord(turn, (), self.world.digest()))
            self.end(turn.ending)
            return Observation(())
        call = self.toolbox.call
        if len(calls) == 1:
            records: tuple[CallRecord, ...] = (call(calls[0]),)
        else:
            records = tuple(call(c) for c in calls[:MAX_CALLS_PER_TURN])
            records += tuple(self.toolbox.refuse(c, MAX_CALLS_PER_TURN) for c in calls[MAX_CALLS_PER_TURN:])
        self.turns.append(_step(turn, records, self.world.digest()))
        return _observation(tuple([r.result for r in records]))

    def _close(self, turn: Turn) -> Observation | None:
        """Take a turn that ends the episode in its own way; None where the turn is one like any other."""
        raise NotImplementedError

    def end(self, stop: str) -> None:
        """End the simulation.

        Args:
            stop: `final`, why its last turn was cut short, or the limit that was reached.
        """
        self.stop = stop

    def reopen(self) -> None:
        """Continue after an end."""
        self.stop = ""

    def fork(self) -> Self:
        """Return an independent copy: no step of either changes the other."""
        cls = type(self)
        twin = cls.__new__(cls)
        twin.suite = self.suite
        twin.turns = list(self.turns)
        twin.stop = self.stop
        session = self.session
        twin._connect(self.world.fork(), self.layer.copy(), session.token, self.toolbox.tools, session.sql_writes)
        return twin

    def move_to(self, world: World, token: str) -> None:
        """Continue in another world, with the same tools, under the same faults.

        Args:
            world: The world, which may be in any state.
            token: The API token that the tools send there.
        """
        self._connect(world, self.layer, token, self.toolbox.tools, self.session.sql_writes)

    def beside(self, world: World) -> Simulation:
        """A simulation of the same tools in another world, under no faults and with that world's first token."""
        twin = Simulation.__new__(Simulation)
        twin.suite, twin.turns, twin.stop = self.suite, [], ""
        twin._connect(world, FaultLayer(), world.image.token, self.toolbox.tools, self.session.sql_writes)
        return twin

    def close(self) -> None:
        """Free the world's own copy of the database, if there is one."""
        self.world.close()

    def __getstate__(self) -> dict[str, Any]:
        """For another process; a registered suite and its tools are found there by name."""
        return {
            "suite": self.suite,
            "world": self.world,
            "layer": self.layer,
            "token": self.session.token,
            "tools": tuple(self.toolbox.tools),
            "sql_writes": self.session.sql_writes,
            "turns": self.turns,
            "stop": self.stop,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The counterpart of `__getstate__`."""
        self.suite, self.turns, self.stop = state["suite"], state["turns"], state["stop"]
        tools = self.suite.tools_named(state["tools"])
        self._connect(state["world"], state["layer"], state["token"], tools, state["sql_writes"])


def calls_in(steps: Iterable[StepRecord]) -> list[CallRecord]:
    """The calls of tools in some turns, in order.

    Args:
        steps: The turns. A call of `answer` that ended the episode is an answer and no call.
    """
    return [record for step in steps for record in step.calls if record.result.code != ANSWERED]


def heard_after(step: StepRecord) -> tuple[Message | ToolResult, ...]:
    """What a turn that did not end its episode was answered with: the results of its calls, or a reminder."""
    return tuple([record.result for record in step.calls]) or (Message("user", REMINDER),)


def closing_text(steps: Sequence[StepRecord]) -> str:
    """What the person is told at the end: the text of a last turn without calls, or the message of the answer.

    Args:
        steps: The turns of an episode, ended or not.
    """
    last = steps[-1] if steps else None
    if last is None:
        return ""
    if last.turn.final:
        return last.turn.text
    call = closing_call(steps)
    message = parse_arguments(call).get("message") if call is not None else None
    return message if isinstance(message, str) else ""


def closing_call(steps: Sequence[StepRecord]) -> ToolCall | None:
    """The call of `answer` that ended an episode; None where none did.

    Args:
        steps: The turns of an episode, ended or not.
    """
    last = steps[-1].calls if steps else ()
    return next((record.call for record in last if record.result.code == ANSWERED), None)


def cleaned(turn: Turn) -> Turn:
    """The turn with half surrogate pairs in its text replaced: they cannot be stored or shown."""
    if turn.text.isascii() and turn.reasoning.isascii():  # nearly every turn: two calls less on the hot path
        return turn
    if not (has_surrogates(turn.text) or has_surrogates(turn.reasoning)):
        return turn
    return replace(turn, text=storable(turn.text), reasoning=storable(turn.reasoning))
