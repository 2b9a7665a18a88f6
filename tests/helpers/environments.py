"""Tasks begun as the environments that trainers drive."""

from faultgym.envs.registry import task_by_id
from faultgym.training.environments.factory import ToolEpisode, environment_class

TASK = "orders/cancel_order/train/0:http"


def environment(task=TASK, **more) -> ToolEpisode:
    found = task_by_id(task)
    made = environment_class(found.suite, found.tools)(**more)
    return made


def begun(task=TASK, faults="clean", fault_seed=3, **more) -> ToolEpisode:
    made = environment(task, **more)
    made.reset(task=task, faults=faults, fault_seed=fault_seed, prompt="another column")
    return made
