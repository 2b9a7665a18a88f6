"""Traces to fork, as a demo would store them, and a policy that wavers."""

import asyncio
from dataclasses import dataclass, field
from functools import cache

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.core.hashing import hash_to_unit
from faultgym.envs.judging.form import DEFAULT_ANSWERS
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.types import ToolCall
from faultgym.training.forks.continuation import ReferenceContinuation
from faultgym.training.preferences.pairs import pairs_of

SUITES = ("orders", "incidents")


def trace_of(policy, task_id, faults="clean", seed=0, limits=None, answers=DEFAULT_ANSWERS):
    """The trace of one episode."""
    spec = EpisodeSpec(task_id, faults, seed, seed, answers=answers)
    task = task_by_id(task_id)
    limits = limits or Limits()
    schedule, turns = schedule_for(task, faults, seed), limits.turns or 60
    episode = run_episode(policy, task, schedule, seed=seed, max_turns=turns, answers=answers)
    trace = Trace.from_episode(episode, spec, policy.describe(), limits)
    episode.close()
    return trace


def broken(kind, first=1, channel="http"):
    """A plan that breaks the first calls of a channel."""
    return FaultPlan.from_rules([{"kind": kind, "trigger": {"nth": list(range(1, first + 1))}}])


@cache
def traces(policies=("expert", "repeater"), presets=("rough", "outage"), per_template=1, answers=DEFAULT_ANSWERS):
    """What a small run over both suites stores."""
    asked = RolloutRequest(SUITES, "train", per_template=per_template, faults=presets, answers=answers)
    plan = RolloutPlan.make(asked)
    found = []
    for name in policies:
        policy = policy_named(name)
        for spec in plan.episodes:
            task = task_by_id(spec.task)
            episode = run_episode(policy, task, schedule_for(task, spec.faults, spec.fault_seed), answers=answers)
            found.append(Trace.from_episode(episode, spec, policy.describe(), Limits()))
            episode.close()
    return tuple(found)


@cache
def found(answers=DEFAULT_ANSWERS):
    """The pairs of these traces, equal ones once."""
    unique = {}
    for trace in traces(presets=("rough",), per_template=2, answers=answers):
        for one in pairs_of(trace, per_trace=5):
            key = repr((one.pair.prompt, one.pair.chosen, one.pair.rejected))
            unique.setdefault(key, one)
    return tuple(unique.values())


@dataclass(frozen=True)
class Wavering:
    """Not scripted: goes the expert's way, and gives up instead with a probability that its seed decides."""

    doubt: float = 0.0
    name: str = "wavering"

    def describe(self):
        """What the trace says of it."""
        return {"name": self.name, "doubt": self.doubt}

    def start_with(self, task, schedule, opening):
        """An actor from the beginning."""
        return self.resume_with(task, schedule, opening, ())

    def resume_with(self, task, schedule, opening, steps):
        """An actor from wherever somebody else has got to."""
        return _WaveringActor(ReferenceContinuation(task, steps), opening.seed, self.doubt)


class _WaveringActor:
    def __init__(self, expert, seed, doubt):
        self._expert, self._gives_up = expert, hash_to_unit("waver", seed) < doubt

    async def act(self, observation, tools):
        """The expert's turn in words of its own, or the end."""
        if self._gives_up:
            return Turn("I give up.", reasoning="This is too much for me.")
        turn = self._expert.act(observation, tools)
        return Turn(turn.text, turn.tool_calls, "Let me see.", finish_reason=turn.finish_reason)


@dataclass(frozen=True)
class Meeting(Wavering):
    """Goes on only when `seats` of its actors wait at the same time."""

    seats: int = 1
    patience: float = 60
    met: list = field(default_factory=list, compare=False)

    def resume_with(self, task, schedule, opening, steps):
        """An actor that waits for the others before its first turn."""
        return _MeetingActor(self, super().resume_with(task, schedule, opening, steps))


class _MeetingActor:
    def __init__(self, policy, inner):
        self._policy, self._inner, self._waited = policy, inner, False

    async def act(self, observation, tools):
        """The inner actor's turn, once all seats are taken."""
        if not self._waited:
            self._waited = True
            met = self._policy.met
            if not met:
                met.append(asyncio.Barrier(self._policy.seats))
            async with asyncio.timeout(self._policy.patience):
                await met[0].wait()
        return await self._inner.act(observation, tools)


@dataclass(frozen=True)
class Impatient(Meeting):
    """The same, but not for long."""

    patience: float = 0.05


class Fresh:
    """Neither scripted nor able to go on from somebody else's prefix."""

    name = "fresh"

    def describe(self):
        """What the trace says of it."""
        return {"name": "fresh"}

    def start_with(self, task, schedule, opening):
        """An actor from the beginning."""
        return Wavering().start_with(task, schedule, opening)


class Roundabout(Wavering):
    """Succeeds with one call too many, made later than its first turn."""

    def resume_with(self, task, schedule, opening, steps):
        """An actor from wherever somebody else has got to."""
        return _RoundaboutActor(ReferenceContinuation(task, steps))


class _RoundaboutActor:
    def __init__(self, expert):
        self._expert, self._turns, self._held = expert, 0, None

    async def act(self, observation, tools):
        """A look at something else first, then the expert's turns."""
        self._turns += 1
        if self._turns == 1:
            self._held = self._expert.act(observation, tools)
            return Turn("", (ToolCall("look", "wait", {"seconds": 1}),), finish_reason="tool_calls")
        if self._held is not None:
            turn, self._held = self._held, None
            return turn
        return self._expert.act(observation, tools)


class Fumbling(Wavering):
    """Makes its first call with an argument that no tool has, and goes the expert's way after that."""

    def resume_with(self, task, schedule, opening, steps):
        """An actor from wherever somebody else has got to."""
        return _FumblingActor(ReferenceContinuation(task, steps), bool(steps))


class _FumblingActor:
    def __init__(self, expert, fumbled):
        self._expert, self._fumbled, self._held = expert, fumbled, None

    async def act(self, observation, tools):
        """The expert's turn, a broken one before the first."""
        if self._held is not None:
            turn, self._held = self._held, None
            return turn
        turn = self._expert.act(observation, tools)
        if self._fumbled or turn.final:
            return turn
        self._fumbled, self._held = True, turn
        (call,) = turn.tool_calls
        return Turn("", (ToolCall("fumble", call.name, {**call.arguments, "whatever": 1}),), finish_reason="tool_calls")


class Lost(Wavering):
    """The expert's first turn, and then, by its seed, the expert's way or the end."""

    def resume_with(self, task, schedule, opening, steps):
        """An actor from wherever somebody else has got to."""
        return _LostActor(ReferenceContinuation(task, steps), opening.seed)


class _LostActor:
    def __init__(self, expert, seed):
        self._expert, self._seed, self._turns = expert, seed, 0

    async def act(self, observation, tools):
        """The expert's turn, or giving up from the second one on."""
        self._turns += 1
        if self._turns > 1 and hash_to_unit("lost", self._seed) < 0.5:
            return Turn("I give up.")
        return self._expert.act(observation, tools)
