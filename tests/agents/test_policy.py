"""What a policy is shown: an opening, and the task itself only where it says that it needs it."""

import dataclasses

import pytest

from faultgym.agents.policy import Opening, start
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.core.errors import UserError
from faultgym.envs.judging.goal import Goal
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Task

TASK = suite_named("orders").task("order_status", "train", 0)


class Model:
    """A policy without privileges, which keeps what it is given."""

    name = "model"

    def __init__(self):
        self.given = []

    def start(self, *given):
        self.given = list(given)
        return self

    def act(self, observation, tools):
        self.given += [observation, tools]
        return Turn("Done.")

    def describe(self):
        return {"name": self.name}


def reached(value, seen):
    """All objects that the value holds, however deep."""
    if id(value) in seen:
        return
    seen[id(value)] = value
    inner = []
    if dataclasses.is_dataclass(value):
        inner = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = value
    for one in inner:
        reached(one, seen)


def test_nothing_that_a_policy_is_given_leads_to_the_goal():
    model, seen = Model(), {}
    run_episode(model, TASK).close()
    assert isinstance(model.given[0], Opening)
    reached(model.given, seen)
    assert TASK.instruction in seen.values()
    assert not [value for value in seen.values() if isinstance(value, Task | Goal)]


def test_a_scripted_policy_is_shown_the_task_through_a_door_of_its_own():
    opening = Opening((), (), 0)
    expert = policy_named("expert")
    with pytest.raises(UserError, match="plays from the task: start it with start_with"):
        expert.start(opening)
    assert start(expert, TASK, (), opening).stage.task is TASK
