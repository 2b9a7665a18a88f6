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
    """One row for each episode that is asked for.

    Columns: `prompt` (system message and instruction), `environment` (see `factory.environments_of`), `task`, `faults`
    (a preset, or a plan as JSON text), `fault_seed`, `answers`.

    Args:
        asked: The episodes; their split has to be `train`.
        prompt: The name of the system prompt that is added to the task's system message, as in a rollout.

    Returns:
        The rows, as JSON values.

    Raises:
        UserError: A suite, template, preset or prompt does not exist, or the split is kept for measuring.

    Example:
        >>> asked = RolloutRequest(split="train", templates=("order_status",), per_template=1, faults=("mild",))
        >>> [(row["task"], row["faults"]) for row in task_rows(asked)]
        [('orders/order_status/train/0', 'mild')]
    """
    if asked.split != "train":
        raise UserError(f"split {asked.split!r} is kept for measuring: train on 'train'")
    return rows_of(asked.episodes(), prompt)


def rows_of(specs: Iterable[EpisodeSpec], prompt: str = "plain") -> list[JSON]:
    """A row for each of these episodes.

    Args:
        specs: The episodes.
        prompt: As of `task_rows`.

    Raises:
        UserError: A task does not exist, or is of a split that is kept for measuring.
    """
    rows = []
    for spec in specs:
        task = task_by_id(spec.task)
        if task.split != "train":
            raise UserError(f"task {task.id} is kept for measuring: train on tasks of the split 'train'")
        rows.append(
            {
                "prompt": [
                    {"role": "system", "content": system_text(task.system_for(spec.answers), prompt, False)},
                    {"role": "user", "content": task.instruction},
                ],
                "environment": environment_name(task, spec.answers),
                "task": spec.task,
                "faults": spec.faults if isinstance(spec.faults, str) else spec.faults.to_json(),
                "fault_seed": spec.fault_seed,
                "answers": spec.answers,
            }
        )
    return rows
