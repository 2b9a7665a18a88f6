"""One way of thinking aloud for everybody.

In a pair of scripted turns the thoughts must not tell which one is chosen. So they depend on the call that is
made and on whether it was the last one made before, and on nothing else: policies that make the same call think
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from faultgym.agents.policy import Actor
from faultgym.agents.traces.chat import chat_messages
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode, StepRecord
from faultgym.envs.intents import intent_of
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.messages.turn import Observation, Turn
from faultgym.envs.suite import Suite
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall, ToolResult, ToolSpec

_ASIDE = frozenset({"wait", "issue_token"})
"""What is done on the way to a call and is not the call."""


def restyled(turn: Turn, suite: Suite, before: Sequence[StepRecord]) -> Turn:
    """The turn with the thought that belongs to its call; an answer has none, typed or not.

    Args:
        turn: The turn.
        suite: Tells what its calls are after.
        before: The steps before the turn.
    """
    if all(call.name == ANSWER for call in turn.tool_calls):
        return replace(turn, reasoning="")
    earlier = [intent_of(suite, r.call) for step in before for r in step.calls]
    subject = next((a for a in reversed(earlier) if a.target not in _ASIDE), None)
    thoughts = [_about(suite, call, subject.verbatim if subject else "") for call in turn.tool_calls]
    text = "; ".join(thoughts)
    return replace(turn, reasoning=f"{text[:1].upper()}{text[1:]}.")


def restyled_messages(steps: Sequence[StepRecord], first: int, suite: Suite) -> tuple[JSON, ...]:
    """The messages of an episode from a step on, all turns in the common reasoning style, in OpenAI's form.

    Args:
        steps: All steps of the episode.
        first: Index of the first step whose messages are wanted, from 0.
        suite: The suite of its task.
    """
    spoken = [replace(steps[n], turn=restyled(steps[n].turn, suite, steps[:n])) for n in range(first, len(steps))]
    return tuple(chat_messages((), spoken))


def _about(suite: Suite, call: ToolCall, latest: str) -> str:
    aim = intent_of(suite, call)
    arguments = call.arguments or {}
    if aim.verbatim == latest:
        return "the same call again"
    if call.name == "wait":
        return "wait before the next try"
    if aim.target == "issue_token":
        return "get a new token"
    if call.name == "search":
        return f"search the documents for {str(arguments.get('query', ''))!r}"
    if call.name == "sql":
        return "make the change in the database" if aim.write else "ask the database"
    return "use http" if aim.target == "http" else aim.target.replace("_", " ")


class StyledPolicy:
    """An actor whose scripted turns get the common reasoning style."""

    def __init__(self, actor: Actor, episode: Episode):
        """Go on from a state.

        Args:
            actor: Takes the turns; waits for nothing.
            episode: The state that the actor goes on from.
        """
        self._actor = actor
        self._suite = episode.suite
        self._steps = list(episode.turns)
        self._turn: Turn | None = None

    def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn:
        """The actor's next turn, restyled.

        Raises:
            TypeError: The actor waits for something.
        """
        if self._turn is not None:
            results = [m for m in observation.messages if isinstance(m, ToolResult)]
            self._steps.append(_step(self._turn, results))
        given = self._actor.act(observation, tools)
        if not isinstance(given, Turn):
            raise TypeError("only scripted actors are restyled")
        self._turn = restyled(given, self._suite, self._steps)
        return self._turn


def _step(turn: Turn, results: Sequence[ToolResult]) -> StepRecord:
    return StepRecord(turn, tuple(CallRecord(c, r) for c, r in zip(turn.tool_calls, results, strict=True)), "")
