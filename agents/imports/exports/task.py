"""What the exports say alike: the task of a trace, so that an import can prove it, and the model."""

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


def model_of(trace: Trace) -> str:
    """What the policy says its model is called; its own name where it has none."""
    model = trace.policy.get("model")
    name = model.get("name") if isinstance(model, dict) else model
    return name if isinstance(name, str) and name else str(trace.policy.get("name", ""))
