"""What an episode is: worlds, tasks, suites, and the Gymnasium environment over them.

The names below are imported when they are first used, so that `import faultgym` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faultgym.envs.episode import Episode, StepRecord
    from faultgym.envs.gym.env import RewardParts, Snapshot, ToolEnv
    from faultgym.envs.gym.registration import environment_ids, register_environments
    from faultgym.envs.gym.spaces import ObservationSpace, TurnSpace
    from faultgym.envs.gym.wrappers import (
        HermesText,
        RewardShaping,
        TextSpace,
        TimeBudget,
        TokenBudget,
        TurnLimit,
        forked,
    )
    from faultgym.envs.judging.goal import Goal, Verdict
    from faultgym.envs.messages.hermes import format_hermes, parse_hermes
    from faultgym.envs.messages.turn import Message, Observation, Turn
    from faultgym.envs.registry import register_suite, suite_named, suites, task_by_id
    from faultgym.envs.render import neutralised, transcript
    from faultgym.envs.suite import Suite, Template
    from faultgym.envs.task import Task

_WHERE = {
    "gym.env": ("RewardParts", "Snapshot", "ToolEnv"),
    "episode": ("Episode", "StepRecord"),
    "judging.goal": ("Goal", "Verdict"),
    "messages.hermes": ("format_hermes", "parse_hermes"),
    "gym.registration": ("environment_ids", "register_environments"),
    "render": ("neutralised", "transcript"),
    "gym.spaces": ("ObservationSpace", "TurnSpace"),
    "registry": ("register_suite", "suite_named", "suites", "task_by_id"),
    "suite": ("Suite", "Template"),
    "task": ("Task",),
    "messages.turn": ("Message", "Observation", "Turn"),
    "gym.wrappers": (
        "HermesText",
        "RewardShaping",
        "TextSpace",
        "TimeBudget",
        "TokenBudget",
        "TurnLimit",
        "forked",
    ),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "Episode",
    "Goal",
    "HermesText",
    "Message",
    "Observation",
    "ObservationSpace",
    "RewardParts",
    "RewardShaping",
    "Snapshot",
    "StepRecord",
    "Suite",
    "Task",
    "Template",
    "TextSpace",
    "TimeBudget",
    "TokenBudget",
    "ToolEnv",
    "Turn",
    "TurnLimit",
    "TurnSpace",
    "Verdict",
    "environment_ids",
    "forked",
    "format_hermes",
    "neutralised",
    "parse_hermes",
    "register_environments",
    "register_suite",
    "suite_named",
    "suites",
    "task_by_id",
    "transcript",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
