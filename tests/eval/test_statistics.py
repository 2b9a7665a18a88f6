"""Each statistic against a value worked out by hand, or the law it must obey."""

import math
from itertools import combinations

import numpy as np
import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.eval.statistics import (
    area_under,
    auroc,
    calibration,
    clustered,
    clustered_share,
    effective_size,
    expected_calibration_error,
    kaplan_meier,
    median_survival,
    pass_at_k,
    pass_hat_k,
    risk_coverage,
    wilson,
)

quick = settings(deadline=None, max_examples=examples(60))
trials = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@quick
@given(trials)
def test_one_trial_passes_at_the_success_rate(counts):
    n, c = counts
    assert pass_at_k(n, c, 1) == pytest.approx(c / n)
    assert pass_hat_k(n, c, 1) == pytest.approx(c / n)


@quick
@given(trials)
def test_more_tries_help_one_and_hurt_all(counts):
    n, c = counts
    at = [pass_at_k(n, c, k) for k in range(1, n + 1)]
    hat = [pass_hat_k(n, c, k) for k in range(1, n + 1)]
    assert at == sorted(at)
    assert hat == sorted(hat, reverse=True)


@quick
@given(trials, st.integers(1, 4))
def test_pass_k_counts_the_subsets(counts, k):
    n, c = counts
    if n < k:
        assert pass_at_k(n, c, k) is None
        assert pass_hat_k(n, c, k) is None
        return
    subsets = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(np.mean([any(s) for s in subsets]))
    assert pass_hat_k(n, c, k) == pytest.approx(np.mean([all(s) for s in subsets]))


def test_a_rate_is_the_mean_over_tasks_of_the_mean_over_trials():
    found = clustered([("a", 1), ("a", 0), ("a", 0), ("a", 0), ("b", 1), ("c", None)])
    assert found.value == pytest.approx((0.25 + 1) / 2)
    assert found.error == pytest.approx(math.sqrt((0.375**2 * 2) / 1 / 2))
    assert (found.episodes, found.tasks) == (5, 2)


def test_nothing_defined_gives_no_rate():
    assert clustered([("a", None)]).value is None
    assert clustered([("a", 1.0)]).error is None


@quick
@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_with_one_trial_each_the_error_is_the_textbook_one(values):
    found = clustered([(str(i), v) for i, v in enumerate(values)])
    assert found.error == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)), abs=1e-9)


def test_kaplan_meier_by_hand():
    # 1 leaves at 1 of 5; one censored at 2; at 3 one of 3; one censored at 4; the last at 5.
    curve = kaplan_meier([1, 2, 3, 4, 5], [True, False, True, False, True])
    assert curve == [(1, pytest.approx(0.8)), (3, pytest.approx(0.8 * 2 / 3)), (5, 0)]
    assert median_survival([1, 2, 3, 4, 5], [True, False, True, False, True]) == 5


@quick
@given(st.lists(st.integers(0, 9), min_size=1, max_size=15))
def test_without_censoring_the_median_is_the_lower_sample_median(durations):
    found = median_survival(durations, [True] * len(durations))
    assert found == sorted(durations)[math.ceil(len(durations) / 2) - 1]


def test_the_median_is_undefined_when_most_never_recover():
    assert median_survival([1, 9, 9], [True, False, False]) is None


def test_the_area_under_a_constant_is_the_constant():
    assert area_under([(0, 0.7), (3, 0.7), (1, 0.7)]) == pytest.approx(0.7)
    assert area_under([(0, 1), (1, 0)]) == pytest.approx(0.5)
    assert area_under([(1, 1)]) is None


def test_calibration_by_hand():
    found = calibration([0.9, 0.9, 0.6, 0.2], [True, False, True, False], bins=2)
    assert found.brier == pytest.approx((0.01 + 0.81 + 0.16 + 0.04) / 4)
    # bins {0.2, 0.6} and {0.9, 0.9}: |0.8 - 1| and |1.8 - 1|
    assert found.ece == pytest.approx((0.2 + 0.8) / 4)
    assert found.bins == 2
    # pairs (success, failure): 0.9-0.9 tie, 0.9-0.2 right, 0.6-0.9 wrong, 0.6-0.2 right
    assert found.auroc == pytest.approx(2.5 / 4)
    assert found.risk_coverage == ((0.5, 0.5), (0.75, pytest.approx(1 / 3)), (1.0, 0.5))
    assert found.aurc == pytest.approx(0.5 * 0.5 + 0.25 / 3 + 0.25 * 0.5)


def test_no_stated_confidence_is_no_calibration():
    assert calibration([], []) is None


def test_equal_confidences_share_a_bin():
    error, bins = expected_calibration_error(np.full(20, 0.5), np.array([0.0, 1.0] * 10))
    assert (error, bins) == (0.0, 1)


stated = st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.8, 1.0]), st.booleans()), min_size=2, max_size=25)


@quick
@given(stated)
def test_auroc_counts_the_pairs(pairs):
    right, wrong = [c for c, ok in pairs if ok], [c for c, ok in pairs if not ok]
    found = auroc(np.array([c for c, _ in pairs]), np.array([float(ok) for _, ok in pairs]))
    if not right or not wrong:
        assert found is None
        return
    wins = [1.0 if r > w else 0.5 if r == w else 0.0 for r in right for w in wrong]
    assert found == pytest.approx(np.mean(wins))


@quick
@given(stated)
def test_full_coverage_has_the_failure_rate_as_its_risk(pairs):
    curve = risk_coverage(np.array([c for c, _ in pairs]), np.array([float(ok) for _, ok in pairs]))
    assert curve[-1] == (1.0, pytest.approx(1 - np.mean([ok for _, ok in pairs])))


@quick
@given(stated, st.integers(1, 12))
def test_the_order_of_episodes_does_not_change_the_calibration_error(pairs, bins):
    back = pairs[::-1]
    one = calibration([c for c, _ in pairs], [ok for _, ok in pairs], bins)
    two = calibration([c for c, _ in back], [ok for _, ok in back], bins)
    assert one.ece == pytest.approx(two.ece)
    assert one.bins == two.bins


# ---- intervals of proportions -------------------------------------------------------------------------


def test_where_all_succeed_the_interval_still_has_a_width():
    found = clustered_share([(str(n), True) for n in range(88)])
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(88 / (88 + 1.959964**2), abs=1e-6)


def test_where_none_succeeds_the_interval_still_has_a_width():
    found = clustered_share([(str(n), False) for n in range(88)])
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1.959964**2 / (88 + 1.959964**2), abs=1e-6)


@quick
@given(st.lists(st.booleans(), min_size=2, max_size=40))
def test_one_trial_a_task_makes_the_plain_wilson_interval(outcomes):
    found = clustered_share([(str(n), won) for n, won in enumerate(outcomes)])
    assert (found.low, found.high) == pytest.approx(wilson(np.mean(outcomes), len(outcomes)))


def test_trials_that_all_agree_with_their_task_count_once_a_task():
    outcomes = [True, True, False, True, False]
    once = clustered_share([(str(n), won) for n, won in enumerate(outcomes)])
    often = clustered_share([(str(n), won) for n, won in enumerate(outcomes) for _ in range(20)])
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


@quick
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), min_size=1, max_size=60))
def test_the_effective_size_is_between_tasks_and_episodes_and_the_interval_holds_the_share(drawn):
    found = clustered_share(drawn)
    if found.tasks < 2:
        assert (found.low, found.high) == (None, None)
        return
    groups = [[won for name, won in drawn if name == task] for task in {name for name, _ in drawn}]
    size = effective_size([np.mean(g) for g in groups], len(drawn))
    assert found.tasks - 1e-9 <= size <= found.episodes + 1e-9
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_quantity_that_is_no_proportion_has_no_interval():
    found = clustered([("a", 3.0), ("b", 5.0)])
    assert (found.low, found.high) == (None, None)
