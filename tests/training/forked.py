"""Traces to fork, as a demo would store them, and a policy that wavers."""

from dataclasses import dataclass
from functools import cache

from faultgym.agents.drive import run_episode
from faultgym.agents.limits import Limits
from faultgym.agents.plan import Asked, RolloutPlan
from faultgym.agents.registry import policy_named
from faultgym.agents.spec import EpisodeSpec
from faultgym.agents.trace import Trace
from faultgym.envs.schedule import schedule_for
from faultgym.envs.suite import task_by_id
from faultgym.envs.turn import Turn
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.hashing import stable_unit
from faultgym.training.informed import Informed
from faultgym.training.pairs import pairs_of

SUITES = ("orders", "incidents")


def trace_of(policy, task_id, faults="clean", seed=0, limits=None):
    """The trace of one episode."""
    spec = EpisodeSpec(task_id, faults, seed, seed)
    task = task_by_id(task_id)
    limits = limits or Limits()
    episode = run_episode(policy, task, schedule_for(task, faults, seed), seed=seed, max_turns=limits.turns or 60)
    trace = Trace.from_episode(episode, spec, policy.describe(), limits)
    episode.close()
    return trace


def broken(kind, first=1, channel="http"):
    """A plan that breaks the first calls of a channel."""
    return FaultPlan.from_rules([{"kind": kind, "trigger": {"nth": list(range(1, first + 1))}}])


@cache
def traces(policies=("expert", "repeater"), presets=("rough", "outage"), per_template=1):
    """What a small run over both suites stores."""
    plan = RolloutPlan.make(Asked(SUITES, "train", per_template=per_template, faults=presets))
    found = []
    for name in policies:
        policy = policy_named(name)
        for spec in plan.episodes:
            task = task_by_id(spec.task)
            episode = run_episode(policy, task, schedule_for(task, spec.faults, spec.fault_seed))
            found.append(Trace.from_episode(episode, spec, policy.describe(), Limits()))
            episode.close()
    return tuple(found)


@cache
def found():
    """The pairs of these traces, equal ones once."""
    unique = {}
    for trace in traces(presets=("rough",), per_template=2):
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

    def start(self, opening):
        """An actor from the beginning."""
        return self.resume(opening, ())

    def resume(self, opening, steps):
        """An actor from wherever somebody else has got to."""
        return _WaveringActor(Informed(opening.task, steps), opening.seed, self.doubt)


class _WaveringActor:
    def __init__(self, expert, seed, doubt):
        self._expert, self._gives_up = expert, stable_unit("waver", seed) < doubt

    async def act(self, observation, tools):
        """The expert's turn in words of its own, or the end."""
        if self._gives_up:
            return Turn("I give up.", reasoning="This is too much for me.")
        turn = self._expert.act(observation, tools)
        return Turn(turn.text, turn.tool_calls, "Let me see.", finish_reason=turn.finish_reason)
