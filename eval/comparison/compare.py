"""Whether one policy is better than another on the same tasks, seeds and faults: better, worse, or not shown.

A verdict needs two things: the 95% interval of the paired bootstrap leaves 0 out, and the p-value of the sign-flip
test, adjusted by Holm over the slices of its kind, is below 5%. Tasks are what both of them resample. Whatever is
not shown comes with the difference that these tasks would have shown. See docs/compare.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from faultgym.core.errors import UserError
from faultgym.eval.comparison.baselines import missing_baselines
from faultgym.eval.comparison.columns import Column, columns
from faultgym.eval.comparison.noninferior import NonInferiority, noninferior
from faultgym.eval.comparison.paired import Interval, bootstrap, detectable, holm, mcnemar, sign_flips
from faultgym.eval.comparison.pairing import Pair, paired
from faultgym.eval.comparison.result import (
    Comparison,
    ComparisonCell,
    ComparisonVerdict,
    Exposure,
    McNemarTable,
    RunComparison,
    RunSummary,
    Settings,
    TaskChange,
)
from faultgym.eval.scoring.runs import Run, read_run
from faultgym.eval.statistics import Floats

__all__ = ["Comparison", "ComparisonVerdict", "Run", "Settings", "clean_noninferior", "compare", "read_run"]


def compare(base: Run, others: Sequence[Run], settings: Settings | None = None) -> Comparison:
    """Compare each of the others with the base, on the episodes that they share with it.

    Args:
        base: The run that the others are held against.
        others: Each under a name of its own.
        settings: How sure a verdict has to be, and what is drawn; the defaults are those of `Settings`.

    Raises:
        UserError: A run cannot be compared with the base (see `paired`), or two runs have one name.

    Example:
        >>> from faultgym.agents.registry import policy_named
        >>> from faultgym.agents.rollouts.play import run_episode
        >>> from faultgym.agents.traces.spec import EpisodeSpec
        >>> from faultgym.agents.traces.trace import Trace
        >>> from faultgym.envs.registry import task_by_id
        >>> task, runs = task_by_id("orders/order_status/train/0"), []
        >>> for name in ("expert", "echo"):
        ...     episode = run_episode(policy_named(name), task)
        ...     runs.append(Run.of(name, [Trace.from_episode(episode, EpisodeSpec(task.id), {"name": name})]))
        >>> cell = compare(runs[0], runs[1:], Settings(flips=999)).against[0].cell("success")
        >>> cell.difference, cell.verdict
        (-1.0, 'not shown')
    """
    settings = settings or Settings()
    names = [base.name, *(run.name for run in others)]
    if len(set(names)) < len(names):
        raise UserError(f"two runs are called the same ({', '.join(names)}): give each a name of its own")
    against = tuple(_against(base, other, settings) for other in others)
    return Comparison(
        base=RunSummary.of(base), against=against, settings=settings, missing=missing_baselines(base, others)
    )


def _against(base: Run, other: Run, settings: Settings) -> RunComparison:
    pairing = paired(base, other)
    valid = base.valid and other.valid
    changes = list(_changes(pairing.pairs))
    cells = _cells(pairing.pairs, settings)
    return RunComparison(
        run=RunSummary.of(other),
        pairing=pairing,
        cells=tuple(cells if valid else (replace(cell, verdict=None) for cell in cells)),
        solved=_solved(changes),
        gained=tuple(sorted((c for c in changes if c.other > c.base), key=lambda c: (c.base - c.other, c.task))),
        lost=tuple(sorted((c for c in changes if c.other < c.base), key=lambda c: (c.other - c.base, c.task))),
        clean=_clean(pairing.pairs, settings) if valid else None,
        exposure=Exposure.of(pairing.pairs),
    )


# ---- forgetting -----------------------------------------------------------------------------------


def clean_noninferior(base: Run, tuned: Run, margin: float, alpha: float = 0.05) -> NonInferiority | None:
    """Whether the tuned run succeeds on episodes without faults as often as the base, less at most the margin.

    Args:
        base: The run before training.
        tuned: The run after it.
        margin: The loss of success that would be accepted, as a share.
        alpha: One less the confidence of the one-sided bound.

    Returns:
        The answer; None when the runs share no such episodes, or a run is invalid.

    Raises:
        UserError: The runs cannot be paired (see `paired`), or the margin is not above 0.
    """
    if not (base.valid and tuned.valid):
        return None
    return _clean(paired(base, tuned).pairs, Settings(alpha=alpha, clean_margin=margin))


def _clean(pairs: Sequence[Pair], settings: Settings) -> NonInferiority | None:
    clean = list(_changes([pair for pair in pairs if _without_faults(pair)]))
    if not clean:
        return None
    base, tuned = {c.task: c.base for c in clean}, {c.task: c.other for c in clean}
    alpha, resamples, seed = settings.alpha, settings.resamples, settings.seed
    return noninferior(base, tuned, settings.clean_margin, alpha=alpha, resamples=resamples, seed=seed)


def _without_faults(pair: Pair) -> bool:
    """Whether nothing was to fail: some tasks bring an outage of their own, under whatever preset."""
    return pair.base.score.faults == "clean" and not pair.base.score.planned


# ---- task by task ---------------------------------------------------------------------------------


def _changes(pairs: Sequence[Pair]) -> Iterator[TaskChange]:
    """Every task, changed or not, with its rates of success."""
    tasks: dict[str, list[Pair]] = {}
    for pair in pairs:
        tasks.setdefault(pair.task, []).append(pair)
    for task, its in tasks.items():
        first = its[0].base.score
        won = [(bool(pair.base.score.success), bool(pair.other.score.success)) for pair in its]
        yield TaskChange(
            task=task,
            template=first.template,
            split=first.split,
            base=sum(before for before, _ in won) / len(won),
            other=sum(after for _, after in won) / len(won),
            episodes=tuple(
                (pair.base.score.faults, pair.base.id, pair.other.id, after - before)
                for pair, (before, after) in zip(its, won, strict=True)
                if before != after
            ),
        )


def _solved(tasks: Sequence[TaskChange]) -> McNemarTable:
    outcomes = [(task.base > 0.5, task.other > 0.5) for task in tasks]
    lost, gained = outcomes.count((True, False)), outcomes.count((False, True))
    both, neither = outcomes.count((True, True)), outcomes.count((False, False))
    return McNemarTable(both=both, only_base=lost, only_other=gained, neither=neither, p=mcnemar(gained, lost))


# ---- slice by slice -------------------------------------------------------------------------------


def _cells(pairs: Sequence[Pair], settings: Settings) -> list[ComparisonCell]:
    found = [column for column in columns(pairs, settings.modes) if column.pairs]
    if not found:
        return []
    matrix = np.stack([column.differences for column in found], axis=1)
    intervals = bootstrap(matrix, resamples=settings.resamples, alpha=settings.alpha, seed=settings.seed)
    ps = sign_flips(matrix, flips=settings.flips, seed=settings.seed)
    families: dict[tuple[str, str], list[int]] = {}
    for at, column in enumerate(found):
        families.setdefault((column.metric, column.by), []).append(at)
    cells: dict[int, ComparisonCell] = {}
    for members in families.values():
        adjusted = holm([ps[at] for at in members])
        for at, p in zip(members, adjusted, strict=True):
            cells[at] = _cell(found[at], intervals[at], ps[at], p, settings, len(members))
    return [cells[at] for at in range(len(found))]


def _cell(
    column: Column, interval: Interval, p: float, adjusted: float, settings: Settings, slices: int
) -> ComparisonCell:
    """The cell with its verdict; what it could detect is taken at the strictest of Holm's levels."""
    found = column.differences[~np.isnan(column.differences)]
    spread = float(found.std(ddof=1)) if len(found) > 1 else 0.0
    verdict: ComparisonVerdict = "not shown"
    if adjusted < settings.alpha and (interval.low > 0 or interval.high < 0):
        verdict = "better" if (interval.low > 0) == column.higher_is_better else "worse"
    return ComparisonCell(
        metric=column.metric,
        by=column.by,
        name=column.name,
        base=float(np.nanmean(column.base)),
        other=float(np.nanmean(column.other)),
        low=interval.low,
        high=interval.high,
        p=p,
        adjusted=adjusted,
        detectable=detectable(
            spread, len(found), settings.alpha / slices, step=_step(column, found), flips=settings.flips
        ),
        pairs=column.pairs,
        tasks=len(found),
        verdict=verdict,
    )


def _step(column: Column, found: Floats) -> float:
    """The smallest amount by which a task changes: as seen, or by one of its episodes where none has changed."""
    changed = np.abs(found[found != 0])
    return float(changed.min()) if len(changed) else len(found) / column.pairs
