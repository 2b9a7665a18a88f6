"""What every trace is scored by, whatever metrics others add."""

from __future__ import annotations

from dataclasses import replace

from faultgym.agents.traces.trace import Trace
from faultgym.envs.gym.env import BAD_CALLS
from faultgym.eval.claims import abstains
from faultgym.eval.context import ScoringContext
from faultgym.eval.efficiency import efficiency
from faultgym.eval.modes.classifier import modes_of
from faultgym.eval.recovery.detection import cross_checked
from faultgym.eval.recovery.outcomes import recovery
from faultgym.eval.scoring.record import Score, faults_name, plan_digest
from faultgym.tools.faults.registry import kind_named


def unscored(trace: Trace) -> Score:
    """What a score says of the episode before anything is judged."""
    return Score(
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
        turns=len(trace.steps),
        usage=trace.usage,
        salvaged=sum(step.turn.salvaged for step in trace.steps),
        answers=trace.answers,
    )


def standard_score(context: ScoringContext) -> Score:
    """The score of an episode that has a verdict, but for the metrics that others add."""
    trace, verdict = context.trace, context.verdict
    cost = efficiency(context)
    last = trace.steps[-1].turn if trace.steps else None
    return replace(
        unscored(trace),
        success=verdict.success,
        reported=verdict.reported,
        abstained=abstains(context),
        confidence=None if last is None else last.confidence,
        cost=cost,
        spl=cost.efficiency or 0.0,
        planned=tuple((f.kind, str(kind_named(f.kind).contract_of(f))) for f in trace.schedule),
        recovery=recovery(context),
        cross_checked=cross_checked(context),
        reward=_reward(context),
        modes=modes_of(context),
        reason=verdict.reason,
    )


def _reward(context: ScoringContext) -> tuple[tuple[str, float], ...]:
    bad = sum(r.result.code in BAD_CALLS for r in context.records)
    success = float(bool(context.verdict.success))
    return (("success", success), ("calls", float(len(context.records))), ("bad_calls", float(bad)))
