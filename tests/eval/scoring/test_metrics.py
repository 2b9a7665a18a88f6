"""Sums over scores, against values worked out by hand."""

import math

import orjson
import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.eval.efficiency import Efficiency, Waste
from faultgym.eval.modes.evidence import Mode
from faultgym.eval.recovery.outcomes import Delivery, Recovery
from faultgym.eval.scoring.metrics import (
    BY,
    dose_response,
    grouped,
    recovery_summary,
    robustness,
    summarize,
)
from faultgym.eval.scoring.score import Score


def cost(calls=1, optimal=1, success=True, futile=0, writes=0, bad=0):
    efficiency = optimal / max(optimal, calls, 1) if success else None
    return Efficiency(calls, calls + 1, None, 0.0, optimal, efficiency, Waste(0, futile, 0), writes, bad)


def score(task="t", success=True, trial=0, faults="clean", calls=1, **more):
    spent = more.pop("cost", cost(calls, success=success))
    return Score(
        f"{task}-{faults}-{trial}",
        task,
        "orders",
        more.pop("template", "order_status"),
        more.pop("split", "test"),
        more.pop("policy", "expert"),
        faults,
        trial,
        more.pop("answerable", True),
        more.pop("needs_tools", True),
        "final",
        success=success,
        cost=spent,
        spl=(spent.efficiency or 0.0) if success else 0.0,
        **more,
    )


def delivery(outcome="recovered", kind="server_error", contract="RETRY", steps=1, fault=0, **more):
    found = {"recoverable": True, "silent": contract == "VERIFY", "hits": 1, "patient": None, **more}
    return Delivery(fault, kind, contract, "http", 0, 0, outcome=outcome, steps=steps, **{k: found[k] for k in found})


def met(*deliveries, planned=None, **more):
    entries = len({d.fault for d in deliveries})
    pairs = planned or tuple((d.kind, d.contract) for d in deliveries)
    return score(
        faults="rough",
        planned=pairs,
        recovery=Recovery(tuple(deliveries), len(pairs), entries) if entries else None,
        **more,
    )


def broken(n=0):
    return Score(f"b{n}", "t", "orders", "x", "test", "p", "clean", n, True, True, "harness_error", "OSError: gone")


def test_success_is_the_mean_over_tasks_of_the_mean_over_trials():
    scores = [score("a", False, n) for n in range(3)] + [score("a", True, 3), score("b", True)]
    found = summarize(scores).success
    assert found.value == pytest.approx((0.25 + 1.0) / 2)
    assert (found.episodes, found.tasks) == (5, 2)


def test_spl_weighs_success_by_path_length():
    scores = [score("a", calls=4), score("b", calls=1), score("c", success=False)]
    assert summarize(scores).spl.value == pytest.approx((0.25 + 1 + 0) / 3)


def test_efficiency_stands_on_successes_only():
    found = summarize([score("a", calls=4), score("b", success=False)]).efficiency
    assert (found.value, found.episodes) == (0.25, 1)


def test_harness_errors_are_counted_and_left_out():
    found = summarize([score("a"), broken()])
    assert (found.episodes, found.harness_errors, found.success.value) == (1, 1, 1.0)


@pytest.mark.parametrize(("errors", "valid"), [(0, True), (1, True), (2, False)])
def test_more_than_one_percent_of_harness_errors_make_a_run_invalid(errors, valid):
    scores = [score(str(n)) for n in range(100 - errors)] + [broken(n) for n in range(errors)]
    assert summarize(scores).valid is valid


def test_no_scores_give_nothing_and_not_zero():
    found = summarize([])
    assert (found.success.value, found.recovery.rate.value, found.recovery.exposure) == (None, None, None)
    assert (found.calibration, found.main_mode, found.valid) == (None, "", True)


trials = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=24)


@settings(deadline=None, max_examples=examples(50))
@given(trials)
def test_pass_k_is_undefined_beyond_the_trials_and_monotone_below(drawn):
    scores = [score(task, won, n) for n, (task, won) in enumerate(drawn)]
    found = summarize(scores, ks=(1, 2, 4))
    assert found.pass_at[1].value == pytest.approx(found.success.value)
    assert found.pass_hat[1].value == pytest.approx(found.success.value)
    most = max(sum(s.task == t for s in scores) for t in "abc")
    for k in (2, 4):
        assert (found.pass_at[k].value is None) == (most < k)
    if all(sum(s.task == t for s in scores) in (0, 4, 5, 6, 7, 8) for t in "abc"):
        assert found.pass_at[1].value <= found.pass_at[2].value + 1e-12
        assert found.pass_hat[1].value >= found.pass_hat[2].value - 1e-12


def test_trials_under_different_plans_are_not_trials_of_one_thing():
    scores = [score("a", won, n, plan=plan, faults="mine") for plan, won in (("1", True), ("2", False)) for n in (0, 1)]
    found = summarize(scores, ks=(2, 4))
    assert found.pass_at[2].value == found.pass_hat[2].value == 0.5
    assert found.pass_at[4].value is None


@settings(deadline=None, max_examples=examples(50))
@given(trials, st.randoms(use_true_random=False))
def test_the_order_of_scores_changes_nothing(drawn, random):
    scores = [score(task, won, n) for n, (task, won) in enumerate(drawn)]
    shuffled = list(scores)
    random.shuffle(shuffled)
    one, two = summarize(scores), summarize(shuffled)
    assert one.success.value == pytest.approx(two.success.value)
    assert one.modes == two.modes


# ---- recovery -------------------------------------------------------------------------------------


def test_the_recovery_rate_leaves_out_what_was_unneeded_or_had_no_way_past():
    scores = [
        met(delivery(), delivery("abandoned", fault=1), delivery("unneeded", fault=2), task="a"),
        met(delivery("reported", "outage", "REPORT", recoverable=False), task="b"),
    ]
    found = summarize(scores).recovery
    assert (found.rate.value, found.rate.episodes) == (0.5, 1)
    assert found.outcomes == {"abandoned": 1, "recovered": 1, "reported": 1, "unneeded": 1}
    assert (found.deliveries, found.counted) == (4, 2)


def test_exposure_is_delivered_over_planned():
    planned = (("server_error", "RETRY"), ("gone", "REROUTE"))
    found = summarize([met(delivery(), planned=planned, task="a"), met(planned=planned, task="b")]).recovery
    assert (found.delivered, found.planned, found.exposure) == (1, 4, 0.25)


def test_the_median_of_steps_counts_who_never_recovered():
    quick = [met(delivery(steps=1), task=str(n)) for n in range(2)]
    slow = [met(delivery("abandoned", steps=9), task=f"s{n}") for n in range(3)]
    assert recovery_summary(quick).median_steps == 1
    assert recovery_summary(quick + slow).median_steps is None


def test_patience_stands_on_back_offs_only():
    scores = [
        met(delivery(contract="BACKOFF", patient=True), delivery(contract="BACKOFF", patient=False, fault=1), task="a"),
        met(delivery(), task="b"),
    ]
    found = summarize(scores).recovery.patience
    assert (found.value, found.episodes) == (0.5, 2)


def test_silent_faults_are_measured_on_both_sides():
    silent = {"kind": "stale_value", "contract": "VERIFY"}
    scores = [
        met(delivery(**silent), task="a"),
        met(delivery("abandoned", **silent), task="b"),
        met(delivery("unneeded", **silent), task="c"),
        score("a", cross_checked=True),
        score("b", cross_checked=False),
        score("c", cross_checked=False),
        score("other", cross_checked=True),
    ]
    found = summarize(scores).recovery
    assert (found.detected.value, found.detected.episodes) == (0.5, 2)
    assert found.false_alarms.value == pytest.approx(1 / 3)


# ---- restraint and confidence -----------------------------------------------------------------------


def test_needless_and_missed_calls():
    none, some = cost(calls=0), cost(calls=2)
    scores = [
        score("a", cost=some, needs_tools=False),
        score("b", cost=none, needs_tools=False),
        score("c", cost=none),
        score("d", cost=some),
        score("e", cost=some),
    ]
    found = summarize(scores).restraint
    assert found.needless_calls.value == 0.5
    assert found.missed_calls.value == pytest.approx(1 / 3)


def test_abstentions_by_hand():
    scores = [
        score("a", answerable=False, abstained=True, reported=True),
        score("b", answerable=False, abstained=False, success=False),
        score("c", abstained=True, success=False),
        score("d", abstained=True, reported=True),
    ]
    found = summarize(scores).restraint
    assert found.abstention_precision == pytest.approx(2 / 3)
    assert found.abstention_recall == 0.5


def test_calibration_stands_on_stated_confidences_only():
    found = summarize([score("a", confidence=0.9), score("b", success=False, confidence=0.4), score("c")]).calibration
    assert (found.episodes, found.auroc) == (2, 1.0)
    assert found.brier == pytest.approx((0.01 + 0.16) / 2)


def test_integrity_and_retry_waste_are_none_where_there_is_nothing_to_share_out():
    scores = [score("a", cost=cost(calls=4, futile=1, writes=2, bad=1)), score("b", cost=cost(calls=0))]
    found = summarize(scores)
    assert (found.integrity.value, found.integrity.episodes) == (0.5, 1)
    assert (found.retry_waste.value, found.retry_waste.episodes) == (0.25, 1)


def test_the_main_mode_is_the_most_frequent():
    loop, stop = Mode("loop", 1, 1, "x", "y"), Mode("premature_stop", 1, None, "x", "y")
    scores = [score("a", modes=(loop, stop)), score("b", modes=(stop,)), score("c")]
    found = summarize(scores)
    assert (found.main_mode, found.modes) == ("premature_stop", {"premature_stop": 2, "loop": 1})


# ---- slices ---------------------------------------------------------------------------------------


def test_by_kind_an_episode_counts_for_what_was_planned_and_recovers_from_what_was_met():
    planned = (("server_error", "RETRY"), ("gone", "REROUTE"))
    scores = [
        met(delivery(), delivery("repeated", "gone", "REROUTE", fault=1), task="a"),
        met(delivery(), planned=planned, task="b"),
        score("c"),
    ]
    groups = grouped(scores, "kind")
    assert {name: len(part) for name, part in groups.items()} == {"gone": 2, "server_error": 2}
    gone = summarize(groups["gone"]).recovery
    assert (gone.rate.value, gone.planned, gone.delivered) == (0.0, 2, 1)
    assert summarize(groups["server_error"]).recovery.rate.value == 1.0
    assert list(grouped(scores, "contract")) == ["REROUTE", "RETRY"]


def test_intensities_come_in_their_order():
    scores = [score(faults=f) for f in ("outage", "hostile", "clean", "rough", "mild", "my plan")]
    assert list(grouped(scores, "intensity")) == ["clean", "mild", "rough", "hostile", "my plan", "outage"]


@pytest.mark.parametrize("by", [b for b in BY if b not in ("kind", "contract")])
def test_every_score_stands_in_one_group(by):
    scores = [score("a"), score("b", faults="rough", policy="null", template="x", split="dev")]
    assert sum(map(len, grouped(scores, by).values())) == 2


def test_an_unknown_grouping_is_refused():
    with pytest.raises(ValueError, match="not by 'colour'"):
        grouped([], "colour")


# ---- faulted against clean --------------------------------------------------------------------------


def test_robustness_pairs_by_task_and_trial():
    scores = [
        score("a", True, 0),
        score("a", True, 0, faults="rough"),
        score("b", True, 0),
        score("b", False, 0, faults="rough"),
        score("c", False, 0, faults="rough"),
        score("d", True, 1),
        score("d", False, 2, faults="rough"),
    ]
    found = robustness(scores)
    assert (found.ratio, found.pairs, found.tasks) == (0.5, 2, 2)
    # leaving out a gives 0, leaving out b gives 1: sqrt(1/2 * (0.25 + 0.25))
    assert found.error == pytest.approx(math.sqrt(0.25))


def test_robustness_is_undefined_without_a_clean_success():
    assert robustness([score("a", False), score("a", False, faults="rough")]).ratio is None
    assert robustness([score("a", faults="rough")]).pairs == 0


def test_dose_response_by_intensity():
    doses = (("clean", True), ("mild", True), ("hostile", False), ("outage", False))
    found = dose_response(score(f, won, faults=f) for f, won in doses)
    assert [(dose, at.value) for dose, at in found.points] == [(0, 1.0), (1, 1.0), (3, 0.0)]
    assert found.auc == pytest.approx((1 + 1) / 3)


def test_a_summary_is_json():
    record = summarize([met(delivery(), confidence=0.5, task="a"), score("b", confidence=0.7)]).to_record()
    assert orjson.loads(orjson.dumps(record))["recovery"]["rate"]["value"] == 1.0
