"""Tasks as rows for trainers that roll out by themselves: a prompt, and all that makes an environment begin.

A row fixes task, world, fault schedule and seed; what a trainer samples from one row (a group) begins in the same
state. Only the split `train` is offered: the others are there to measure with.
"""

from __future__ import annotations

from collections.abc import Iterable

from faultgym.agents.models.prompts import system_text
from faultgym.agents.rollouts.plan import RolloutRequest
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.envs.registry import task_by_id
from faultgym.training.environments.factory import environment_name


def task_rows(asked: RolloutRequest, prompt: str = "plain") -> list[JSON]:
    """One row for each episode that is asked for. Raises UserError for what does not exist, or is not for training.

    Columns: `prompt` (system message and instruction; `prompt` names what is added to the former, as in a rollout),
    `environment` (see `factory.environments_of`), `task`, `faults` (a preset, or a plan as JSON text), `fault_seed`.
    """
    if asked.split != "train":
        raise UserError(f"split {asked.split!r} is kept for measuring: train on 'train'")
    return rows_of(asked.episodes(), prompt)


def rows_of(specs: Iterable[EpisodeSpec], prompt: str = "plain") -> list[JSON]:
    """A row for each of these episodes. Raises UserError for one of a split that is kept for measuring."""
    rows = []
    for spec in specs:
        task = task_by_id(spec.task)
        if task.split != "train":
            raise UserError(f"task {task.id} is kept for measuring: train on tasks of the split 'train'")
        rows.append(
            {
                "prompt": [
                    {"role": "system", "content": system_text(task.system, prompt, False)},
                    {"role": "user", "content": task.instruction},
                ],
                "environment": environment_name(task),
                "task": spec.task,
                "faults": spec.faults if isinstance(spec.faults, str) else spec.faults.to_json(),
                "fault_seed": spec.fault_seed,
            }
        )
    return rows
