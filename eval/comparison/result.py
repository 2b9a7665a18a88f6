"""What a comparison of runs says, as values: cells with verdicts, tasks that changed, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.eval.comparison.baselines import Baseline
from faultgym.eval.comparison.noninferior import CLEAN_MARGIN, NonInferiority, check_margin
from faultgym.eval.comparison.paired import FLIPS, RESAMPLES
from faultgym.eval.comparison.pairing import Pair, Pairing
from faultgym.eval.modes.registry import MODES
from faultgym.eval.scoring.metrics import MAX_HARNESS_ERRORS, cut_short
from faultgym.eval.scoring.runs import Run
from faultgym.eval.statistics import plain

ComparisonVerdict = Literal["better", "worse", "not shown"]
SLICES = ("suite", "split", "intensity", "contract", "kind", "template")
"""What the pairs are sliced by, besides `all` of them and, for failure modes, `mode`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a comparison is made.

    Args:
        alpha: One less the confidence of intervals, and the level that p-values have to fall below.
        resamples: Bootstrap samples behind an interval.
        flips: Random sign flips behind a p-value.
        seed: Of the resampling and of the flips.
        clean_margin: The loss of success on episodes without faults that would be accepted, as a share.

    Raises:
        UserError: A failure mode does not exist, or the margin is not above 0.
    """

    alpha: float = 0.05
    resamples: int = RESAMPLES
    flips: int = FLIPS
    seed: int = 0
    clean_margin: float = CLEAN_MARGIN
    modes: tuple[str, ...] | None = None
    """The failure modes to compare; None for all that occur. Fewer of them are easier to show."""

    def __post_init__(self) -> None:
        """Refuse settings that no comparison can be made with.

        Raises:
            UserError: A failure mode does not exist, or the margin is none.
        """
        for mode in self.modes or ():
            if mode not in MODES:
                raise UserError(f"there is no failure mode {mode!r}; there are {', '.join(MODES)}")
        check_margin(self.clean_margin)

    def to_record(self) -> JSON:
        """As JSON."""
        return {name: plain(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ComparisonCell:
    """One metric on one slice of the pairs. Both means stand on the pairs in which both episodes have it."""

    metric: str
    """`success`, `spl`, `recovery`, `brier`; `pass@2`, `pass^2`, ... with several trials; `dose_auc` with several
    intensities; `mode` for the rate of a failure mode."""
    by: str
    """`all`, one of `SLICES`, or `mode`."""
    name: str
    """The slice; empty for `all`."""
    base: float
    other: float
    low: float
    """Of the interval of other - base."""
    high: float
    p: float
    """Of the sign-flip test."""
    adjusted: float
    """The same after Holm's adjustment over the cells of the same metric and kind of slice."""
    detectable: float | None
    """Smallest difference that would be shown with a chance of 80%; None where no difference could be."""
    pairs: int
    tasks: int
    verdict: ComparisonVerdict | None
    """None when one of the runs is invalid."""

    @property
    def difference(self) -> float:
        """Other - base."""
        return self.other - self.base

    def to_record(self) -> JSON:
        """As JSON."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "difference": self.difference}


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A task whose success changed."""

    task: str
    template: str
    split: str
    base: float
    """Share of its paired episodes that succeeded."""
    other: float
    episodes: tuple[tuple[str, str, str, int], ...]
    """(faults, id in base, id in other, +1 or -1) of each of its episodes that changed."""

    def to_record(self) -> JSON:
        """As JSON."""
        return {name: plain(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class McNemarTable:
    """McNemar's test on one outcome per task: whether more than half of its paired episodes succeeded."""

    both: int
    only_base: int
    only_other: int
    neither: int
    p: float

    def to_record(self) -> JSON:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Exposure:
    """How many of the planned faults the two policies met at all, over the pairs."""

    planned: int
    """Entries of the schedules, the same for both."""
    base: int
    other: int

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Exposure:
        """Count the faults that were planned for these pairs, and those that each side met."""
        met = [[p.base.score.recovery for p in pairs], [p.other.score.recovery for p in pairs]]
        counts = [sum(found.delivered for found in side if found is not None) for side in met]
        return cls(sum(len(p.base.score.planned) for p in pairs), *counts)

    def to_record(self) -> JSON:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What is said of a run."""

    name: str
    policy: JSON
    prompt: str
    episodes: int
    harness_errors: int
    valid: bool
    planned: int = 0
    """Episodes that were to be rolled out; 0 where that is not known."""
    damaged: int = 0
    """Traces that could not be read."""
    folder: str = ""
    failures: int = 0
    """Harness errors that are counted as failures."""
    cut_short: Mapping[str, int] = field(default_factory=dict)
    """Why the last turn was cut short -> episodes."""
    max_errors: float = MAX_HARNESS_ERRORS
    """Share of harness errors above which it is invalid."""

    @classmethod
    def of(cls, run: Run) -> RunSummary:
        """What is said of this run."""
        size, errors = len(run.episodes), run.harness_errors
        return cls(
            name=run.name,
            policy=run.policy,
            prompt=run.prompt,
            episodes=size,
            harness_errors=errors,
            valid=run.valid,
            planned=run.planned,
            damaged=run.damaged,
            folder=run.folder,
            failures=run.failures,
            cut_short=cut_short(one.score for one in run.episodes if one.score.valid),
            max_errors=run.max_errors,
        )

    def to_record(self) -> JSON:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RunComparison:
    """One run against the base."""

    run: RunSummary
    pairing: Pairing
    cells: tuple[ComparisonCell, ...]
    solved: McNemarTable
    gained: tuple[TaskChange, ...]
    """Tasks with more success, the largest change first."""
    lost: tuple[TaskChange, ...]
    clean: NonInferiority | None
    """Success on episodes without faults; None when there are none."""
    exposure: Exposure

    @property
    def verdict(self) -> ComparisonVerdict | None:
        """The verdict on success over all pairs; None when a run is invalid."""
        found = self.cell("success")
        return None if found is None else found.verdict

    def cell(self, metric: str, by: str = "all", name: str = "") -> ComparisonCell | None:
        """The cell of a metric on a slice; None where no pair has the metric.

        Args:
            metric: As in `ComparisonCell.metric`.
            by: `all`, one of `SLICES`, or `mode`.
            name: The slice; empty for `all`.
        """
        return next((c for c in self.cells if (c.metric, c.by, c.name) == (metric, by, name)), None)

    def mode(self, name: str) -> ComparisonCell | None:
        """The rate of a failure mode; None when it was not compared."""
        return self.cell("mode", "mode", name)

    def to_record(self) -> JSON:
        """As JSON."""
        return {
            "run": self.run.to_record(),
            "verdict": self.verdict,
            "pairing": self.pairing.to_record(),
            "cells": [cell.to_record() for cell in self.cells],
            "solved": self.solved.to_record(),
            "gained": [change.to_record() for change in self.gained],
            "lost": [change.to_record() for change in self.lost],
            "exposure": self.exposure.to_record(),
            "clean": None if self.clean is None else self.clean.to_record(),
        }


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What a tuned model may have lost that has nothing to do with our tasks."""

    what: str
    """`general text`, or a task of the lm-evaluation-harness."""
    unit: str
    """What the numbers are: `bits per byte`, `acc`."""
    found: NonInferiority

    def to_record(self) -> JSON:
        """As JSON."""
        return {"what": self.what, "unit": self.unit, **self.found.to_record()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run against others."""

    base: RunSummary
    against: tuple[RunComparison, ...]
    settings: Settings
    missing: tuple[Baseline, ...] = ()
    """Runs of the base under the prompts that it has to be seen with; empty for a policy that is no model."""
    forgetting: tuple[Forgetting, ...] = ()
    """What the models were asked besides, if they were given."""

    @property
    def any_worse(self) -> bool:
        """Whether anything at all was shown to be worse."""
        return any(cell.verdict == "worse" for one in self.against for cell in one.cells)

    @property
    def any_invalid(self) -> bool:
        """Whether there is a run of which nothing can be said."""
        return any(cell.verdict is None for one in self.against for cell in one.cells)

    def to_json(self) -> JSON:
        """As JSON values, ready for `orjson.dumps`."""
        return {
            "base": self.base.to_record(),
            "against": [one.to_record() for one in self.against],
            "settings": self.settings.to_record(),
            "missing": [one.to_record() for one in self.missing],
            "forgetting": [one.to_record() for one in self.forgetting],
        }
