"""What one trace is worth. Success is outcome only; everything else stands beside it, apart.

What is undefined for an episode is None and never 0. An episode that our own side broke has no success, no
cost and no recovery: it is counted, and says nothing about its policy.
"""

from __future__ import annotations

from dataclasses import replace

from faultgym.agents.traces.trace import Trace, schedule_fingerprint
from faultgym.core.errors import TraceError
from faultgym.envs.gym.env import BAD_CALLS
from faultgym.envs.judging.claims import claims_absence, claims_blocked
from faultgym.envs.suite import suite_named
from faultgym.envs.task import Task
from faultgym.eval.context import ScoringContext
from faultgym.eval.efficiency import efficiency
from faultgym.eval.modes.classifier import modes_of
from faultgym.eval.recovery.detection import cross_checked
from faultgym.eval.recovery.outcomes import recovery
from faultgym.eval.scoring.record import Score, faults_name, plan_digest
from faultgym.tools.faults.registry import kind_named

__all__ = ["Score", "faults_name", "score"]


def score(trace: Trace, task: Task | None = None) -> Score:
    """Score one trace, from nothing but the trace; `task` spares looking it up.

    Raises `TaskError` when its task does not exist any more, `TraceError` when its suite has changed since.
    """
    version = suite_named(trace.task.suite).version
    if trace.fingerprints.suite != version:
        raise TraceError(
            f"trace {trace.episode_id} is of version {trace.fingerprints.suite} of the suite {trace.task.suite}, and"
            f" version {version} is installed: its tasks are others now; score it with the release that made it"
        )
    if schedule_fingerprint(trace.schedule) != trace.fingerprints.schedule:
        raise TraceError(f"trace {trace.episode_id}: its schedule of faults is not the one that it was recorded with")
    bare = Score(
        episode_id=trace.episode_id,
        task=trace.task.id,
        suite=trace.task.suite,
        template=trace.task.template,
        split=trace.task.split,
        policy=str(trace.policy.get("name", "")),
        faults=faults_name(trace.faults),
        trial=trace.trial,
        answerable=trace.task.answerable,
        needs_tools=trace.task.needs_tools,
        stop=trace.stop,
        plan=plan_digest(trace.faults),
    )
    if trace.harness_error is not None or trace.verdict is None:
        failure = trace.harness_error
        what = f"{failure.type}: {failure.message}" if failure is not None else "no verdict"
        return replace(bare, harness_error=what[:500])
    context = ScoringContext.of(trace, task)
    cost = efficiency(context)
    last = trace.steps[-1].turn if trace.steps else None
    return replace(
        bare,
        success=trace.verdict.success,
        reported=trace.verdict.reported,
        abstained=bool(context.text) and (claims_absence(context.text) or claims_blocked(context.text)),
        confidence=None if last is None else last.confidence,
        cost=cost,
        spl=cost.efficiency or 0.0,
        planned=tuple((f.kind, str(kind_named(f.kind).contract_of(f))) for f in trace.schedule),
        recovery=recovery(context),
        cross_checked=cross_checked(context),
        reward=_reward(context),
        modes=modes_of(context),
        reason=trace.verdict.reason,
    )


def _reward(context: ScoringContext) -> tuple[tuple[str, float], ...]:
    bad = sum(r.result.code in BAD_CALLS for r in context.records)
    success = float(context.verdict.success)
    return (("success", success), ("calls", float(len(context.records))), ("bad_calls", float(bad)))
