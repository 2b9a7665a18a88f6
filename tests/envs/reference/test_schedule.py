"""From a plan to the schedule of one task: what a rule may be aimed at."""

import pytest

from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.core.errors import PlanError
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.tools.faults.plan import FaultPlan, listed

TASK = task_by_id("orders/order_status/dev/0")


def plan(**rule):
    return FaultPlan.from_rules([{"kind": "timeout", "trigger": {"nth": 1}}, {"trigger": {"nth": 1}, **rule}], "mine")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            {"kind": "reset", "route": "cancel_ordr"},
            r"mine, rule 2 \(reset\): the suite orders has no route 'cancel_ordr'; did you mean cancel_order",
        ),
        ({"kind": "reset", "route": "zzz"}, "no route 'zzz'; there are .*get_order"),
        ({"kind": "tool_removed", "tool": "serch"}, r"no tool 'serch'; did you mean search\?"),
    ],
)
def test_a_rule_for_what_the_suite_lacks_is_refused_with_the_nearest(rule, message):
    with pytest.raises(PlanError, match=message):
        schedule_for(TASK, plan(**rule))


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "reset", "route": "issue_token"},
        {"kind": "busy", "route": "read"},
        {"kind": "reset", "tool": "cancel_order"},
        {"kind": "no_hits", "tool": "search"},
    ],
)
def test_a_rule_for_what_the_suite_has_is_taken_whatever_this_task_offers(rule):
    assert schedule_for(TASK, plan(**rule))[1].kind == rule["kind"]


def test_a_schedule_as_version_0_1_listed_it_differs_in_what_goes_on_alone():
    (fault,) = schedule_for(TASK, FaultPlan.from_rules([{"kind": "reset", "trigger": {"every": 9}}]))
    (old,) = listed((fault,))
    assert old.ordinals == fault.ordinals == (9, 18, 27, 36, 45, 54, 63)
    assert (fault.due(72), old.due(72)) == (True, False)


def test_a_rollout_is_refused_before_its_first_episode():
    request = RolloutRequest(suites=("orders",), faults=(plan(kind="reset", route="cancel_ordr"),))
    with pytest.raises(PlanError, match="did you mean cancel_order"):
        RolloutPlan.make(request)
