"""Whether a tuned policy is worse than its base by less than a stated margin: how forgetting is measured.

That no difference was shown does not mean that there is none. Non-inferiority turns the question round: it holds only
when the data rule out a loss of the margin or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.eval.comparison.paired import RESAMPLES, bootstrap, most_likely_share
from faultgym.eval.statistics import Floats

CLEAN_MARGIN = 0.05
"""Success on clean tasks that may be lost."""
TEXT_MARGIN = 0.02
"""Bits per byte by which general text may become harder to predict."""


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """The answer, and what it stands on."""

    units: int
    """Tasks, or paragraphs."""
    base: float
    tuned: float
    worst: float
    """The largest loss that the data leave possible, one-sided, at confidence 1 - alpha; negative is a gain."""
    margin: float
    alpha: float

    @property
    def change(self) -> float:
        """Tuned - base."""
        return self.tuned - self.base

    @property
    def holds(self) -> bool:
        """Whether a loss of the margin or more is ruled out."""
        return self.worst < self.margin

    def to_record(self) -> JSON:
        """As JSON."""
        fields: JSON = {name: getattr(self, name) for name in self.__slots__}
        return {**fields, "change": self.change, "holds": self.holds}


def noninferior(
    base: Mapping[str, float],
    tuned: Mapping[str, float],
    margin: float,
    *,
    lower_is_better: bool = False,
    bounded: bool | None = None,
    alpha: float = 0.05,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> NonInferiority:
    """Compare two policies unit by unit (task -> success rate, paragraph -> log-loss).

    The worst loss is the one-sided bound of the paired bootstrap over units. Where values are `bounded` in [0, 1]
    (success; the default unless lower is better), losses too rare to have been seen count too: the bound is no better
    than the largest share of units that may lose, less the smallest share that gains (Clopper and Pearson's bounds).

    Args:
        base: The value of each unit before.
        tuned: The value of each unit after.
        margin: The loss that would be accepted, in the unit of the values; above 0.
        lower_is_better: Whether a rise is the loss, as with log-loss.
        bounded: Whether the values lie in [0, 1].
        alpha: One less the confidence of the one-sided bound.
        resamples: Bootstrap samples.
        seed: Of the resampling.

    Raises:
        UserError: The sides do not hold the same units, or none; a value is not finite; the margin is not above 0.

    Example:
        >>> before = {f"task {n}": 1.0 for n in range(100)}
        >>> noninferior(before, before, margin=0.05).holds, noninferior(before, before, margin=0.02).holds
        (True, False)
    """
    units = sorted(base)
    if not units or units != sorted(tuned):
        odd = sorted(set(base) ^ set(tuned))
        what = f"{len(odd)} of them only on one side, such as {odd[0]!r}" if odd else "there are none"
        raise UserError(f"two policies are compared on the same tasks or texts: {what}")
    check_margin(margin)
    before, after = (np.array([side[unit] for unit in units], dtype=np.float64) for side in (base, tuned))
    for what, side in (("base", before), ("tuned", after)):
        if not np.isfinite(side).all():
            odd_one = units[int(np.argmin(np.isfinite(side)))]
            raise UserError(f"the {what} policy's value of {odd_one!r} is no finite number")
    gains = before - after if lower_is_better else after - before
    found = bootstrap(gains[:, None], resamples=resamples, alpha=2 * alpha, seed=seed)[0]
    worst = -found.low
    if bounded if bounded is not None else not lower_is_better:
        worst = max(worst, _unseen(gains, alpha))
    return NonInferiority(
        units=len(units), base=float(before.mean()), tuned=float(after.mean()), worst=worst, margin=margin, alpha=alpha
    )


def check_margin(margin: float) -> None:
    """Refuse what is no margin: nothing could ever be shown to lose less than nothing.

    Raises:
        UserError: The margin is not above 0.
    """
    if not margin > 0:
        raise UserError(f"the margin of non-inferiority is a loss that would be accepted: above 0, not {margin:g}")


def _unseen(gains: Floats, alpha: float) -> float:
    """The loss that remains possible although it was seen too rarely for a bootstrap.

    Losses are as large as those that were seen, or as a whole unit where rarer ones are concerned. A gain counts as far
    as it is sure: what was seen of it in a handful of units is chance.
    """
    units = len(gains)
    losing, winning = gains[gains < 0], gains[gains > 0]
    lost = most_likely_share(0, units, alpha)
    if len(losing):
        lost = max(lost, most_likely_share(len(losing), units, alpha) * float(-losing.mean()))
    if not len(winning):
        return lost
    return lost - (1 - most_likely_share(units - len(winning), units, alpha)) * float(winning.mean())
