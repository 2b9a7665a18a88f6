"""The reward of one episode: the verdict's part, and small costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from faultgym.core.errors import UserError
from faultgym.training.environments.counts import Counts

COSTS = ("calls", "bad_calls", "repeated_calls")


@dataclass(frozen=True, slots=True)
class Reward:
    """What the parts of a reward are worth.

    Costs are negative; each is counted up to `most`, so that with the defaults every success is worth more than every
    failure.

    Raises:
        UserError: A value is not finite, a cost is above 0, `verdict` is not above 0, or `most` is below 0.

    Example:
        >>> counts = Counts(success=True, calls=4, bad_calls=1, repeated_calls=0)
        >>> round(Reward().total(counts), 2)
        0.91
    """

    verdict: float = 1.0
    """Given when the environment's verdict is success."""
    calls: float = -0.01
    """For each call."""
    bad_calls: float = -0.05
    """For each call that never reached its tool: unknown, malformed, or with arguments that do not fit."""
    repeated_calls: float = -0.1
    """For each call that was repeated after an error that repeating does not answer (`repeated_broken_call`)."""
    most: float = 0.3
    """What each cost comes to at most."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value):
                raise UserError(f"reward.{field.name} is {value}; a finite number is expected")
        for name in COSTS:
            if getattr(self, name) > 0:
                raise UserError(f"reward.{name} is a cost and cannot be above 0, as {getattr(self, name)} is")
        if self.verdict <= 0 or self.most < 0:
            raise UserError("reward.verdict has to be above 0, and reward.most cannot be below it")

    def part(self, name: str, counts: Counts) -> float:
        """What one part comes to.

        Args:
            name: `verdict`, or one of `COSTS`.
            counts: Of one episode.
        """
        weight: float = getattr(self, name)
        if name == "verdict":
            return weight * bool(counts.success)
        count: int = getattr(counts, name)
        return max(-self.most, weight * count)

    def total(self, counts: Counts) -> float:
        """The reward: all parts together."""
        return sum(self.part(name, counts) for name in ("verdict", *COSTS))
