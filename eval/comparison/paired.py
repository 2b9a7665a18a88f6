"""The statistics of paired comparisons; numpy only.

Everything here is about one matrix: a row for each task, a column for each quantity, and in it the mean over the
task's paired episodes of (other - base), NaN where no pair has the quantity. Tasks are what is resampled and what is
flipped: episodes of one task are not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from faultgym.eval.statistics import Floats

RESAMPLES = 2_000
"""Bootstrap samples behind an interval."""
FLIPS = 9_999
"""Random sign flips behind a p-value: the smallest that can come out is 1 / (FLIPS + 1)."""
POWER = 0.8
"""Chance of showing the smallest detectable effect."""
_CHUNK = 500
"""Resamples or flips that are held at a time."""
_TIE = 1e-9
"""Sums this close are the same: they are added up in different orders."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean difference with its bootstrap interval."""

    low: float
    high: float


def bootstrap(differences: Floats, *, resamples: int = RESAMPLES, alpha: float = 0.05, seed: int = 0) -> list[Interval]:
    """The percentile interval of each column's mean, tasks resampled with replacement (Efron 1979).

    All columns see the same resamples, so that they can be set against each other. A column is averaged over those of
    its tasks that a resample holds; resamples that hold none of them say nothing about it.

    Args:
        differences: Other - base, shape (tasks, columns), NaN where a task has no value.
        resamples: How many samples are drawn.
        alpha: One less the confidence.
        seed: Of the resampling.

    Returns:
        One interval for each column; NaN at both ends where a column is all NaN.
    """
    defined = ~np.isnan(differences)
    values, present = np.where(defined, differences, 0.0), defined.astype(np.float64)
    tasks = len(differences)
    generator = np.random.default_rng(seed)
    means = np.full((resamples, differences.shape[1]), np.nan)
    for start in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - start)
        weights = generator.multinomial(tasks, np.full(tasks, 1 / tasks), size=count).astype(np.float64)
        total = weights @ present
        np.divide(weights @ values, total, out=means[start : start + count], where=total > 0)
    return [_interval(column[~np.isnan(column)], alpha) for column in means.T]


def _interval(means: Floats, alpha: float) -> Interval:
    if not len(means):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(means, (alpha / 2, 1 - alpha / 2))
    return Interval(float(low), float(high))


def sign_flips(differences: Floats, *, flips: int = FLIPS, seed: int = 0) -> list[float]:
    """The two-sided p-value of each column: how often swapping base and other at random, task by task, is as extreme.

    Exact when the two are alike (Fisher 1935): whatever the distribution, p <= alpha comes out in at most alpha of all
    cases. With one episode a task and outcomes of 0 and 1 the test is McNemar's exact one, but for the drawing.

    Args:
        differences: Other - base, shape (tasks, columns), NaN where a task has no value.
        flips: How many swaps are drawn; no p-value is below 1 / (flips + 1).
        seed: Of the drawing.
    """
    values = np.nan_to_num(differences, nan=0.0)
    seen = np.abs(values.sum(0)) - _TIE
    generator = np.random.default_rng(seed)
    extreme = np.zeros(values.shape[1], dtype=np.int64)
    for start in range(0, flips, _CHUNK):
        count = min(_CHUNK, flips - start)
        signs = generator.integers(0, 2, size=(count, len(values))).astype(np.float64) * 2 - 1
        extreme += (np.abs(signs @ values) >= seen).sum(0)
    return [float(p) for p in (extreme + 1) / (flips + 1)]


def mcnemar(gained: int, lost: int) -> float:
    """The exact two-sided p-value for tasks that only one of two policies solves (McNemar 1947): a sign test.

    Args:
        gained: Tasks that only the other policy solves.
        lost: Tasks that only the base solves.

    Example:
        >>> mcnemar(gained=5, lost=0)
        0.0625
    """
    n, tail, ways = gained + lost, 0, 1
    for k in range(min(gained, lost) + 1):
        tail += ways
        ways = ways * (n - k) // (k + 1)
    return float(min(1.0, 2 * tail / (1 << n)))


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values adjusted for being several (Holm 1979), in the same order.

    Example:
        >>> holm([0.01, 0.04])
        [0.02, 0.04]
    """
    adjusted = [0.0] * len(ps)
    worst = 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[at]))
        adjusted[at] = worst
    return adjusted


def fewest_tasks(alpha: float) -> int:
    """How many tasks must differ, all in one direction, before a sign test can show anything at `alpha`.

    Example:
        >>> fewest_tasks(0.05)
        6
    """
    return math.ceil(math.log2(2 / alpha) - _TIE)


def detectable(spread: float, tasks: int, alpha: float, *, step: float = 0.0, flips: int = FLIPS) -> float | None:
    """The smallest true difference that these many tasks would show with a chance of `POWER`.

    Args:
        spread: The standard deviation of the differences between tasks.
        tasks: How many tasks there are.
        alpha: The level that a p-value has to fall below.
        step: The smallest amount by which a task changes if it changes at all: so many tasks have to change that
            `fewest_tasks` of them are seen to.
        flips: Random sign flips behind a p-value.

    Returns:
        The difference; None when there are too few tasks to show any, or too few flips for a p-value below `alpha`.
    """
    needed = fewest_tasks(alpha)
    if tasks < needed or alpha * (flips + 1) <= 1:
        return None
    normal = NormalDist()
    effect = (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(POWER)) * spread / math.sqrt(tasks)
    return max(effect, step * most_likely_share(needed - 1, tasks, 1 - POWER))


def most_likely_share(count: int, n: int, alpha: float) -> float:
    """The upper bound of a share of which `count` of `n` were seen (Clopper, Pearson 1934).

    Args:
        count: How many were seen.
        n: Out of how many.
        alpha: One less the confidence of the bound.
    """
    if count >= n:
        return 1.0
    low, high = count / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(count, n, middle) > alpha else (low, middle)
    return high


def _at_most(count: int, n: int, share: float) -> float:
    """P(X <= count) of a binomial variable."""
    if not 0 < share < 1:
        return float(share <= 0)
    log, other = math.log(share), math.log1p(-share)
    whole = math.lgamma(n + 1)
    return math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log + (n - k) * other)
        for k in range(count + 1)
    )
