"""What is remembered about tasks, and how to forget it."""

from __future__ import annotations

from faultgym.envs import suite
from faultgym.envs.reference import run as reference
from faultgym.envs.reference import schedule
from faultgym.tools.faults import plan


def forget_tasks() -> None:
    """Forget tasks, their schedules and their solutions, which are cached for those who come back to them.

    For those who see millions of tasks once: memory stays flat. Worlds are kept; there are few. What was handed out
    stays valid.
    """
    for cached in (suite._task, schedule._schedule, reference._solved, reference.sites, plan.compile_plan):
        cached.cache_clear()
