"""What one trace is worth. Success is outcome only; everything else stands beside it, apart.

What is undefined for an episode is None and never 0. An episode that our own side broke has no success, no
cost and no recovery: it is counted, and says nothing about its policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from faultgym.agents.traces.plain import schedule_fingerprint
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import TraceError
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Task
from faultgym.eval.conformance import blaming
from faultgym.eval.context import ScoringContext
from faultgym.eval.scoring.record import Number, Score, faults_name
from faultgym.eval.scoring.registry import METRICS
from faultgym.eval.scoring.standard import standard_score, unscored

__all__ = ["Score", "faults_name", "score"]


def score(trace: Trace, task: Task | None = None) -> Score:
    """Score one trace, from nothing but the trace.

    Args:
        trace: Any ended episode; of one that the harness broke, only that is said.
        task: Its task, where it is at hand: that spares looking it up.

    Raises:
        TaskError: Its task does not exist any more.
        TraceError: Its suite has changed since, or its schedule of faults is not the one that it was recorded with.
        UserError: A failure mode or a metric that another package adds raised something.

    Example:
        >>> from faultgym.agents.registry import policy_named
        >>> from faultgym.agents.rollouts.play import run_episode
        >>> from faultgym.agents.traces.spec import EpisodeSpec
        >>> from faultgym.envs.registry import task_by_id
        >>> task = task_by_id("orders/order_status/train/0")
        >>> episode = run_episode(policy_named("expert"), task)
        >>> found = score(Trace.from_episode(episode, EpisodeSpec(task.id), {"name": "expert"}))
        >>> found.success, found.spl, found.mode_names
        (True, 1.0, ())
    """
    version = suite_named(trace.task.suite).version
    if trace.fingerprints.suite != version:
        raise TraceError(
            f"trace {trace.episode_id} is of version {trace.fingerprints.suite} of the suite {trace.task.suite}, and"
            f" version {version} is installed: its tasks are others now; score it with the release that made it"
        )
    if schedule_fingerprint(trace.schedule) != trace.fingerprints.schedule:
        raise TraceError(f"trace {trace.episode_id}: its schedule of faults is not the one that it was recorded with")
    bare = unscored(trace)
    if trace.harness_error is not None or trace.verdict is None:
        failure = trace.harness_error
        what = f"{failure.type}: {failure.message}" if failure is not None else "no verdict"
        return replace(bare, harness_error=what[:500])
    if trace.verdict.success is None:
        return replace(bare, undecided=trace.verdict.reason[:500])
    context = ScoringContext.of(trace, task)
    found = standard_score(context)
    measured = tuple(_measured(context))
    return replace(found, measured=measured) if measured else found


def _measured(context: ScoringContext) -> Iterator[tuple[str, Number]]:
    for name, metric in METRICS.items():
        if metric.of_trace is None:
            continue
        with blaming(METRICS, name, metric.of_trace, context.trace.episode_id):
            value = metric.of_trace(context)
        if value is not None:
            yield name, value
