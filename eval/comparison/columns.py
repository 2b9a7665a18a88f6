"""Numbers of paired episodes, task by task: what the statistics of a comparison are taken over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from faultgym.eval.comparison.pairing import Pair
from faultgym.eval.comparison.result import SLICES
from faultgym.eval.modes.registry import MODES
from faultgym.eval.scoring.metrics import grouped, intensity
from faultgym.eval.scoring.record import Metric, Score
from faultgym.eval.scoring.registry import METRICS, value_of
from faultgym.eval.statistics import Floats, area_under, pass_at_k, pass_hat_k

KS = (2, 4, 8)
"""Numbers of trials for pass@k and pass^k."""
DOSE = "dose_auc"
"""Success over the intensities from clean on, as an area: 1 is unshaken."""


@dataclass(frozen=True, slots=True)
class Column:
    """One metric on one slice, task by task: NaN where no pair of the task has it."""

    metric: str
    higher_is_better: bool
    by: str
    name: str
    base: Floats
    other: Floats
    pairs: int

    @property
    def differences(self) -> Floats:
        """Other - base for each task."""
        return self.other - self.base


def columns(pairs: Sequence[Pair], modes: Sequence[str] | None = None) -> Iterator[Column]:
    """The columns that the statistics of a comparison are taken over.

    Args:
        pairs: The paired episodes.
        modes: The failure modes that are wanted; None for all that occur.

    Yields:
        Every metric over all pairs, then by slice; pass@k and pass^k, the area over intensities, and the modes.
    """
    rows = {task: row for row, task in enumerate(sorted({pair.task for pair in pairs}))}
    both = [(pair.base.score, pair.other.score) for pair in pairs]
    sides = [_planned(one, two) for one, two in both], [_planned(two, one) for one, two in both]
    for by, name, base, other in _slices(*sides):
        for metric in METRICS.values():
            yield _column(metric, by, name, base, other, rows)
    yield from _over_trials(pairs, rows)
    yield from _over_doses(pairs, rows)
    present = {mode for side in sides for s in side for mode in s.mode_names}
    for mode in modes if modes is not None else (mode for mode in MODES if mode in present):
        yield _column(_rate_of(mode), "mode", mode, *sides, rows)


def _planned(score: Score, twin: Score) -> Score:
    """The score with what was planned to fail, which one that our side broke, counted as a failure, does not say."""
    return score if score.planned or not twin.planned else replace(score, planned=twin.planned)


def _slices(base: list[Score], other: list[Score]) -> Iterator[tuple[str, str, list[Score], list[Score]]]:
    """(by, name, base, other): both sides in the order of the pairs, which share their tasks and schedules."""
    yield "all", "", base, other
    for by in SLICES:
        left, right = grouped(base, by), grouped(other, by)
        for name, scores in left.items():
            yield by, name, scores, right[name]


def _rate_of(mode: str) -> Metric:
    return Metric(
        name="mode",
        summary="Whether the episode shows the failure mode.",
        higher_is_better=False,
        of_score=lambda score: float(mode in score.mode_names),
        share=True,
    )


def _column(
    metric: Metric, by: str, name: str, base: Sequence[Score], other: Sequence[Score], rows: dict[str, int]
) -> Column:
    values = np.full((2, len(base)), np.nan)
    for at, (one, two) in enumerate(zip(base, other, strict=True)):
        before, after = value_of(metric, one), value_of(metric, two)
        if before is not None and after is not None:
            values[:, at] = before, after
    defined = ~np.isnan(values[0])
    tasks = np.array([rows[s.task] for s in base], dtype=np.intp)[defined]
    counts = np.bincount(tasks, minlength=len(rows)).astype(np.float64)
    counts[counts == 0] = np.nan
    means = [np.bincount(tasks, weights=side[defined], minlength=len(rows)) / counts for side in values]
    return Column(
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        by=by,
        name=name,
        base=means[0],
        other=means[1],
        pairs=int(defined.sum()),
    )


# ---- what a task has, and not an episode --------------------------------------------------------------

_OfTask = tuple[str, float | None, float | None, int]
"""Task, base, other, and the pairs that they stand on."""


def _over_trials(pairs: Sequence[Pair], rows: dict[str, int]) -> Iterator[Column]:
    """pass@k and pass^k of the tasks with at least k trials under the same faults."""
    trials: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        trials.setdefault((pair.task, pair.base.key[1]), []).append(pair)
    for sign, estimator in (("@", pass_at_k), ("^", pass_hat_k)):
        for k in KS:
            found: list[_OfTask] = []
            for (task, _), its in trials.items():
                if len(its) >= k:
                    base, other = (estimator(len(its), sum(won), k) for won in _won(its))
                    found.append((task, base, other, len(its)))
            yield _by_task(f"pass{sign}{k}", found, rows)


def _over_doses(pairs: Sequence[Pair], rows: dict[str, int]) -> Iterator[Column]:
    """The area under success against intensity, of the tasks that met every intensity there is."""
    doses: dict[str, dict[float, list[Pair]]] = {}
    for pair in pairs:
        if (dose := intensity(pair.base.score)) is not None:
            doses.setdefault(pair.task, {}).setdefault(dose, []).append(pair)
    every = {dose for of_task in doses.values() for dose in of_task}
    found: list[_OfTask] = []
    for task, of_task in doses.items():
        if len(every) > 1 and of_task.keys() == every:
            sides = [[(dose, float(np.mean(_won(its)[side]))) for dose, its in of_task.items()] for side in (0, 1)]
            found.append((task, area_under(sides[0]), area_under(sides[1]), sum(map(len, of_task.values()))))
    yield _by_task(DOSE, found, rows)


def _won(pairs: Sequence[Pair]) -> tuple[list[bool], list[bool]]:
    return [bool(p.base.score.success) for p in pairs], [bool(p.other.score.success) for p in pairs]


def _by_task(name: str, found: Sequence[_OfTask], rows: dict[str, int]) -> Column:
    """The column over all pairs of (task, base, other, pairs); several of one task are averaged."""
    sums, counts = np.zeros((2, len(rows))), np.zeros(len(rows))
    for task, base, other, _ in found:
        sums[:, rows[task]] += base or 0.0, other or 0.0
        counts[rows[task]] += 1
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return Column(
        metric=name,
        higher_is_better=True,
        by="all",
        name="",
        base=means[0],
        other=means[1],
        pairs=sum(pairs for *_, pairs in found),
    )
