"""What a policy practises next follows from what it was seen to do, and keeps success near the target."""

import math
from dataclasses import replace

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.core.hashing import hash_to_unit
from faultgym.envs.limits import Limits
from faultgym.envs.registry import task_by_id
from faultgym.eval.scoring.score import score
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.presets import HELD_OUT_KINDS
from faultgym.training.loop.curriculum import (
    PracticeCell,
    SuccessCounts,
    episodes_of,
    estimates,
    preset_cells,
    seen_in,
    shares,
)
from faultgym.training.loop.rollouts import plan_print, seen_of, seen_record

PRESETS = ("clean", "mild", "rough", "hostile")
CELLS = preset_cells(["orders"], ["order_status", "cancel_order", "basket_sum"], PRESETS, "train")
NOTHING = SuccessCounts({}, {})
LIMITS = Limits(turns=20)


def given_of(parts):
    return {part.cell: part.episodes for part in parts}


def expected_of(parts):
    return sum(part.expected * part.episodes for part in parts) / sum(part.episodes for part in parts)


def test_the_first_round_divides_its_episodes_evenly():
    assert set(given_of(shares(CELLS, NOTHING, 120)).values()) == {10}
    assert sum(given_of(shares(CELLS, NOTHING, 100)).values()) == 100


def simulated(skill, rounds=4, episodes=400):
    """Success in each round of a policy that succeeds with odds of its skill against the setting's difficulty."""
    seen, rates = NOTHING, []
    for number in range(rounds):
        counts, won = {}, 0
        for part in shares(CELLS, seen, episodes):
            odds = skill - 1.5 * PRESETS.index(part.cell.setting) - 0.5 * len(part.cell.template) / 6
            chance = 1 / (1 + math.exp(-odds))
            good = sum(hash_to_unit(number, part.cell, n) < chance for n in range(part.episodes))
            counts[part.cell] = (part.episodes, good)
            won += good
        rates.append(won / episodes)
        seen = SuccessCounts(counts, {})
    return rates


@pytest.mark.parametrize("skill", [2.0, 3.0, 4.0, 5.0])
def test_success_comes_near_one_half_whatever_the_skill(skill):
    first, *later = simulated(skill)
    assert all(abs(rate - 0.5) < 0.12 for rate in later[1:]), (first, later)


@pytest.mark.parametrize(("skill", "setting"), [(8.0, "hostile"), (-2.0, "clean")])
def test_what_goes_too_well_becomes_harder_and_what_goes_too_badly_easier(skill, setting):
    counts = {}
    for cell in CELLS:
        chance = 1 / (1 + math.exp(-(skill - 1.5 * PRESETS.index(cell.setting))))
        counts[cell] = (100, round(100 * chance))
    parts = shares(CELLS, SuccessCounts(counts, {}), 400)
    sums = {preset: sum(p.episodes for p in parts if p.cell.setting == preset) for preset in PRESETS}
    assert max(sums, key=lambda preset: sums[preset]) == setting
    assert sums[setting] > 200


@st.composite
def seens(draw):
    counts = {}
    for cell in CELLS:
        n = draw(st.integers(0, 30))
        if n:
            counts[cell] = (n, draw(st.integers(0, n)))
    return SuccessCounts(counts, {})


@settings(max_examples=examples(60), deadline=None)
@given(seens(), st.integers(100, 500), st.floats(0.2, 0.8))
def test_all_episodes_are_given_out_and_nothing_falls_out_of_sight(seen, episodes, target):
    parts = shares(CELLS, seen, episodes, target)
    assert sum(p.episodes for p in parts) == episodes
    for group in ({p.cell.template for p in parts}, {p.cell.setting for p in parts}):
        assert group in ({c.template for c in CELLS}, set(PRESETS))
    assert shares(list(reversed(CELLS)), seen, episodes, target) == parts


@settings(max_examples=examples(60), deadline=None)
@given(seens())
def test_estimates_are_never_certain_and_follow_what_was_seen(seen):
    found = estimates(CELLS, seen)
    assert all(0 < p < 1 for p in found.values())
    for cell, (n, k) in seen.counts.items():
        more = SuccessCounts({**seen.counts, cell: (n + 50, k + 50)}, {})
        assert estimates(CELLS, more)[cell] > found[cell]


def test_the_target_is_met_where_it_can_be():
    counts = {cell: (200, [190, 120, 60, 10][PRESETS.index(cell.setting)]) for cell in CELLS}
    for target in (0.3, 0.5, 0.7):
        assert abs(expected_of(shares(CELLS, SuccessCounts(counts, {}), 1000, target)) - target) < 0.05


# ---- single kinds, from real traces ---------------------------------------------------------------


@pytest.fixture(scope="module")
def played():
    """Real traces of the careless policy under presets, with their scores."""
    from helpers.forked import trace_of

    from faultgym.agents.registry import policy_named

    policy = policy_named("repeater")
    specs = [EpisodeSpec(f"orders/{name}/train/{n}") for name in ("order_status", "cancel_order") for n in range(8)]
    traces = [trace_of(policy, spec.task, "rough", n, LIMITS) for n, spec in enumerate(specs)]
    return traces, [score(trace) for trace in traces]


def test_kinds_that_were_met_become_cells_of_their_own(played):
    traces, scores = played
    seen = seen_in(scores, traces)
    assert seen.plans
    assert seen_of(seen_record(seen)) == seen
    for cell, plan in seen.plans.items():
        (rule,) = plan.rules
        assert cell.setting == plan.name
        assert rule.kind not in HELD_OUT_KINDS
        met = [s for s in scores if s.template == cell.template and s.recovery is not None]
        assert any(d.kind == rule.kind for s in met for d in s.recovery.deliveries)
    parts = shares(CELLS, seen, 200)
    single = sum(p.episodes for p in parts if p.cell in seen.plans)
    assert 40 < single < 160


def test_a_plan_of_one_kind_strikes_other_tasks_of_its_template(played):
    from helpers.forked import trace_of

    from faultgym.agents.registry import policy_named

    traces, scores = played
    seen = seen_in(scores, traces)
    parts = [p for p in shares(CELLS, seen, 200) if p.cell in seen.plans]
    specs = episodes_of(parts, seen.plans, "train", 0, 2, None)
    typed = episodes_of(parts, seen.plans, "train", 0, 2, None, "typed")
    assert typed == [replace(spec, answers="typed") for spec in specs]
    assert len({plan_print(asked) for asked in (typed, [replace(spec, answers="text") for spec in specs])}) == 2
    assert all(isinstance(spec.faults, FaultPlan) for spec in specs)
    met = [trace_of(policy_named("expert"), s.task, s.faults, s.fault_seed, LIMITS) for s in specs[::8]]
    assert sum(bool(trace.events) for trace in met) > 0.8 * len(met)


def test_what_a_newer_record_counted_takes_the_place_of_the_older_counts():
    one, two = CELLS[:2]
    old, new = SuccessCounts({one: (4, 1), two: (4, 2)}, {}), SuccessCounts({two: (8, 8)}, {})
    assert seen_of(seen_record(old), seen_record(new)).counts == {one: (4, 1), two: (8, 8)}


def test_each_round_has_tasks_of_its_own_and_settings_share_them():
    parts = shares(CELLS, NOTHING, 60)
    rounds = [episodes_of(parts, {}, "train", 0, number, "http") for number in (1, 2)]
    first, second = ({spec.task for spec in specs} for specs in rounds)
    assert not first & second
    assert len(first) * len(PRESETS) == len(rounds[0])
    assert {task_by_id(task).style for task in first} == {"http"}
    assert rounds[0] == episodes_of(parts, {}, "train", 0, 1, "http")


def test_a_cell_has_one_name():
    assert PracticeCell("orders", "order_status", "rough").name == "orders/order_status/rough"
