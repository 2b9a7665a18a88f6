"""What is remembered about tasks, and how to forget it."""

from __future__ import annotations

from faultgym.core import bank
from faultgym.envs import suite
from faultgym.envs.reference import run as reference
from faultgym.envs.reference import schedule


def forget_tasks() -> None:
    """Forget tasks, their schedules and their solutions, which are cached for those who come back to them.

    For those who see millions of tasks once: memory stays flat. Worlds are kept; there are few. What was handed out
    stays valid.
    """
    for cached in (suite._task, schedule._schedule, reference._solved, reference.sites):
        cached.cache_clear()
    bank.forget("tasks")
