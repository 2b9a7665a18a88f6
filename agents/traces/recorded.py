"""The task of a trace, asked in the words in which it was recorded."""

from __future__ import annotations

from faultgym.agents.traces.trace import Trace
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.task import Task


def recorded_task(trace: Trace) -> Task:
    """The task of a trace, in the words of the release that recorded it where the suite still knows them.

    Args:
        trace: The trace.

    Raises:
        TaskError: The task does not exist any more.
    """
    task = task_by_id(trace.task.id)
    return suite_named(task.suite).as_worded(task, trace.asked)
