"""What defines an episode, and the id that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import orjson

from faultgym.core.json import JSON
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.limits import Limits
from faultgym.envs.reference.schedule import Faults
from faultgym.envs.registry import task_by_id
from faultgym.tools.faults.plan import FaultPlan

IDENTITY_VERSION = 1
"""Part of every episode id; raised only if an id should come to mean something else."""


@dataclass(frozen=True, slots=True)
class EpisodeSpec:
    """One episode before it is run. Seeds are numbers in [0, 2**53), so that every JSON reader keeps them."""

    task: str
    """The task's id."""
    faults: Faults = "clean"
    """The name of a preset, or a plan."""
    fault_seed: int = 0
    policy_seed: int = 0
    trial: int = 0
    answers: Answers = DEFAULT_ANSWERS
    """How the episode ends."""

    @property
    def faults_data(self) -> str | JSON:
        """The faults as a record holds them."""
        return faults_data(self.faults)


def faults_data(faults: Faults) -> str | JSON:
    """The faults as a record holds them: a preset's name, or a plan as JSON values."""
    return faults if isinstance(faults, str) else _plan_data(faults)


@lru_cache(256)
def _plan_data(plan: FaultPlan) -> JSON:
    data: JSON = orjson.loads(plan.to_json())
    return data


def faults_of(data: str | JSON) -> Faults:
    """What `faults_data` gives, turned back.

    Raises:
        PlanError: The JSON values are no plan. A preset's name is not checked.
    """
    return data if isinstance(data, str) else FaultPlan.from_json(orjson.dumps(data).decode())


def episode_id(spec: EpisodeSpec, policy: JSON, limits: Limits, suite_version: int) -> str:
    """The episode's id: 96 bits that depend on what defines the episode alone, and on no clock, machine or order.

    Args:
        spec: Task, faults, seeds and trial.
        policy: What the policy says of itself (`describe`).
        limits: The budgets, all of them.
        suite_version: The version of the task's suite.

    Returns:
        24 hexadecimal digits.

    Raises:
        TaskError: The task's id names a style, and there is no such task.
    """
    seeds = (spec.fault_seed, spec.policy_seed, spec.trial)
    return identity(
        whole_task_id(spec.task), spec.faults_data, seeds, policy, limits, suite_version, answers=spec.answers
    )


def whole_task_id(text: str) -> str:
    """The task's own id: without a style that the task would have anyway.

    Raises:
        TaskError: The id names a style, and there is no such task.
    """
    if ":" not in text:
        return text
    return task_by_id(text).id


def identity(
    task: str,
    faults: str | JSON,
    seeds: tuple[int, int, int],
    policy: JSON,
    limits: Limits,
    suite_version: int,
    *,
    answers: Answers,
) -> str:
    """The episode id from its parts.

    Args:
        task: The task's own id; see `whole_task_id`.
        faults: As `faults_data` gives them.
        seeds: Of the faults and of the policy, and the trial.
        policy: What the policy says of itself.
        limits: The budgets.
        suite_version: The version of the task's suite.
        answers: How the episode ends.
    """
    budgets = [limits.turns, limits.calls, limits.tokens, limits.virtual_seconds, limits.wall_seconds]
    parts: tuple[object, ...] = (IDENTITY_VERSION, task, suite_version, faults, seeds, policy, budgets)
    if answers != "text":  # ids of episodes with text are as they were before answers could be typed
        parts = (*parts, answers, limits.reminders)
    return blake2b(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()
