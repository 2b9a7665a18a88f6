"""From "which faults" to an explicit schedule for one task: presets, plans, and the task's own rules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from faultgym.core.bank import banked
from faultgym.core.errors import PlanError
from faultgym.core.hashing import stable_hash
from faultgym.core.suggest import did_you_mean
from faultgym.envs.reference.run import sites
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.named import load_plan
from faultgym.tools.faults.plan import FaultPlan, FaultRule, check_aims, compile_plan
from faultgym.tools.faults.presets import PRESETS, preset
from faultgym.tools.toolbox import STANDARD

Faults: TypeAlias = str | FaultPlan
"""The name of a preset, or a plan."""


def check_faults(faults: Faults, suites: Iterable[str] = ()) -> Faults:
    """Check that faults exist, and that the suites have what a plan is aimed at.

    Args:
        faults: A preset's name, or a plan.
        suites: The names of the suites that a plan is meant for; by default its aims are not checked.

    Returns:
        The faults, unchanged.

    Raises:
        PlanError: No preset has the name, or a rule is aimed at a route or a tool that one of the suites lacks.
        TaskError: One of the suites is not registered.
    """
    if isinstance(faults, str) and faults not in PRESETS:
        hint = did_you_mean(faults, PRESETS)
        hint = f"; {hint}" if hint else ""
        raise PlanError(f"there is no fault preset {faults!r}{hint}; the presets are {', '.join(PRESETS)}")
    if isinstance(faults, FaultPlan):
        for name in suites:
            _check_aims(faults, suite_named(name))
    return faults


def _check_aims(plan: FaultPlan, suite: Suite) -> None:
    tools = {**STANDARD, **suite.endpoint_tools}
    check_aims(plan, f"the suite {suite.name}", suite.service.operations, tools)


def load_faults(faults: Faults | Path) -> Faults:
    """The faults that a person names: a preset, a plan, or a plan's file.

    Args:
        faults: A preset's name, a plan, or a path. A text is a path where it holds a slash, ends in `.json` or names
            a file.

    Returns:
        A preset's name as it is, or the plan.

    Raises:
        PlanError: The preset or the file does not exist, or the file holds no plan.
    """
    if isinstance(faults, Path) or (
        isinstance(faults, str) and ("/" in faults or faults.endswith(".json") or Path(faults).is_file())
    ):
        return load_plan(str(faults))
    return check_faults(faults)


def schedule_for(task: Task, faults: Faults = "clean", seed: int = 0, *, suite: Suite | None = None) -> FaultSchedule:
    """What may fire in an episode of this task: always the same for the same arguments.

    Args:
        task: The task; its own rules are part of every schedule.
        faults: A preset's name, or a plan.
        seed: Which of the preset's choices, and which calls a probability hits.
        suite: The task's suite; by default the one registered under its name.

    Raises:
        PlanError: The preset does not exist, or a rule of the plan is aimed at a route or tool that the suite lacks.

    Example:
        >>> from faultgym.envs.registry import task_by_id
        >>> task = task_by_id("orders/order_status/train/0")
        >>> schedule_for(task), schedule_for(task, "outage")[0].kind
        ((), 'outage')
    """
    if faults == "clean" and not task.faults:
        return ()
    return _schedule(suite or suite_named(task.suite), task, faults, seed)


@banked("tasks", 16_384)
def _schedule(suite: Suite, task: Task, faults: Faults, seed: int) -> FaultSchedule:
    rules: list[FaultRule] = []
    if task.faults:
        rules.extend(FaultPlan.from_rules(task.faults).rules)
    if isinstance(faults, str):
        if faults != "clean":
            salt = stable_hash("preset", task.id, seed)
            chosen = preset(faults, salt, sites(task, suite), held_out=task.split == "unseen_faults")
            rules.extend(chosen.rules)
    else:
        _check_aims(faults, suite)
        rules.extend(faults.rules)
    return compile_plan(FaultPlan(rules=tuple(rules)), stable_hash("schedule", task.id, seed))
