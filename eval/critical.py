"""The first critical step: where success was lost, found by forking the episode and letting the expert go on.

A state is *hopeful* when the reference solution, continuing from it within the episode's own limits, succeeds.
The critical step is the one that leads from the last hopeful state to a hopeless one: the expert in its
place would still have succeeded, and nobody after it would. It is found by bisection where hope, once lost, stays
lost; where a later write or the end of a fault can bring it back, the states are tried one by one, from the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from faultgym.agents.traces.recorded import recorded_task
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import Episode, reaches_goal
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
    state: Callable[[int], Episode]
    """State n is the one before turn n."""
    known: dict[int, bool] = field(default_factory=dict)

    def hopeful(self, n: int) -> bool:
        """Whether the reference, going on from state n, succeeds."""
        if n not in self.known:
            self.known[n] = reaches_goal(self.state(n), self._turns_left(n))
        return self.known[n]

    def _turns_left(self, n: int) -> int | None:
        limits = self.trace.limits
        left = [] if limits.turns is None else [limits.turns - n]
        if limits.calls is not None:
            left.append(limits.calls - sum(len(step.calls) for step in self.trace.steps[:n]))
        return max(0, min(left)) if left else None


def critical_step(trace: Trace, task: Task | None = None, state: Callable[[int], Episode] | None = None) -> Critical:
    """The first critical step of a failed trace.

    Args:
        trace: The trace. Where the episode succeeded, or the harness broke it, nothing was lost.
        task: Its task, where it is at hand: that spares looking it up.
        state: Gives the episode before turn n, where such episodes are built already; they are left as they are. By
            default the trace is played again for them.

    Returns:
        The turn, the reason, and how often the reference solution was run.

    Raises:
        TaskError: The trace's task does not exist any more.

    Example:
        >>> from faultgym.agents.registry import policy_named
        >>> from faultgym.agents.rollouts.play import run_episode
        >>> from faultgym.agents.traces.spec import EpisodeSpec
        >>> from faultgym.envs.registry import task_by_id
        >>> task = task_by_id("orders/order_status/train/0")
        >>> episode = run_episode(policy_named("echo"), task)
        >>> critical_step(Trace.from_episode(episode, EpisodeSpec(task.id), {"name": "echo"})).step
        0
    """
    if trace.verdict is None:
        return Critical(None, "the harness failed: there is nothing to say about the policy")
    if trace.verdict.success is None:
        return Critical(None, "its verdict stays open")
    if trace.verdict.success:
        return Critical(None, "it succeeded")
    if not trace.steps:
        return Critical(None, "it never acted")
    built: list[Episode] = []
    if state is None:
        built = _built(trace, task or recorded_task(trace))
        state = built.__getitem__
    states = _States(trace, state)
    found = _last_hopeful(states)
    for episode in built:
        episode.close()
    if found is None:
        return Critical(None, "the reference solution does not succeed from any state either", len(states.known))
    turn = trace.steps[found].turn
    what = ", ".join(call.name for call in turn.tool_calls) or "the final text"
    reason = f"before it ({what}) the reference solution still succeeds, after it no more"
    return Critical(found, reason, len(states.known))


def _built(trace: Trace, task: Task) -> list[Episode]:
    """Replay the trace, keeping a fork at each turn."""
    episode = Episode(task, trace.schedule, answers=trace.answers, reminders=trace.limits.reminders)
    forks = []
    for step in trace.steps:
        forks.append(episode.fork())
        if step is not trace.steps[-1]:  # the last one is only forked before
            episode.step(step.turn)
    episode.close()
    return forks


def _last_hopeful(states: _States) -> int | None:
    """The last state with hope; None when there is none.

    Stretch by stretch from the end, where most episodes go wrong. Within a stretch hope is only lost: its states
    are asked with ever longer strides back from its end, and between the last two bisection finds the border.
    """
    end = len(states.trace.steps)
    for start in reversed(_stretches(states.trace)):
        low, high, stride = end - 1, end, 1
        while not states.hopeful(low) and low > start:
            low, high, stride = max(start, low - stride), low, stride * 2
        while states.hopeful(low) and high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if states.hopeful(middle) else (low, middle)
        if states.hopeful(low):
            return low
        end = start
    return None


def _stretches(trace: Trace) -> list[int]:
    """The first states of the stretches in which hope can only be lost.

    A turn that changed nothing in the world, spent no fault and let no time pass on purpose leaves behind what
    was before it, with a turn less: whoever succeeds after it would have before it. Every other turn begins a
    new stretch: a later write may undo a harm, and a fault that has struck is no longer in the way. So does every
    turn while faults are still to come, as calls are what they are counted by.
    """
    starts = [0]
    for number, step in enumerate(trace.steps[:-1]):
        if trace.schedule or any(r.effects or r.call.name == "wait" for r in step.calls):
            starts.append(number + 1)
    return starts
