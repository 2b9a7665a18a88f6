"""Fault plans: their JSON form, what is refused and how, and their compilation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.core.errors import PlanError
from faultgym.tools.faults.named import load_plan, named_plans
from faultgym.tools.faults.plan import FaultPlan, compile_plan
from faultgym.tools.faults.registry import FAULT_KINDS
from faultgym.tools.faults.types import ScheduledFault

ordinals = st.integers(1, 50)
triggers = st.one_of(
    ordinals.map(lambda n: {"nth": n}),
    st.lists(ordinals, min_size=1, max_size=4).map(lambda n: {"nth": n}),
    *[ordinals.map(lambda n, how=how: {how: n}) for how in ("first", "every", "from")],
    st.tuples(ordinals, ordinals).map(lambda pair: {"calls": sorted(pair)}),
    st.floats(0, 1e6).map(lambda a: {"seconds": [a, a + 1.5]}),
    st.floats(0.01, 1).map(lambda p: {"probability": p}),
)
data = st.fixed_dictionaries(
    {"kind": st.sampled_from(sorted(FAULT_KINDS)), "trigger": triggers},
    optional={
        "tool": st.sampled_from(["http", "sql"]),
        "match": st.dictionaries(st.text(max_size=5), st.text(max_size=200)),
    },
)
plans = st.lists(data, max_size=6).map(lambda rules: FaultPlan.from_rules(rules, "a plan"))


@settings(deadline=None, max_examples=examples(100))
@given(plan=plans)
def test_a_plan_written_and_read_again_is_equal(plan: FaultPlan) -> None:
    assert FaultPlan.from_json(plan.to_json()) == plan
    assert FaultPlan.from_json(plan.to_json()).to_json() == plan.to_json()


@settings(deadline=None, max_examples=examples(100))
@given(plan=plans, seed=st.integers(0, 2**63))
def test_compiling_again_without_the_cache_gives_the_same(plan: FaultPlan, seed: int) -> None:
    assert compile_plan(plan, seed) == compile_plan.__wrapped__(plan, seed)


@settings(deadline=None, max_examples=examples(50))
@given(plan=plans, seed=st.integers(0, 99))
def test_the_order_of_rules_changes_no_choice(plan: FaultPlan, seed: int) -> None:
    def content(schedule: Any) -> list[str]:
        return sorted(repr((f.kind, f.ordinals, f.onward, f.seconds, dict(f.params))) for f in schedule)

    turned = FaultPlan(plan.name, plan.rules[::-1])
    assert content(compile_plan(plan, seed)) == content(compile_plan(turned, seed))


def test_an_empty_plan_compiles_to_an_empty_schedule() -> None:
    assert compile_plan(FaultPlan(), 7) == ()
    assert compile_plan(load_plan("clean"), 7) == ()


@pytest.mark.parametrize(
    ("trigger", "ordinals", "onward", "seconds"),
    [
        ({"nth": 3}, (3,), 0, None),
        ({"nth": [4, 2, 4]}, (2, 4), 0, None),
        ({"first": 3}, (1, 2, 3), 0, None),
        ({"every": 25}, (25, 50), 0, None),
        ({"from": 2}, (), 2, None),
        ({"calls": [2, 4]}, (2, 3, 4), 0, None),
        ({"seconds": [1, 2.5]}, (), 1, (1.0, 2.5)),
        ({"probability": 1}, tuple(range(1, 65)), 0, None),
    ],
)
def test_a_trigger_compiles_to_what_it_says(trigger: Any, ordinals: Any, onward: int, seconds: Any) -> None:
    (fault,) = compile_plan(FaultPlan.from_rules([{"kind": "reset", "trigger": trigger}]), 0)
    assert (fault.ordinals, fault.onward, fault.seconds) == (ordinals, onward, seconds)


def test_a_probability_is_about_its_share_of_calls_and_differs_by_seed() -> None:
    plan = FaultPlan.from_rules([{"kind": "reset", "trigger": {"probability": 0.25}}])
    drawn = {}
    for seed in range(8):
        (fault,) = compile_plan(plan, seed)
        drawn[seed] = tuple(n for n in range(1, 401) if fault.due(n))
    assert all(60 < len(ordinals) < 140 for ordinals in drawn.values())
    assert len(set(drawn.values())) == 8


@pytest.mark.parametrize("trigger", [{"every": 7}, {"probability": 0.25}])
def test_every_and_probability_go_on_without_end(trigger: Any) -> None:
    (fault,) = compile_plan(FaultPlan.from_rules([{"kind": "reset", "trigger": trigger}]), 1)
    for first in (1, 65, 1001, 100_001):
        assert 5 <= sum(fault.due(n) for n in range(first, first + 64)) <= 28


def test_a_schedule_written_before_rules_went_on_still_ends_with_its_list() -> None:
    fault = ScheduledFault(0, "reset", ordinals=(3, 6), params={"salt": 1})
    assert [n for n in range(1, 400) if fault.due(n)] == [3, 6]


def test_equal_plans_compile_alike_whichever_was_first() -> None:
    whole, broken = (
        FaultPlan.from_rules([{"kind": "rate_limited", "trigger": {"nth": 1}, "params": {"retry_after": number}}])
        for number in (30, 30.0)
    )
    assert whole == broken
    assert repr(whole) == repr(broken)
    assert compile_plan.__wrapped__(whole, 3) == compile_plan.__wrapped__(broken, 3)
    assert whole.to_json() == broken.to_json()


def test_schedules_stay_as_version_0_1_drew_them() -> None:
    rules = [
        {"kind": "reset", "route": "get_order", "trigger": {"nth": [2, 4]}},
        {"kind": "rate_limited", "trigger": {"first": 1}, "params": {"retry_after": 45}},
        {"kind": "timeout", "trigger": {"probability": 0.25}},
        {"kind": "outage", "trigger": {"seconds": [10, 20.5]}},
        {"kind": "lost_ack", "tool": "http", "match": {"path": "x"}, "trigger": {"from": 1, "after_write": True}},
        {"kind": "bad_gateway", "trigger": {"every": 30}},
    ]
    schedule = compile_plan(FaultPlan.from_rules(rules), 7)
    salts = [514223173, 2041163126, 753376835, 1018093337, 1408635586]
    assert [fault.params["salt"] for fault in schedule[:5]] == salts
    assert schedule[2].ordinals == (2, 4, 5, 13, 23, 24, 26, 27, 28, 36, 40, 41, 45, 46, 49, 57)
    assert schedule[5].ordinals == (30, 60)


def test_two_equal_rules_draw_apart() -> None:
    rule = {"kind": "reset", "trigger": {"probability": 0.5}}
    one, two = compile_plan(FaultPlan.from_rules([rule, rule]), 0)
    assert one.ordinals != two.ordinals


RULE = '{"kind": "reset", "trigger": {"nth": 1}}'


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('{"kind": "resett", "trigger": {"nth": 1}}', "there is no fault kind 'resett'; did you mean reset"),
        ('{"kind": "reset"}', "trigger: field required"),
        ('{"kind": "reset", "trigger": {}}', "exactly one of nth, first"),
        ('{"kind": "reset", "trigger": {"nth": 1, "first": 2}}', "this has nth, first"),
        ('{"kind": "reset", "trigger": {"nth": 0}}', "greater than or equal to 1"),
        ('{"kind": "reset", "trigger": {"nht": 1}}', "there is no field 'trigger.nht'; did you mean nth"),
        ('{"kind": "reset", "trigger": {"calls": [5, 2]}}', "the last is before the first"),
        ('{"kind": "reset", "trigger": {"seconds": [5, 5]}}', "that is empty"),
        ('{"kind": "reset", "trigger": {"probability": 2}}', "less than or equal to 1"),
        ('{"kind": "reset", "rout": "x", "trigger": {"nth": 1}}', "there is no field 'rout'; did you mean route"),
        ('{"kind": "reset", "channel": "sql", "trigger": {"nth": 1}}', "is of the channel http, not sql"),
        ('{"kind": "no_hits", "route": "x", "trigger": {"nth": 1}}', "has no routes: aim by tool"),
        ('{"kind": "busy", "route": "x", "trigger": {"nth": 1}}', "are read and write, not 'x'"),
        ('{"kind": "busy", "params": {"second": 1}, "trigger": {"nth": 1}}', "no parameter 'second'; it has: seconds"),
        ('{"kind": "busy", "params": {"seconds": "1"}, "trigger": {"nth": 1}}', "'seconds' of busy cannot be '1'"),
        ('{"kind": "busy", "params": {"seconds": 0}, "trigger": {"nth": 1}}', "must be above 0"),
        ("7", "valid dictionary"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_line_and_the_reason(tmp_path: Path, rule: str, message: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(f'{{"version": 1,\n "rules": [\n  {RULE},\n\n  {rule}\n]}}')
    with pytest.raises(PlanError) as caught:
        load_plan(str(file))
    assert str(caught.value).startswith("plan.json line 5, rule 2: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1,\n "rules": [}', "line 2: not valid JSON"),
        ('{"version": 2, "rules": []}', "version"),
        ("[]", "dictionary"),
        ('{"version": 1, "rule": []}', "there is no field 'rule'; did you mean rules"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=r"^plan\.json") as caught:
        FaultPlan.from_json(text, "plan.json")
    assert message in str(caught.value)


def test_an_unknown_plan_is_refused_with_the_nearest_names(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="did you mean burst"):
        load_plan("brust")
    with pytest.raises(PlanError, match="cannot read the plan"):
        load_plan(str(tmp_path / "none.json"))


@pytest.mark.parametrize("name", sorted(named_plans()))
def test_a_named_plan_loads_by_name_and_from_its_own_text(name: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(load_plan(name).to_json())
    assert load_plan(str(file)) == load_plan(name) == named_plans()[name]
