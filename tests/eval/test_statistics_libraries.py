"""Each statistic that a library has too, against that library's. What is drawn at random is not compared."""

import gc
import math

import numpy as np
import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import CensoredData, binomtest, ecdf
from sklearn.metrics import brier_score_loss, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as library_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from faultgym.eval.comparison.paired import holm, mcnemar, most_likely_share
from faultgym.eval.statistics import auroc, calibration, kaplan_meier, wilson

quick = settings(deadline=None, max_examples=examples(60))
counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
stated = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8, 1.0]), st.booleans()), min_size=2, max_size=40)


@quick
@given(counts, st.sampled_from([0.01, 0.05, 0.2]))
def test_wilson_is_that_of_statsmodels(found, alpha):
    count, n = found
    assert wilson(count / n, n, alpha) == pytest.approx(proportion_confint(count, n, alpha, "wilson"), abs=1e-9)


@quick
@given(counts, st.sampled_from([0.01, 0.05, 0.2]))
def test_the_most_likely_share_is_the_upper_bound_of_clopper_and_pearson(found, alpha):
    count, n = found
    bound = binomtest(count, n, alternative="less").proportion_ci(1 - alpha, "exact").high
    assert most_likely_share(count, n, alpha) == pytest.approx(bound, abs=1e-7)


@quick
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_that_of_statsmodels(gained, lost):
    table = [[5, lost], [gained, 9]]
    expected = library_mcnemar(table, exact=True).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected, abs=1e-9)


@pytest.fixture(scope="module")
def small_heap():
    """Garbage is looked for among new objects alone: `multipletests` has all of the heap searched at each call."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("small_heap")
@quick
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_that_of_statsmodels(ps):
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1], abs=1e-12)


@quick
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=40))
def test_kaplan_meier_is_that_of_scipy(drawn):
    durations, observed = [d for d, _ in drawn], [seen for _, seen in drawn]
    curve = kaplan_meier(durations, observed)
    if not any(observed):
        assert curve == []
        return
    library = ecdf(CensoredData.right_censored(durations, [not seen for seen in observed])).sf
    expected = dict(zip(library.quantiles, library.probabilities, strict=True))
    assert [at for at, _ in curve] == sorted({d for d, seen in drawn if seen})
    assert [share for _, share in curve] == pytest.approx([expected[at] for at, _ in curve], abs=1e-12)


@quick
@given(stated)
def test_brier_and_auroc_are_those_of_scikit_learn(pairs):
    confidences, outcomes = [c for c, _ in pairs], [ok for _, ok in pairs]
    found = calibration(confidences, outcomes)
    assert found.brier == pytest.approx(brier_score_loss(outcomes, confidences, pos_label=True))
    area = auroc(np.array(confidences), np.array(outcomes, dtype=float))
    if len(set(outcomes)) < 2:
        assert area is None
    else:
        assert area == pytest.approx(roc_auc_score(outcomes, confidences))


def test_wilson_gives_the_interval_that_newcombe_published():
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3: 81/263, 15/148, 0/20, 1/29
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (count, n), (low, high) in published.items():
        assert wilson(count / n, n) == pytest.approx((low, high), abs=6e-5)
    assert not any(math.isnan(end) for end in wilson(1.0, 1))
