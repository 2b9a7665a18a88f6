"""The first critical step: where success was lost, found by forking the episode and letting the expert go on.

A state is *hopeful* when the reference solution, continuing from it within the episode's own limits, succeeds.
The critical step is the one that leads from the last hopeful state to a hopeless one: the expert in its
place would still have succeeded, and nobody after it would. Hope is mostly lost once and for ever, so that
bisection finds it; where later writes could have undone the harm, the states after it are tried one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from faultgym.agents.trace import Trace
from faultgym.envs.continuing import reaches_goal
from faultgym.envs.episode import Episode
from faultgym.envs.suite import task_by_id
from faultgym.envs.task import Task


@dataclass(frozen=True, slots=True)
class Critical:
    """Where success was lost."""

    step: int | None
    """Index of the turn, from 0; None when nothing was lost: it succeeded, or there never was a way."""
    reason: str
    """One sentence for people."""
    probes: int = 0
    """Forks that the reference solution was run from."""


@dataclass(slots=True)
class _States:
    """The states of an episode between its turns, and which of them are hopeful."""

    trace: Trace
    forks: list[Episode]
    """State n is the one before turn n."""
    known: dict[int, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, trace: Trace, task: Task) -> _States:
        """Replay the trace, keeping a fork at each turn."""
        episode = Episode(task, trace.schedule)
        forks = []
        for step in trace.steps:
            forks.append(episode.fork())
            if step.turn.final:
                break
            episode.step(step.turn)
        episode.close()
        return cls(trace, forks)

    def hopeful(self, n: int) -> bool:
        """Whether the reference, going on from state n, succeeds."""
        if n not in self.known:
            self.known[n] = reaches_goal(self.forks[n], self._turns_left(n))
        return self.known[n]

    def _turns_left(self, n: int) -> int | None:
        limits = self.trace.limits
        left = [] if limits.turns is None else [limits.turns - n]
        if limits.calls is not None:
            left.append(limits.calls - sum(len(step.calls) for step in self.trace.steps[:n]))
        return max(0, min(left)) if left else None


def critical_step(trace: Trace, task: Task | None = None) -> Critical:
    """The first critical step of a failed trace. Raises `TaskError` when its task does not exist any more."""
    if trace.verdict is None:
        return Critical(None, "the harness failed: there is nothing to say about the policy")
    if trace.verdict.success:
        return Critical(None, "it succeeded")
    if not trace.steps:
        return Critical(None, "it never acted")
    states = _States.of(trace, task or task_by_id(trace.task.id))
    found = _last_hopeful(states)
    for fork in states.forks:
        fork.close()
    if found is None:
        return Critical(None, "the reference solution does not succeed from any state either", len(states.known))
    turn = trace.steps[found].turn
    what = ", ".join(call.name for call in turn.tool_calls) or "the final text"
    reason = f"before it ({what}) the reference solution still succeeds, after it no more"
    return Critical(found, reason, len(states.known))


def _last_hopeful(states: _States) -> int | None:
    """The last state with hope; None when there is none."""
    count = len(states.forks)
    if not states.hopeful(0):
        return next((n for n in reversed(range(1, count)) if states.hopeful(n)), None)
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if states.hopeful(middle) else (low, middle)
    if _settled(states.trace, high):
        return low
    return next((n for n in reversed(range(high + 1, count)) if states.hopeful(n)), low)


def _settled(trace: Trace, state: int) -> bool:
    """Whether no turn from this state on changed anything, so that lost hope cannot come back."""
    return all(not record.effects for step in trace.steps[state:] for record in step.calls)
