"""The gate: clean on every template, and able to fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faultgym.envs.judging.goal import Goal
from faultgym.envs.registry import registered, suite_named
from faultgym.envs.suite import Suite
from faultgym.eval.gate.admission import MUST_FAIL, gate
from faultgym.tools.faults.presets import PRESETS

TEMPLATES = [(name, template) for name in ("orders", "incidents") for template in suite_named(name).templates]


def split_of(suite: Suite, template: str) -> str:
    return "unseen_compositions" if suite.templates[template].composition else "test"


@pytest.mark.slow
@pytest.mark.parametrize(("suite_name", "template"), TEMPLATES)
def test_every_template_is_solved_by_the_expert_and_by_nothing_less(suite_name: str, template: str) -> None:
    suite = suite_named(suite_name)
    row = gate(suite, template, [suite.task(template, split_of(suite, template), 0)])
    assert row.clean, row.failures


def test_every_policy_and_the_spoiled_writes_are_tried_with_both_kinds_of_answers() -> None:
    orders = suite_named("orders")
    row = gate(orders, "cancel_order", [orders.task("cancel_order", "dev", 0)])
    assert row.clean, row.failures
    for check in (*(f"expert {preset}" for preset in PRESETS), *MUST_FAIL, "dropped", "neighbour"):
        assert row.checks[f"{check} typed"] == row.checks[f"{check} text"] == (1, 1)


def without_goal(template: str, name: str) -> Suite:
    """The orders suite with one template, whose goal any episode meets that changes nothing."""
    orders = suite_named("orders")
    real = orders.templates[template]
    idle = replace(real, name=name, draw=lambda db, rng: replace(real.draw(db, rng), goal=Goal()))
    return replace(orders, name=name, templates={name: idle})


def test_a_goal_that_anything_meets_is_caught() -> None:
    suite = without_goal("order_status", "anything")
    with registered(suite):
        row = gate(suite, "anything", [suite.task("anything", "dev", 0)])
    assert {f.split(": ")[1] for f in row.failures} >= {"null text", "null typed", "random text", "random typed"}


def test_a_write_that_is_not_wanted_is_caught() -> None:
    suite = without_goal("cancel_order", "idle")
    with registered(suite):
        row = gate(suite, "idle", [suite.task("idle", "dev", 0)])
    assert any("expert" in failure for failure in row.failures)
