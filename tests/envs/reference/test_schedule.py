"""From a plan to the schedule of one task: what a rule may be aimed at."""

from dataclasses import replace

import pytest

from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.core.errors import PlanError
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.tools.faults.plan import FaultPlan, same_plan

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
    own = schedule_for(TASK, FaultPlan.from_rules([{"kind": "reset", "trigger": {"every": 9}}]))
    old = tuple(replace(f, params={n: v for n, v in f.params.items() if n != "every"}) for f in own)
    assert old[0].ordinals == own[0].ordinals == (9, 18, 27, 36, 45, 54, 63)
    assert (own[0].due(72), old[0].due(72)) == (True, False)
    assert same_plan(old, own)
    assert not same_plan((replace(old[0], ordinals=(9,)),), own)


def test_a_schedule_of_an_earlier_revision_of_a_kind_is_what_its_plan_gave():
    own = schedule_for(TASK, FaultPlan.from_rules([{"kind": "server_error", "trigger": {"nth": 1}}]))
    old = tuple(replace(f, params={"salt": f.params["salt"]}) for f in own)
    assert (own[0].revision, old[0].revision) == (2, 1)
    assert same_plan(old, own)
    assert not same_plan(tuple(replace(f, params={**f.params, "salt": 0}) for f in old), own)


def test_a_rollout_is_refused_before_its_first_episode():
    request = RolloutRequest(suites=("orders",), faults=(plan(kind="reset", route="cancel_ordr"),))
    with pytest.raises(PlanError, match="did you mean cancel_order"):
        RolloutPlan.make(request)
