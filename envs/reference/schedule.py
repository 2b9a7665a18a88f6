"""From "which faults" to an explicit schedule for one task: presets, plans, and the task's own rules."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from faultgym.core.errors import PlanError
from faultgym.core.hashing import stable_hash
from faultgym.envs.suite import suite_named
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.plan import FaultPlan, FaultRule, check_aims, compile_plan
from faultgym.tools.faults.presets import PRESETS, preset
from faultgym.tools.toolbox import STANDARD

Faults: TypeAlias = str | FaultPlan
"""The name of a preset, or a plan."""


def check_faults(faults: Faults, suites: Iterable[str] = ()) -> Faults:
    """The argument itself.

    Args:
        faults: A preset's name, or a plan.
        suites: The names of the suites that it is meant for.

    Raises:
        PlanError: It names no preset, or a rule of it is aimed at a route or a tool that one of the suites lacks.
    """
    if isinstance(faults, str) and faults not in PRESETS:
        raise PlanError(f"there is no fault preset {faults!r}; the presets are {', '.join(PRESETS)}")
    if isinstance(faults, FaultPlan):
        for name in suites:
            suite = suite_named(name)
            tools = {**STANDARD, **suite.endpoint_tools}
            check_aims(faults, f"the suite {suite.name}", suite.service.operations, tools)
    return faults


def schedule_for(task: Task, faults: Faults = "clean", seed: int = 0) -> FaultSchedule:
    """What may fire in an episode of this task: the same for the same three arguments, always.

    Raises:
        PlanError: The preset does not exist, or a rule of the plan is aimed at a route or tool that the suite lacks.
    """
    if faults == "clean" and not task.faults:
        return ()
    return _schedule(task, faults, seed)


@lru_cache(16_384)
def _schedule(task: Task, faults: Faults, seed: int) -> FaultSchedule:
    rules: list[FaultRule] = []
    if task.faults:
        rules.extend(FaultPlan.from_rules(task.faults).rules)
    if isinstance(faults, str):
        if faults != "clean":
            from faultgym.envs.reference.run import sites

            chosen = preset(
                faults,
                stable_hash("preset", task.id, seed),
                sites(task),
                held_out=task.split == "unseen_faults",
            )
            rules.extend(chosen.rules)
    else:
        check_faults(faults, [task.suite])
        rules.extend(faults.rules)
    return compile_plan(FaultPlan(rules=tuple(rules)), stable_hash("schedule", task.id, seed))
