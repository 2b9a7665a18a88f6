"""Recoveries that need one another: what single faults do not show."""

from __future__ import annotations

from faultgym.envs.reference.run import feasible
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.tools.faults.plan import FaultPlan


def test_a_conflict_is_settled_by_the_newer_route_where_the_old_one_has_moved() -> None:
    task = task_by_id("incidents/scale_to_peak/train/92")
    rules = [
        {"kind": "not_found_moved", "route": "get_service", "trigger": {"nth": 1}},
        {"kind": "conflict", "route": "scale_service", "trigger": {"nth": 1}},
    ]
    assert feasible(task, schedule_for(task, FaultPlan.from_rules(rules)))
