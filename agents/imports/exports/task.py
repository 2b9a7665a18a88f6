"""The task of a trace, as every export names it so that an import can prove it."""

from __future__ import annotations

from faultgym.agents.imports.named import NamedTask
from faultgym.agents.traces.trace import Trace
from faultgym.envs.limits import Limits


def named(trace: Trace) -> NamedTask:
    """The task of a trace, with all that playing its turns again takes; limits on real time and tokens are left out."""
    limits, seeds = trace.limits, trace.seeds
    kept = Limits(
        turns=limits.turns,
        calls=limits.calls,
        virtual_seconds=limits.virtual_seconds,
        reminders=limits.reminders,
    )
    return NamedTask(
        task=trace.task.id,
        faults=trace.faults,
        fault_seed=seeds.fault,
        policy_seed=seeds.policy,
        trial=trace.trial,
        schedule=trace.schedule,
        limits=kept,
        answers=trace.answers,
    )
