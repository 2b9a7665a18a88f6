"""Calls that would be wrong at a fork: the last one again, a detour, the right one in a wrong form, one too many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from faultgym.agents.policy import Actor
from faultgym.agents.scripted.marks import looks_wrong
from faultgym.agents.scripted.wrong_calls import replaced
from faultgym.core.json import JSON
from faultgym.envs.episode import StepRecord
from faultgym.envs.messages.turn import Observation, Turn
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall, ToolResult, ToolSpec
from faultgym.training.forks.branch_point import ASIDE, BranchPoint, first_calls, request, token_request
from faultgym.training.forks.continuation import ReferenceContinuation
from faultgym.training.preferences.negative_answers import false_endings

INSISTS = 3
"""How often a call that does not work is made again before giving up."""

Then = Literal["expert", "insist", "end"]
"""Who goes on after the wrong turn: the expert, somebody who makes the same call again and again, or nobody."""


@dataclass(frozen=True, slots=True)
class NegativeCall:
    """A wrong turn, and how the episode goes on after it."""

    turn: Turn
    then: Then


def negative_calls(at: BranchPoint) -> Iterator[NegativeCall]:
    """Wrong turns at this fork, each call once; whether they turn out worse is for the verdict to say.

    Args:
        at: The fork, with the right way on.
    """
    for turn in false_endings(at):
        yield NegativeCall(turn, "end")
    seen: set[str] = set()
    for call, then in _calls(at):
        key = at.aim(call).verbatim
        if call.name in at.offered and key not in seen:
            seen.add(key)
            yield NegativeCall(Turn("", (replace(call, id=at.call_id),), finish_reason="tool_calls"), then)


def _calls(at: BranchPoint) -> Iterator[tuple[ToolCall, Then]]:
    right = at.turn.tool_calls[0] if len(at.turn.tool_calls) == 1 and not at.ends(at.turn) else None
    if at.subject is not None and at.trouble and not at.again(at.turn):
        yield at.subject.call, "insist"
    if at.trouble and right is not None and at.again(at.turn):
        yield from ((call, "expert") for call in _detours(at))
    if right is not None:
        yield from ((call, "expert") for call in _other_arguments(at, right))
    if at.ends(at.turn):
        yield from ((call, "expert") for call in _one_more(at))


def _detours(at: BranchPoint) -> Iterator[ToolCall]:
    """A wait or a new token where neither is asked for."""
    yield _wait(at)
    yield token_request(at.desk())


def _wait(at: BranchPoint) -> ToolCall:
    """A wait of about as long as servers ask for."""
    return ToolCall("", "wait", {"seconds": float((5, 10, 20, 40, at.pick(30, "odd") + 5)[at.pick(5, "seconds")])})


def _other_arguments(at: BranchPoint, right: ToolCall) -> Iterator[ToolCall]:
    """The right call, wrongly: for another record, another length, another form."""
    arguments = dict(right.arguments or {})
    target = at.aim(right).target
    if right.name == "wait":
        seconds = float(arguments.get("seconds", 0))
        yield replace(right, arguments={"seconds": float(max(1, seconds // 4))})
        return
    if target in ASIDE:
        return
    for sibling in at.siblings():
        same = [c for c in first_calls(sibling) if at.aim(c).target == target and c.name == right.name]
        if same:
            yield same[0]
            break
    yield from _misshapen(at, right, arguments)
    yield from _elsewhere(at, 1)


def _misshapen(at: BranchPoint, right: ToolCall, arguments: JSON) -> Iterator[ToolCall]:
    """The call for a number that nobody gave, without an argument, or with one in another form: one of the three."""
    spec = next((s for s in at.forks.trace.tools_at(at.step) if s.name == right.name), None)
    known = list(spec.parameters.get("properties", {})) if spec is not None else []
    required = [n for n in (spec.parameters.get("required", ()) if spec else ()) if n in arguments]
    names = [n for n in arguments if n in known]
    key = at.suite.identifiers.first(repr(arguments))
    way = at.pick(4, "form")
    if way == 0 and required:
        name = required[at.pick(len(required), "dropped")]
        yield replace(right, arguments={n: v for n, v in arguments.items() if n != name}, raw="")
    elif way == 1 and names:
        name = names[at.pick(len(names), "wrapped")]
        yield replace(right, arguments={**arguments, name: [arguments[name]]}, raw="")
    elif key is not None:
        digits = key.rpartition("-")[2]
        other = f"{key.removesuffix(digits)}{digits[1:]}{digits[0]}"
        yield replace(right, arguments=replaced(arguments, key, other), raw="")


def _elsewhere(at: BranchPoint, count: int) -> Iterator[ToolCall]:
    """Calls of other tasks in the same world."""
    for name in at.other_templates()[:count]:
        calls = first_calls(at.siblings(name)[0])
        if calls:
            yield calls[at.pick(len(calls), "elsewhere", name)]


def _one_more(at: BranchPoint) -> Iterator[ToolCall]:
    """A call where all that is needed is there."""
    good = [r.call for r in at.records if not looks_wrong(r.result.content) and at.aim(r.call).target not in ASIDE]
    if good:
        yield good[at.pick(len(good), "again")]
        yield good[-1]
    desk = at.desk()
    for name, value in at.task.params.items():
        for entity in at.suite.entities.values():
            if entity.parameter != name or not isinstance(value, str):
                continue
            for source in entity.sources[1:]:
                if source.sql:
                    yield ToolCall("", "sql", {"query": source.sql.format(id=value)})
                elif source.operation:
                    yield request(desk, source.operation, {name: value})
    yield from _elsewhere(at, 3)
    yield _wait(at)
    yield token_request(desk)


class Stubborn:
    """An actor that makes the same call again for as long as the call does not work, then gives up."""

    def __init__(self, at: BranchPoint, call: ToolCall, farewell: Turn):
        self._at = at
        self._call = call
        self._farewell = farewell
        self._steps: list[StepRecord] = list(at.forks.trace.steps[: at.step])
        self._made = 0
        self._expert: ReferenceContinuation | None = None

    def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn:
        """The call, once more; when the call has worked, the expert goes on."""
        if self._expert is not None:
            return self._expert.act(observation, tools)
        call = replace(self._call, id=f"call_{len(self._at.records) + self._made + 1}")
        if self._made:
            result = next(m for m in observation.messages if isinstance(m, ToolResult))
            made = replace(self._call, id=result.call_id)
            self._steps.append(StepRecord(Turn("", (made,)), (CallRecord(made, result),), ""))
            if not looks_wrong(result.content):
                self._expert = ReferenceContinuation(self._at.task, self._steps)
                return self._expert.act(observation, tools)
        if self._made > INSISTS:
            return self._farewell
        self._made += 1
        return Turn("", (call,), finish_reason="tool_calls")


class ExpertAfter:
    """An actor that takes one given turn; then the expert goes on, having seen what came of the turn."""

    def __init__(self, at: BranchPoint, turn: Turn):
        self._at = at
        self._turn: Turn | None = turn
        self._expert: ReferenceContinuation | None = None

    def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn:
        """The given turn, then the expert's."""
        if self._turn is not None:
            turn, self._turn = self._turn, None
            self._taken = turn
            return turn
        if self._expert is None:
            results = [m for m in observation.messages if isinstance(m, ToolResult)]
            records = tuple(CallRecord(c, r) for c, r in zip(self._taken.tool_calls, results, strict=True))
            before = (*self._at.forks.trace.steps[: self._at.step], StepRecord(self._taken, records, ""))
            self._expert = ReferenceContinuation(self._at.task, before)
        return self._expert.act(observation, tools)


def follower(at: BranchPoint, negative: NegativeCall, farewell: Turn) -> Actor:
    """The actor that takes a wrong turn and goes on as the turn says.

    Args:
        at: The fork.
        negative: The wrong turn, and who goes on.
        farewell: How the episode ends when a call that does not work is given up.
    """
    if negative.then == "insist":
        return Stubborn(at, negative.turn.tool_calls[0], farewell)
    return ExpertAfter(at, negative.turn)
