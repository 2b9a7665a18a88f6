"""Verdicts on final texts of tasks whose work is done, and texts gathered by their kind."""

from __future__ import annotations

from functools import cache

import pytest

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.envs.episode import Episode
from faultgym.envs.judging.goal import judge
from faultgym.envs.judging.reading.question import question
from faultgym.envs.registry import task_by_id

BLOCKED = "orders/blocked_cancel/train/2"
OUTAGE = "incidents/scale_outage/train/2"
Kind = tuple[tuple[str, str], ...]
"""Tasks with texts that end them."""


@cache
def played(task: str) -> Episode:
    """An expert's episode, with the wanted changes made where they can be."""
    return run_episode(policy_named("expert"), task_by_id(task), ())


def success(task: str, text: str) -> bool | None:
    """The verdict on a text that ends an expert's episode; an outage leaves the world as it was."""
    blocked = task in (BLOCKED, OUTAGE)
    wanted = task_by_id(task)
    world = Episode(wanted).world if blocked else played(task).world
    asked = question(world, wanted.instruction, wanted.params)
    return judge(wanted.goal, world, text, looked_up=True, blocked=blocked, asked=asked).success


def cases(kinds: dict[str, Kind]) -> list[object]:
    """One parameter for each text, named after its kind."""
    return [pytest.param(*case, id=f"{kind}-{n}") for kind, texts in kinds.items() for n, case in enumerate(texts)]
