"""The statistics of paired comparisons, against closed forms, scipy, and laws."""

import math
import time

import numpy as np
import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from faultgym.core.errors import UserError
from faultgym.eval.comparison.noninferior import noninferior
from faultgym.eval.comparison.paired import (
    bootstrap,
    detectable,
    fewest_tasks,
    holm,
    mcnemar,
    most_likely_share,
    sign_flips,
)

counts = st.integers(0, 60)


@given(counts, counts)
def test_mcnemar_is_the_binomial_test_of_the_discordant_tasks(gained, lost):
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected)


def test_mcnemar_by_hand():
    assert mcnemar(5, 0) == 2 / 32  # one of two corners of 2^5 equally likely outcomes
    assert mcnemar(1, 6) == 2 * (1 + 7) / 128


def test_mcnemar_of_thousands_of_tasks_is_a_number():
    assert 0 < mcnemar(3000, 2000) < 1e-40


def test_holm_by_hand():
    # sorted .01 .02 .03 .04 times 4 3 2 1 is .04 .06 .06 .04, and never less than the one before
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(ps):
    adjusted = holm(ps)
    assert all(a >= p for a, p in zip(adjusted, ps, strict=True))
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_the_detectable_effect_is_the_usual_formula():
    expected = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 0.5 / math.sqrt(100)
    assert detectable(0.5, 100, 0.05) == pytest.approx(expected)


def test_a_detectable_effect_is_found_four_times_in_five():
    generator = np.random.default_rng(3)
    effect = detectable(0.6, 80, 0.05)
    drawn = generator.normal(effect, 0.6, size=(80, 400))
    found = np.mean([p < 0.05 for p in sign_flips(drawn, flips=999)])
    assert 0.74 < found < 0.86


def test_below_six_tasks_no_difference_can_be_shown():
    assert fewest_tasks(0.05) == 6
    assert mcnemar(5, 0) > 0.05 > mcnemar(6, 0)
    assert detectable(0.1, 5, 0.05) is None


def test_so_small_a_share_is_detectable_that_enough_tasks_change_four_times_in_five():
    share = detectable(0.0, 40, 0.05, step=1.0)
    assert stats.binom.sf(fewest_tasks(0.05) - 1, 40, share) == pytest.approx(0.8)
    assert detectable(0.0, 40, 0.05, step=0.125) == pytest.approx(share / 8)


def test_an_alpha_below_what_so_many_flips_can_come_to_detects_nothing():
    assert sign_flips(np.ones((200, 1)), flips=999)[0] == 1 / 1000
    assert detectable(0.1, 200, 0.001, flips=999) is None
    assert detectable(0.1, 200, 0.0011, flips=999) is not None


columns = st.integers(2, 12).flatmap(
    lambda n: st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0, math.nan]), min_size=n, max_size=n)
)


@settings(deadline=None, max_examples=examples(40))
@given(columns)
def test_turning_the_differences_round_mirrors_the_interval_and_keeps_the_p_value(drawn):
    column = np.array(drawn)[:, None]
    one, two = bootstrap(column, resamples=200)[0], bootstrap(-column, resamples=200)[0]
    if np.isnan(column).all():
        assert math.isnan(one.low)
        assert math.isnan(two.high)
    else:
        assert (one.low, one.high) == (pytest.approx(-two.high), pytest.approx(-two.low))
    assert sign_flips(column, flips=200) == sign_flips(-column, flips=200)


def test_sign_flips_come_to_mcnemars_p_value():
    for gained, lost in ((9, 1), (12, 4), (3, 2)):
        column = np.array([1.0] * gained + [-1.0] * lost + [0.0] * 30)[:, None]
        assert sign_flips(column)[0] == pytest.approx(mcnemar(gained, lost), abs=0.01)


def test_the_bootstrap_comes_to_the_normal_interval_with_many_tasks():
    values = np.random.default_rng(0).normal(0.3, 1.0, size=(900, 1))
    found = bootstrap(values)[0]
    error = float(values.std(ddof=1)) / 30
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.01)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.01)


def test_tasks_without_the_quantity_change_nothing_about_its_mean():
    values = np.array([0.2, 0.4, 0.6] * 20)
    alone = bootstrap(values[:, None])[0]
    among = bootstrap(np.concatenate([values, np.full(60, np.nan)])[:, None])[0]
    assert (among.low, among.high) == (pytest.approx(alone.low, abs=0.02), pytest.approx(alone.high, abs=0.02))


def test_five_thousand_tasks_and_hundreds_of_slices_take_seconds():
    values = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], size=(5000, 100))
    begun = time.process_time()
    bootstrap(values)
    assert time.process_time() - begun < 20


# ---- non-inferiority --------------------------------------------------------------------------------


@given(st.integers(0, 30), st.integers(1, 300))
def test_the_bound_of_a_share_is_clopper_and_pearsons(count, more):
    n = count + more
    expected = stats.beta.ppf(0.95, count + 1, n - count)
    assert most_likely_share(count, n, 0.05) == pytest.approx(expected, abs=1e-6)


def sides(same, lost=0, gained=0):
    before = [1.0] * (same + lost) + [0.0] * gained
    after = [1.0] * same + [0.0] * lost + [1.0] * gained
    return [{f"t{n}": value for n, value in enumerate(side)} for side in (before, after)]


def test_a_handful_of_tasks_without_a_loss_does_not_prove_that_nothing_is_lost():
    assert not noninferior(*sides(20), 0.05).holds
    assert noninferior(*sides(59), 0.05).holds  # 0.95 ** 59 < 0.05, and 0.95 ** 58 > 0.05
    assert not noninferior(*sides(58), 0.05).holds


def test_a_loss_of_more_than_the_margin_is_not_let_through():
    found = noninferior(*sides(180, lost=20), 0.05)
    assert (found.change, found.holds) == (pytest.approx(-0.1), False)
    assert found.worst > 0.1


def test_gains_are_set_against_losses():
    assert noninferior(*sides(380, lost=2, gained=40), 0.02).holds
    assert noninferior(*sides(380, lost=2, gained=40), 0.02).worst < 0


@pytest.mark.parametrize("gained", [1, 2, 3])
def test_a_few_gains_of_a_few_tasks_prove_nothing(gained):
    assert not noninferior(*sides(0, gained=gained), 0.05).holds


def test_a_small_loss_never_leaves_less_possible_than_none():
    before = {str(n): 1.0 for n in range(12)}
    none = noninferior(before, before, 0.05)
    some = noninferior(before, {**before, "0": 0.875}, 0.05)
    assert none.worst <= some.worst


def test_what_is_no_number_is_refused():
    before = {str(n): 1.0 for n in range(60)}
    with pytest.raises(UserError, match="tuned policy's value of '7' is no finite number"):
        noninferior(before, {**before, "7": math.nan}, 0.02, lower_is_better=True)


def test_a_policy_that_loses_exactly_the_margin_passes_in_about_alpha_of_all_cases():
    generator = np.random.default_rng(5)
    passed = 0
    for _ in range(300):
        after = (generator.random(150) > 0.1).astype(float)
        before = {str(n): 1.0 for n in range(150)}
        passed += noninferior(before, {str(n): after[n] for n in range(150)}, 0.1, resamples=200).holds
    assert passed / 300 < 0.09


def test_log_losses_are_better_when_they_are_lower():
    before = {str(n): 1.0 + n / 100 for n in range(40)}
    after = {unit: value + 0.01 for unit, value in before.items()}
    found = noninferior(before, after, 0.02, lower_is_better=True)
    assert (found.worst, found.holds) == (pytest.approx(0.01), True)
    assert noninferior(after, before, 0.02, lower_is_better=True).worst == pytest.approx(-0.01)
    assert not noninferior(before, after, 0.005, lower_is_better=True).holds


def test_different_units_and_margins_without_a_loss_are_refused():
    with pytest.raises(UserError, match="only on one side, such as 'b'"):
        noninferior({"a": 1.0}, {"a": 1.0, "b": 1.0}, 0.05)
    with pytest.raises(UserError, match="there are none"):
        noninferior({}, {}, 0.05)
    with pytest.raises(UserError, match="above 0, not 0"):
        noninferior({"a": 1.0}, {"a": 1.0}, 0.0)
