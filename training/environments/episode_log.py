"""The traces of episodes that a trainer runs: a run folder like any other, to be scored, replayed and built from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import orjson

from faultgym import __version__
from faultgym.agents.rollouts.engine import stored
from faultgym.agents.rollouts.plan import plan_difference
from faultgym.agents.storage.segment import SegmentWriter
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.agents.traces.spec import EpisodeSpec, faults_data, whole_task_id
from faultgym.agents.traces.trace import Trace
from faultgym.agents.traces.versions import current_plan
from faultgym.core.errors import UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.core.values import shallow
from faultgym.envs.limits import Limits
from faultgym.envs.registry import suite_named

BATCH = 16
"""Traces that are synced to the disk together: what a killed training loses at most."""


@dataclass(slots=True)
class EpisodeLog:
    """Where one process of a training writes its episodes, and how it tells them apart."""

    writer: SegmentWriter
    policy: JSON
    """What every trace says of who acts, but for the step."""
    rank: int = 0
    world: int = 1
    """Which of how many processes this is: no two give an episode the same trial."""
    trials: dict[int, int] = field(default_factory=dict)
    """Episodes so far of each task under each schedule."""

    def counted(self, spec: EpisodeSpec) -> EpisodeSpec:
        """The spec with the next trial of its task under its schedule; the members of a group share all else."""
        key = _key(spec.task, faults_data(spec.faults), spec.fault_seed)
        count = self.trials.get(key, 0)
        self.trials[key] = count + 1
        return replace(spec, trial=count * self.world + self.rank)

    def policy_at(self, step: int) -> JSON:
        """Who acts at a step, for the trace; the weights are others after each step."""
        return {**self.policy, "step": step}

    def append(self, trace: Trace) -> Trace:
        """Store a trace.

        Args:
            trace: An episode that has ended.

        Returns:
            The trace as stored: a trace that cannot be stored becomes a harness failure.
        """
        return stored(trace, self.writer.append)


def _key(task: str, faults: str | JSON, fault_seed: int) -> int:
    label = faults if isinstance(faults, str) else orjson.dumps(faults, option=orjson.OPT_SORT_KEYS)
    return stable_hash("trial", whole_task_id(task), label, fault_seed)


@contextmanager
def logged(
    path: str | os.PathLike[str],
    policy: JSON,
    limits: Limits,
    asked: JSON,
    *,
    resume: bool = False,
    rank: int = 0,
    world: int = 1,
) -> Iterator[EpisodeLog]:
    """The log in a run folder.

    The process of rank 0 makes and locks the folder, so that its call has to come first.

    Args:
        path: The run folder; new, or with `resume` that of the training before.
        policy: What every trace says of who acts, but for the step.
        limits: Of every episode.
        asked: What the episodes are for, as JSON; `suites` names their suites.
        resume: Whether the folder is that of a training that was stopped.
        rank: The number of this process.
        world: How many processes there are.

    Yields:
        The log of this process.

    Raises:
        UserError: The folder cannot be used, or the training to resume was started otherwise (the message says in
            what).
        TraceError: There is no run to resume in the folder.
    """
    plan: JSON = {
        "schema_version": SCHEMA_VERSION,
        "faultgym": __version__,
        "suites": {name: suite_named(name).version for name in asked["suites"]},
        "policy": policy,
        "limits": shallow(limits),
        "asked": asked,
    }
    plan = orjson.loads(orjson.dumps(plan))  # as it is read back
    with ExitStack() as stack:
        trials: dict[int, int] = {}
        if resume or rank:
            run = RunDirectory.open(path)
            difference = plan_difference(current_plan(run.plan), plan)
            if difference:
                raise UserError(f"{run.path} was started otherwise: {difference}; resume it as it was started")
        else:
            run = RunDirectory.create(path, plan)
        if not rank:
            stack.enter_context(run.lock())
            run.repair()
        if resume or rank:
            trials = _trials(run, world)
        yield EpisodeLog(
            writer=stack.enter_context(run.writer(f"rank-{rank}", BATCH)),
            policy=policy,
            rank=rank,
            world=world,
            trials=trials,
        )


def _trials(run: RunDirectory, world: int) -> dict[int, int]:
    """How often each task was tried before: a resumed training goes on counting."""
    trials: dict[int, int] = {}
    for record in run.records():
        key = _key(record["task"]["id"], record["faults"], record["seeds"]["fault"])
        trials[key] = max(trials.get(key, 0), record["trial"] // world + 1)
    return trials
