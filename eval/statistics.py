"""The statistics that the scores are summed up with; numpy only, and each one undefined (None) where it is.

Episodes of one task are not independent of each other, so every rate is a mean over tasks of the mean over
a task's trials, and its standard error is taken between tasks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from faultgym.core.json import JSON

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, and what it stands on."""

    value: float | None = None
    """None when no episode has the quantity."""
    error: float | None = None
    """Standard error, clustered by task; None below two tasks."""
    episodes: int = 0
    """Episodes for which the quantity is defined."""
    tasks: int = 0
    """Tasks that they belong to."""
    low: float | None = None
    """Lower end of the 95% interval of a proportion; None for other quantities, and below two tasks."""
    high: float | None = None
    """Its upper end."""

    def to_record(self) -> JSON:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def clustered(values: Iterable[tuple[str, float | bool | None]]) -> Estimate:
    """The mean over tasks of the mean over a task's trials, with its standard error between tasks.

    Args:
        values: (task, value) pairs; values of None leave the mean.

    Example:
        >>> clustered([("a", True), ("a", False), ("b", True), ("b", None)]).value
        0.75
    """
    return _estimate(*_task_means(values))


def clustered_share(values: Iterable[tuple[str, float | bool | None]]) -> Estimate:
    """`clustered` for a proportion: with its Wilson interval, whose size is the effective one (`effective_size`).

    Args:
        values: (task, value) pairs, the values within [0, 1].

    Example:
        >>> found = clustered_share((f"task {n}", True) for n in range(88))
        >>> percent(found)
        '100% [96, 100]'
    """
    means, episodes = _task_means(values)
    found = _estimate(means, episodes)
    if found.value is None or len(means) < 2:
        return found
    low, high = wilson(found.value, effective_size(means, episodes))
    return replace(found, low=low, high=high)


def percent(found: Estimate) -> str:
    """A proportion for people, with its interval: `88% [80, 93]`; `-` where it is undefined."""
    if found.value is None:
        return "-"
    interval = "" if found.low is None or found.high is None else f" [{found.low * 100:.0f}, {found.high * 100:.0f}]"
    return f"{found.value:.0%}{interval}"


def _task_means(values: Iterable[tuple[str, float | bool | None]]) -> tuple[list[float], int]:
    """(the mean of each task, episodes with a value)."""
    groups: dict[str, list[float]] = {}
    for task, value in values:
        if value is not None:
            groups.setdefault(task, []).append(float(value))
    return [math.fsum(group) / len(group) for group in groups.values()], sum(map(len, groups.values()))


def _estimate(means: Sequence[float], episodes: int) -> Estimate:
    if not means:
        return Estimate()
    mean = math.fsum(means) / len(means)
    error = None
    if len(means) > 1:
        spread = math.fsum((m - mean) ** 2 for m in means) / (len(means) - 1)
        error = math.sqrt(spread / len(means))
    return Estimate(value=mean, error=error, episodes=episodes, tasks=len(means))


def effective_size(means: Sequence[float], episodes: int) -> float:
    """How many independent episodes a proportion over these tasks is worth: between the tasks and the episodes.

    The size is p(1 - p) over the variance that the mean has between tasks, and never more than the episodes (Korn and
    Graubard 1998). Where every task says the same, all or none, nothing is known of how alike trials of a task are:
    each task counts once.

    Args:
        means: The proportion of each task; at least one.
        episodes: How many episodes the proportions stand on.

    Example:
        >>> effective_size([1.0, 1.0], episodes=8), effective_size([0.5, 0.5], episodes=8)
        (2.0, 8.0)
    """
    tasks = len(means)
    share = math.fsum(means) / tasks
    if not 0 < share < 1:
        return float(tasks)
    variance = math.fsum((m - share) ** 2 for m in means) / tasks**2
    size = share * (1 - share) / variance if variance else math.inf
    return min(float(episodes), max(float(tasks), size))


def wilson(share: float, size: float, alpha: float = 0.05) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927), which has a width at 0 and 1 too.

    Args:
        share: The proportion that was seen.
        size: Observations that it stands on, above 0; those of clustered ones are `effective_size`.
        alpha: One less the confidence.

    Returns:
        The lower and the upper end, within [0, 1].

    Example:
        >>> [round(end, 3) for end in wilson(1.0, 10)]
        [0.722, 1.0]
    """
    z = NormalDist().inv_cdf(1 - alpha / 2)
    scale = 1 + z * z / size
    centre = (share + z * z / (2 * size)) / scale
    reach = z / scale * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    low = 0.0 if share <= 0 else max(0.0, centre - reach)
    return low, 1.0 if share >= 1 else min(1.0, centre + reach)


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """Unbiased estimate of the chance that at least one of `k` trials succeeds (Chen et al. 2021, arXiv 2107.03374).

    Args:
        n: Trials of the task.
        c: How many of them succeeded.
        k: How many trials are drawn.

    Returns:
        The estimate; None when n < k.

    Example:
        >>> pass_at_k(4, 1, 2)
        0.5
    """
    none = pass_hat_k(n, n - c, k)
    return None if none is None else 1.0 - none


def pass_hat_k(n: int, c: int, k: int) -> float | None:
    """Probability that all of `k` trials succeed: pass^k (Yao et al. 2024, arXiv 2406.12045).

    Args:
        n: Trials of the task.
        c: How many of them succeeded.
        k: How many trials are drawn.

    Returns:
        The estimate; None when n < k.

    Example:
        >>> pass_hat_k(4, 2, 2) == 1 / 6
        True
    """
    if n < k:
        return None
    return math.comb(c, k) / math.comb(n, k)


def kaplan_meier(durations: Sequence[float], observed: Sequence[bool]) -> list[tuple[float, float]]:
    """The survival curve (Kaplan and Meier 1958). Censored durations leave after the events of their own time.

    Args:
        durations: How long each was seen to last.
        observed: For each, whether its event was seen; False where the duration is only a lower bound (censored).

    Returns:
        (time, probability of lasting longer) at each time with an event, by rising time.

    Example:
        >>> kaplan_meier([1, 2, 2, 4], [True, True, False, True])
        [(1, 0.75), (2, 0.5), (4, 0.0)]
    """
    curve = []
    survival = 1.0
    for time in sorted({d for d, seen in zip(durations, observed, strict=True) if seen}):
        at_risk = sum(d >= time for d in durations)
        events = sum(d == time and seen for d, seen in zip(durations, observed, strict=True))
        survival *= 1.0 - events / at_risk
        curve.append((time, survival))
    return curve


def median_survival(durations: Sequence[float], observed: Sequence[bool]) -> float | None:
    """The first time by which at least half have had their event; None when the curve stays above a half.

    Args:
        durations: How long each was seen to last.
        observed: For each, whether its event was seen.
    """
    for time, survival in kaplan_meier(durations, observed):
        if survival <= 0.5 + 1e-12:
            return time
    return None


def area_under(points: Sequence[tuple[float, float]]) -> float | None:
    """The trapezoid area under a curve over the width of x, so that a constant y gives y.

    Args:
        points: (x, y) pairs, in any order.

    Returns:
        The area; None with fewer than two different x.

    Example:
        >>> area_under([(0, 1.0), (1, 0.5), (3, 0.5)]) == 1.75 / 3
        True
    """
    ordered = sorted(points)
    if not ordered or ordered[0][0] == ordered[-1][0]:
        return None
    area = math.fsum((right[0] - left[0]) * (left[1] + right[1]) / 2 for left, right in itertools.pairwise(ordered))
    return area / (ordered[-1][0] - ordered[0][0])


# ---- stated confidence ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far a stated confidence can be believed."""

    episodes: int
    """Episodes with a stated confidence."""
    brier: float
    """Mean squared distance of confidence and outcome: 0 is perfect, 0.25 is what always saying 0.5 gets."""
    ece: float
    """Expected calibration error over bins of equal mass."""
    bins: int
    """Bins that the ECE was taken over: equal confidences are never split."""
    auroc: float | None
    """Probability that a success was stated with more confidence than a failure; None with one class only."""
    aurc: float
    """Area under the risk-coverage curve: the mean risk over all coverages."""
    risk_coverage: tuple[tuple[float, float], ...]
    """(coverage, share of failures) when only the most confident answers are kept."""

    def to_record(self) -> JSON:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def calibration(confidences: Sequence[float], outcomes: Sequence[bool], bins: int = 10) -> Calibration | None:
    """All measures of a stated confidence at once.

    Args:
        confidences: The stated probabilities of success, in [0, 1].
        outcomes: For each, whether the episode succeeded.
        bins: Bins of the calibration error, fewer where equal confidences fill several.

    Returns:
        The measures; None when no confidence was stated.

    Example:
        >>> found = calibration([0.9, 0.8, 0.1], [True, True, False])
        >>> round(found.brier, 3), found.auroc
        (0.02, 1.0)
    """
    if not confidences:
        return None
    stated = np.asarray(confidences, dtype=np.float64)
    right = np.asarray(outcomes, dtype=np.float64)
    error, used = expected_calibration_error(stated, right, bins)
    curve = risk_coverage(stated, right)
    return Calibration(
        episodes=len(stated),
        brier=float(np.mean((stated - right) ** 2)),
        ece=error,
        bins=used,
        auroc=auroc(stated, right),
        aurc=_mean_risk(curve),
        risk_coverage=tuple(curve),
    )


def expected_calibration_error(stated: Floats, right: Floats, bins: int = 10) -> tuple[float, int]:
    """The expected calibration error over bins of equal mass, moved so that equal confidences stay together.

    Nixon et al. 2019 (arXiv 1904.01685) say why equal mass and not equal width.

    Args:
        stated: The confidences, shape (n,), n at least 1.
        right: The outcomes as 0 and 1, shape (n,).
        bins: The largest number of bins.

    Returns:
        The error, and the number of bins used.
    """
    order = np.argsort(stated, kind="stable")
    stated, right = stated[order], right[order]
    total, used, start = 0.0, 0, 0
    for part in np.array_split(np.arange(len(stated)), min(bins, len(stated))):
        end = int(part[-1]) + 1
        while end < len(stated) and stated[end] == stated[end - 1]:
            end += 1
        if end > start:
            total += abs(float(stated[start:end].sum() - right[start:end].sum()))
            used += 1
            start = end
    return total / len(stated), used


def auroc(stated: Floats, right: Floats) -> float | None:
    """The area under the ROC curve by rank sums, ties counting half; None with one class only.

    Args:
        stated: The confidences, shape (n,).
        right: The outcomes as 0 and 1, shape (n,).
    """
    positive = int(right.sum())
    negative = len(right) - positive
    if not positive or not negative:
        return None
    _, inverse, counts = np.unique(stated, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    above = float(ranks[right > 0].sum()) - positive * (positive + 1) / 2
    return above / (positive * negative)


def risk_coverage(stated: Floats, right: Floats) -> list[tuple[float, float]]:
    """The share of failures when only the most confident episodes are kept.

    Args:
        stated: The confidences, shape (n,).
        right: The outcomes as 0 and 1, shape (n,).

    Returns:
        (coverage, risk) at each distinct confidence, from the most confident down.
    """
    curve: list[tuple[float, float]] = []
    for threshold in np.unique(stated)[::-1]:
        kept = stated >= threshold
        curve.append((float(kept.mean()), float(1.0 - right[kept].mean())))
    return curve


def _mean_risk(curve: Sequence[tuple[float, float]]) -> float:
    area, before = 0.0, 0.0
    for coverage, risk in curve:
        area += (coverage - before) * risk
        before = coverage
    return area


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`, or None over nothing."""
    return part / whole if whole else None


def plain(value: Any) -> Any:
    """A value as JSON: containers, and what has a `to_record`, are converted; anything else is returned as it is."""
    if hasattr(value, "to_record"):
        return value.to_record()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value
