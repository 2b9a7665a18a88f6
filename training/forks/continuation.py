"""The expert, going on from where another policy has got to, with what that policy has read and without asking again.

`envs/reference/continuing.py` decides whether there is hope and re-reads everything for that. A demonstration must not:
the right next turn is the one of an expert who has read the same messages. So the reference solution is started anew
and given the results that the episode already holds, for as long as it asks for the same calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from faultgym.agents.scripted.marks import looks_wrong
from faultgym.envs.episode import StepRecord
from faultgym.envs.intents import intent_of
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.messages.turn import Observation, Turn
from faultgym.envs.reference.run import MAX_MOVES, Reference, closing_turn
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Task
from faultgym.tools.types import ToolCall, ToolResult, ToolSpec


@dataclass(slots=True)
class ReferenceContinuation:
    """An actor: the reference solution with the given steps behind it."""

    task: Task
    steps: Sequence[StepRecord]
    """What has happened before."""
    reference: Reference = field(init=False)
    _known: dict[str, deque[str]] = field(init=False)
    _asked: str = field(init=False, default="")
    _pending: bool = field(init=False, default=False)
    _count: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Sort the results so far by what was asked."""
        self.reference = Reference(self.task, set())
        self._known = {}
        for step in self.steps:
            for record in step.calls:
                self._known.setdefault(self._key(record.call), deque()).append(record.result.content)
                self._count += 1

    @property
    def desk(self) -> ReferenceAgent:
        """The reference agent, which knows the writes that were seen done."""
        return self.reference.desk

    def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn:
        """The next turn of the reference that has not been taken yet.

        Args:
            observation: What the last turn came to; its results are read after the first new call.
            tools: The tools that are offered now.

        Returns:
            The next new call, or the final text; an empty final text where the reference finds no end.
        """
        names = {spec.name for spec in tools}
        text: str | None = None
        if self._pending:
            last = observation.messages[-1]
            text = last.content if isinstance(last, ToolResult) else ""
        for _ in range(MAX_MOVES):
            move = self.reference.next(text, names)
            if isinstance(move, ReferenceAnswer):
                return closing_turn(move, "typed" if ANSWER in names else "text")
            text = self._remembered(move)
            if text is None:
                break
        else:
            return Turn()
        self._forget_failures()
        self._pending = True
        self._count += 1
        call = replace(move.call, id=f"call_{self._count}")
        return Turn("", (call,), move.reasoning, finish_reason="tool_calls")

    def _remembered(self, move: ReferenceStep) -> str | None:
        """The next result that this call has already had; None when it still has to be made."""
        results = self._known.get(self._key(move.call))
        return results.popleft() if results else None

    def _forget_failures(self) -> None:
        """From the first new call on: what failed before may go well now, so it is not taken from memory."""
        for key, results in self._known.items():
            if results:
                self._known[key] = deque(text for text in results if not looks_wrong(text))

    def _key(self, call: ToolCall) -> str:
        """Equal for calls that ask for the same; of a read, in the same words: other words may be a repair."""
        aim = intent_of(suite_named(self.task.suite), call)
        return aim.normalized if aim.write else aim.verbatim
