"""Presets: what they draw, for which sites, and what is kept out of training."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from faultgym.core.errors import PlanError
from faultgym.tools.faults.named import COMPOUNDS, named_plans
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.presets import HELD_OUT_KINDS, PRESETS, TRAIN_KINDS, kinds_for, preset
from faultgym.tools.faults.registry import FAULT_KINDS
from faultgym.tools.faults.types import Contract, Site

GET = Site(
    "http",
    "http",
    "get_thing",
    write=False,
    listing=False,
    successor="get_thing_v2",
    versioned=("things", "thing_id"),
    tables=("things",),
)
LIST = Site("http", "http", "list_things", write=False, listing=True, successor="", versioned=None, tables=("things",))
SET = Site(
    "http",
    "http",
    "set_state",
    write=True,
    listing=False,
    successor="",
    versioned=("things", "thing_id"),
    tables=("things",),
)
SEARCH = Site("search", "search", "", write=False, listing=True, tables=("documents",))
READ = Site("sql", "sql", "read")
SITES = [Site("tool", "http"), GET, Site("tool", "http"), LIST, LIST, SET, Site("tool", "search"), SEARCH, READ]


def drawn(name: str, sites: list[Site] = SITES, *, held_out: bool = False) -> list[FaultPlan]:
    return [preset(name, seed, sites, held_out=held_out) for seed in range(200)]


def names(plans: list[FaultPlan]) -> Counter[str]:
    return Counter(rule.kind for plan in plans for rule in plan.rules)


def test_the_two_sets_of_kinds_are_apart_and_about_a_quarter_is_held_out() -> None:
    assert set(FAULT_KINDS.own) == TRAIN_KINDS | HELD_OUT_KINDS
    assert not TRAIN_KINDS & HELD_OUT_KINDS
    assert 0.2 < len(HELD_OUT_KINDS) / len(FAULT_KINDS) < 0.3


@pytest.mark.parametrize("contract", list(Contract))
def test_every_contract_is_trained_and_held_out_where_it_has_two_kinds(contract: Contract) -> None:
    of_it = {k.name for k in FAULT_KINDS.values() if k.contract is contract}
    assert of_it & TRAIN_KINDS
    assert (of_it & HELD_OUT_KINDS) or len(of_it) < 2


@pytest.mark.parametrize("name", ["mild", "rough", "hostile"])
@pytest.mark.parametrize("held_out", [True, False])
def test_a_preset_draws_from_its_own_kinds_alone(name: str, held_out: bool) -> None:
    found = names(drawn(name, held_out=held_out))
    assert set(found) <= (HELD_OUT_KINDS if held_out else TRAIN_KINDS)
    assert len(found) >= 4


def test_mild_is_one_visible_fault_that_leaves_a_way_past() -> None:
    for plan in drawn("mild"):
        (rule,) = plan.rules
        assert FAULT_KINDS[rule.kind].visible
        assert FAULT_KINDS[rule.kind].contract not in (Contract.REPORT, Contract.VERIFY)


def test_rough_is_up_to_three_faults_at_different_places() -> None:
    plans = drawn("rough")
    assert {len(plan.rules) for plan in plans} == {1, 2, 3}
    for plan in plans:
        places = [rule.route or rule.tool for rule in plan.rules]
        assert len(set(places)) == len(places)


def test_hostile_is_silent_and_compound() -> None:
    for plan in drawn("hostile"):
        contracts = {FAULT_KINDS[rule.kind].contract for rule in plan.rules}
        assert Contract.VERIFY in contracts
        assert len(plan.rules) >= 2


@pytest.mark.parametrize("name", ["mild", "rough"])
def test_each_rule_is_aimed_at_a_site_that_is_visited_often_enough(name: str) -> None:
    for plan in drawn(name):
        for rule in plan.rules:
            fitting = [s for s in SITES if (rule.route in ("", s.route)) and rule.tool in ("", s.tool)]
            fitting = [s for s in fitting if s.channel == FAULT_KINDS[rule.kind].channel]
            assert any(FAULT_KINDS[rule.kind].targets(s) for s in fitting)
            if rule.trigger.how == "nth":
                assert rule.trigger.values[0] <= len(fitting)


def test_clean_has_no_rules_and_outage_is_the_whole_api() -> None:
    assert preset("clean", 1, SITES).rules == ()
    assert [rule.kind for rule in preset("outage", 1, SITES).rules] == ["outage"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_task_that_needs_no_tool_meets_nothing(name: str) -> None:
    assert name == "outage" or all(plan.rules == () for plan in drawn(name, []))


def test_the_only_tool_is_never_removed() -> None:
    assert "tool_removed" not in names(drawn("rough"))
    typed: list[Any] = [Site("tool", "get_thing"), replace(GET, tool="get_thing")]
    assert "tool_removed" in names(drawn("rough", typed))


def test_an_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(PlanError, match="did you mean rough"):
        preset("rouhg", 1, SITES)


def test_kinds_for_a_site_are_those_of_its_channel_that_suit_it() -> None:
    assert {k.channel for k in kinds_for(SEARCH)} == {"search"}
    assert "lost_ack" in {k.name for k in kinds_for(SET)}
    assert "lost_ack" not in {k.name for k in kinds_for(GET)}


@pytest.mark.parametrize("name", sorted(COMPOUNDS))
def test_a_compound_strikes_with_all_of_its_kinds(lab: Any, name: str) -> None:
    at = lab([rule.to_data() for rule in named_plans()[name].rules])
    token = {"client_id": "desk", "client_secret": "secret"}
    for _ in range(4):
        page = at.get("/v1/things", limit=5)
        at.get("/v1/things/THG-101")
        at.post("/v1/things/THG-101/state", {"state": "lent"}, **{"Idempotency-Key": "k"})
        at.post("/v1/token", token)
        at.call("wait", seconds=60)
        assert page
    assert {e.kind for e in at.events} == {rule.kind for rule in named_plans()[name].rules}
