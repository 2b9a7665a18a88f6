"""One episode: a task, its world, its tools, and everything that happened; the engine under `ToolEnv`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from faultgym.core.values import fast_init
from faultgym.envs.judging.goal import Verdict, judge
from faultgym.envs.judging.injection import injections
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.envs.suite import Suite, suite_named
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import World, world_image
from faultgym.tools.faults.layer import FaultLayer, FaultSchedule
from faultgym.tools.faults.types import FaultEvent
from faultgym.tools.session import Session
from faultgym.tools.toolbox import CallRecord, Toolbox
from faultgym.tools.types import ToolSpec

MAX_CALLS_PER_TURN = 16
"""Calls of one turn beyond this number are answered with an error and not done."""
LAST_TURN_TEXT = 20_000
"""Characters of a final text that are judged."""

_SURROGATES = re.compile("[\ud800-\udfff]")


@fast_init
@dataclass(frozen=True, slots=True)
class StepRecord:
    """One turn and what it caused."""

    turn: Turn
    calls: tuple[CallRecord, ...]
    digest: str
    """Of the customer-visible state after the turn."""


class Episode:
    """A running episode. `fork` gives an independent copy in exactly the same state."""

    __slots__ = ("layer", "session", "stop", "suite", "task", "toolbox", "turns", "verdict", "world")

    def __init__(self, task: Task, schedule: FaultSchedule = ()):
        self.task = task
        self.suite: Suite = suite_named(task.suite)
        image = world_image(task.suite, task.split, task.world_seed)
        self.world = World(image)
        self.layer = FaultLayer(schedule)
        self.session = Session(
            self.world, self.suite.service, self.layer, token=image.token, sql_writes=task.sql_writes
        )
        self.toolbox = Toolbox(self.suite.tools(task), self.session)
        self.turns: list[StepRecord] = []
        self.verdict: Verdict | None = None
        self.stop = ""
        """Why it ended: `final`, or the budget that was hit; empty while it runs."""

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
    def opening(self) -> Observation:
        """The first observation: the system message and the instruction."""
        return Observation((Message("system", self.task.system), Message("user", self.task.instruction)))

    def step(self, turn: Turn) -> Observation:
        """Do one turn; a turn without calls ends the episode and sets the verdict.

        Raises RuntimeError when the episode is over: that is the caller's bug.
        """
        if self.stop:
            raise RuntimeError("the episode is over: call reset() first")
        turn = cleaned(turn)
        self.layer.step = len(self.turns)
        if not turn.tool_calls:
            self.turns.append(StepRecord(turn, (), self.world.digest()))
            self.finish("final")
            return Observation(())
        call = self.toolbox.call
        if len(turn.tool_calls) == 1:
            records: tuple[CallRecord, ...] = (call(turn.tool_calls[0]),)
        else:
            records = tuple(call(c) for c in turn.tool_calls[:MAX_CALLS_PER_TURN])
            records += tuple(self.toolbox.refuse(c, MAX_CALLS_PER_TURN) for c in turn.tool_calls[MAX_CALLS_PER_TURN:])
        self.turns.append(StepRecord(turn, records, self.world.digest()))
        return Observation(tuple([r.result for r in records]))

    def finish(self, stop: str) -> Verdict:
        """End the episode for this reason and judge it."""
        self.stop = stop
        final = self.turns[-1].turn if self.turns else Turn()
        text = final.text[:LAST_TURN_TEXT] if final.final else ""
        self.verdict = judge(
            self.task.goal,
            self.world,
            text,
            looked_up=self.looked_up(),
            blocked=self._blocked(text),
            injections=injections(self.layer.events),
        )
        return self.verdict

    def looked_up(self) -> bool:
        """Whether a call named what the goal says is missing, where it would be found, and was answered."""
        goal = self.task.goal
        wanted = [
            re.compile(rf"(?<![a-z0-9]){re.escape(a.lower().rpartition('-')[2])}(?![a-z0-9])") for a in goal.about
        ]
        for record in self.records:
            if record.result.code in ("ok", "http_404") and goal.evidence.intersection(record.tables):
                sent = repr(record.call.arguments or record.call.raw).lower()
                if all(a.search(sent) for a in wanted):
                    return True
        return False

    def _blocked(self, text: str) -> bool:
        """Whether an honest report is right: a fault with no way past it was delivered."""
        if not self.layer.events or not text:
            return False
        if self.task.goal.kind == "report":
            return any(e.kind in BLOCKING for e in self.layer.events)
        if not any(e.kind in BLOCKING for e in self.layer.events):
            return False
        from faultgym.envs.reference.run import feasible

        return not feasible(self.task, self.schedule)

    @property
    def records(self) -> list[CallRecord]:
        """All calls so far, in order."""
        return [record for step in self.turns for record in step.calls]

    def fork(self) -> Episode:
        """An independent copy: what happens to one never affects the other."""
        twin = Episode.__new__(Episode)
        twin.task, twin.suite = self.task, self.suite
        twin.world = self.world.fork()
        twin.layer = self.layer.copy()
        twin.session = Session(
            twin.world,
            self.suite.service,
            twin.layer,
            token=self.session.token,
            sql_writes=self.session.sql_writes,
        )
        twin.toolbox = Toolbox(self.toolbox.tools, twin.session)
        twin.turns = list(self.turns)
        twin.verdict, twin.stop = self.verdict, self.stop
        return twin

    def close(self) -> None:
        """Free the world's own copy of the database, if it made one."""
        self.world.close()

    def __getstate__(self) -> dict[str, Any]:
        """For another process; the suite and its tools are found there by name."""
        return {
            "task": self.task,
            "world": self.world,
            "layer": self.layer,
            "token": self.session.token,
            "turns": self.turns,
            "verdict": self.verdict,
            "stop": self.stop,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The counterpart of `__getstate__`."""
        self.task = state["task"]
        self.suite = suite_named(self.task.suite)
        self.world, self.layer = state["world"], state["layer"]
        self.session = Session(
            self.world, self.suite.service, self.layer, token=state["token"], sql_writes=self.task.sql_writes
        )
        self.toolbox = Toolbox(self.suite.tools(self.task), self.session)
        self.turns, self.verdict, self.stop = state["turns"], state["verdict"], state["stop"]


BLOCKING = frozenset({"outage", "forbidden", "readonly", "tool_removed"})
"""Kinds that may leave no way past; whether they did is decided by running the reference solution."""


def cleaned(turn: Turn) -> Turn:
    """The turn with half surrogate pairs in its text replaced: they cannot be stored or shown."""
    if (not turn.text or turn.text.isascii()) and (not turn.reasoning or turn.reasoning.isascii()):
        return turn
    if not (_SURROGATES.search(turn.text) or _SURROGATES.search(turn.reasoning)):
        return turn
    from dataclasses import replace

    return replace(
        turn,
        text=_SURROGATES.sub("\ufffd", turn.text),
        reasoning=_SURROGATES.sub("\ufffd", turn.reasoning),
    )
