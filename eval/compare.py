"""Whether one policy is better than another on the same tasks, seeds and faults: better, worse, or not shown.

A verdict needs two things: the 95% interval of the paired bootstrap leaves 0 out, and the p-value of the sign-flip
test, adjusted by Holm over the slices of its kind, is below 5%. Tasks are what both of them resample. Whatever is
not shown comes with the difference that these tasks would have shown. See docs/compare.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from faultgym.eval.baselines import missing_baselines
from faultgym.eval.comparison import SLICES, Against, Cell, Change, Comparison, Facts, Settings, Solved, Verdict
from faultgym.eval.metrics import grouped
from faultgym.eval.modes import RULES
from faultgym.eval.noninferior import NonInferiority, noninferior
from faultgym.eval.paired import Interval, bootstrap, detectable, holm, mcnemar, sign_flips
from faultgym.eval.pairing import Pair, paired
from faultgym.eval.runs import Run, read_run
from faultgym.eval.score import Score
from faultgym.eval.statistics import Floats
from faultgym.tools.errors import UserError

__all__ = ["METRICS", "Comparison", "Metric", "Run", "Settings", "Verdict", "clean_noninferior", "compare", "read_run"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that each episode has, or None."""

    name: str
    value: Callable[[Score], float | None]
    higher_is_better: bool = True
    whole: bool = False
    """Whether it is 0 or 1 in every episode."""


def _brier(s: Score) -> float | None:
    return None if s.confidence is None else (s.confidence - float(bool(s.success))) ** 2


METRICS = (
    Metric("success", lambda s: None if s.success is None else float(s.success), whole=True),
    Metric("spl", lambda s: s.spl),
    Metric("recovery", lambda s: None if s.recovery is None else s.recovery.rate),
    Metric("brier", _brier, higher_is_better=False),
)
"""What every slice is compared by. Calibration is the Brier score, which each episode has by itself."""


def compare(base: Run, others: Sequence[Run], settings: Settings | None = None) -> Comparison:
    """Compare each of the others with the base, on the episodes that they share with it.

    Raises UserError when a run cannot be compared with the base (see `paired`), and when two runs have one name.
    """
    settings = settings or Settings()
    names = [base.name, *(run.name for run in others)]
    if len(set(names)) < len(names):
        raise UserError(f"two runs are called the same ({', '.join(names)}): give each a name of its own")
    against = tuple(_against(base, other, settings) for other in others)
    return Comparison(Facts.of(base), against, settings, missing_baselines(base, others))


def _against(base: Run, other: Run, settings: Settings) -> Against:
    pairing = paired(base, other)
    valid = base.valid and other.valid
    changes = list(_changes(pairing.pairs))
    cells = _cells(pairing.pairs, settings)
    return Against(
        Facts.of(other),
        pairing,
        tuple(cells if valid else (replace(cell, verdict=None) for cell in cells)),
        _solved(changes),
        tuple(sorted((c for c in changes if c.other > c.base), key=lambda c: (c.base - c.other, c.task))),
        tuple(sorted((c for c in changes if c.other < c.base), key=lambda c: (c.other - c.base, c.task))),
        _clean(pairing.pairs, settings) if valid else None,
    )


# ---- forgetting -----------------------------------------------------------------------------------


def clean_noninferior(base: Run, tuned: Run, margin: float, alpha: float = 0.05) -> NonInferiority | None:
    """Whether the tuned run succeeds on episodes without faults as often as the base, less at most the margin.

    None when they share no such episodes, or one of them is invalid. Raises UserError as `paired` does.
    """
    if not (base.valid and tuned.valid):
        return None
    return _clean(paired(base, tuned).pairs, Settings(alpha=alpha, clean_margin=margin))


def _clean(pairs: Sequence[Pair], settings: Settings) -> NonInferiority | None:
    clean = list(_changes([pair for pair in pairs if pair.base.score.faults == "clean"]))
    if not clean:
        return None
    base, tuned = {c.task: c.base for c in clean}, {c.task: c.other for c in clean}
    alpha, resamples, seed = settings.alpha, settings.resamples, settings.seed
    return noninferior(base, tuned, settings.clean_margin, alpha=alpha, resamples=resamples, seed=seed)


# ---- task by task ---------------------------------------------------------------------------------


def _changes(pairs: Sequence[Pair]) -> Iterator[Change]:
    """Every task, changed or not, with its rates of success."""
    tasks: dict[str, list[Pair]] = {}
    for pair in pairs:
        tasks.setdefault(pair.task, []).append(pair)
    for task, its in tasks.items():
        first = its[0].base.score
        won = [(bool(pair.base.score.success), bool(pair.other.score.success)) for pair in its]
        yield Change(
            task,
            first.template,
            first.split,
            sum(before for before, _ in won) / len(won),
            sum(after for _, after in won) / len(won),
            tuple(
                (pair.base.score.faults, pair.base.id, pair.other.id, after - before)
                for pair, (before, after) in zip(its, won, strict=True)
                if before != after
            ),
        )


def _solved(tasks: Sequence[Change]) -> Solved:
    outcomes = [(task.base > 0.5, task.other > 0.5) for task in tasks]
    lost, gained = outcomes.count((True, False)), outcomes.count((False, True))
    both, neither = outcomes.count((True, True)), outcomes.count((False, False))
    return Solved(both, lost, gained, neither, mcnemar(gained, lost))


# ---- slice by slice -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    """One metric on one slice, task by task: NaN where no pair of the task has it."""

    metric: Metric
    by: str
    name: str
    base: Floats
    other: Floats
    pairs: int

    @property
    def differences(self) -> Floats:
        """Other - base for each task."""
        return self.other - self.base


def _cells(pairs: Sequence[Pair], settings: Settings) -> list[Cell]:
    columns = [column for column in _columns(pairs, settings) if column.pairs]
    if not columns:
        return []
    matrix = np.stack([column.differences for column in columns], axis=1)
    intervals = bootstrap(matrix, resamples=settings.resamples, alpha=settings.alpha, seed=settings.seed)
    ps = sign_flips(matrix, flips=settings.flips, seed=settings.seed)
    families: dict[tuple[str, str], list[int]] = {}
    for at, column in enumerate(columns):
        families.setdefault((column.metric.name, column.by), []).append(at)
    cells: dict[int, Cell] = {}
    for members in families.values():
        adjusted = holm([ps[at] for at in members])
        for at, p in zip(members, adjusted, strict=True):
            cells[at] = _cell(columns[at], intervals[at], ps[at], p, settings.alpha, len(members))
    return [cells[at] for at in range(len(columns))]


def _cell(column: _Column, interval: Interval, p: float, adjusted: float, alpha: float, slices: int) -> Cell:
    """The cell with its verdict; what it could detect is taken at the strictest of Holm's levels."""
    found = column.differences[~np.isnan(column.differences)]
    spread = float(found.std(ddof=1)) if len(found) > 1 else 0.0
    verdict: Verdict = "not shown"
    if adjusted < alpha and (interval.low > 0 or interval.high < 0):
        verdict = "better" if (interval.low > 0) == column.metric.higher_is_better else "worse"
    return Cell(
        column.metric.name,
        column.by,
        column.name,
        float(np.nanmean(column.base)),
        float(np.nanmean(column.other)),
        interval.low,
        interval.high,
        p,
        adjusted,
        detectable(spread, len(found), alpha / slices, whole=column.metric.whole),
        column.pairs,
        len(found),
        verdict,
    )


def _columns(pairs: Sequence[Pair], settings: Settings) -> Iterator[_Column]:
    rows = {task: row for row, task in enumerate(sorted({pair.task for pair in pairs}))}
    sides = [pair.base.score for pair in pairs], [pair.other.score for pair in pairs]
    for by, name, base, other in _slices(*sides):
        for metric in METRICS:
            yield _column(metric, by, name, base, other, rows)
    present = {mode for side in sides for s in side for mode in s.mode_names}
    for mode in settings.modes if settings.modes is not None else (mode for mode in RULES if mode in present):
        yield _column(_rate_of(mode), "mode", mode, *sides, rows)


def _slices(base: list[Score], other: list[Score]) -> Iterator[tuple[str, str, list[Score], list[Score]]]:
    """(by, name, base, other): both sides in the order of the pairs, which share their tasks and schedules."""
    yield "all", "", base, other
    for by in SLICES:
        left, right = grouped(base, by), grouped(other, by)
        for name, scores in left.items():
            yield by, name, scores, right[name]


def _rate_of(mode: str) -> Metric:
    return Metric("mode", lambda s: float(mode in s.mode_names), higher_is_better=False, whole=True)


def _column(
    metric: Metric, by: str, name: str, base: Sequence[Score], other: Sequence[Score], rows: dict[str, int]
) -> _Column:
    values = np.full((2, len(base)), np.nan)
    for at, (one, two) in enumerate(zip(base, other, strict=True)):
        before, after = metric.value(one), metric.value(two)
        if before is not None and after is not None:
            values[:, at] = before, after
    defined = ~np.isnan(values[0])
    tasks = np.array([rows[s.task] for s in base], dtype=np.intp)[defined]
    counts = np.bincount(tasks, minlength=len(rows)).astype(np.float64)
    counts[counts == 0] = np.nan
    means = [np.bincount(tasks, weights=side[defined], minlength=len(rows)) / counts for side in values]
    return _Column(metric, by, name, means[0], means[1], int(defined.sum()))
