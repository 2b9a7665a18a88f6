"""What an episode is worth to a trainer: the environment's verdict, and small costs that are stated apart.

Each part is one of TRL's reward functions, so each is logged by its name (`rewards/verdict/mean`, `rewards/calls/mean`,
...), and their sum is the reward. An episode that the harness broke has no reward, from any of them: TRL takes None for
"cannot be scored", leaves the episode out of its group's mean and deviation, and gives it an advantage of 0. Its
tokens still count in the loss's denominator, and in the KL term where there is one (`beta` > 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from faultgym.core.errors import UserError
from faultgym.training.environments.counts import Counts
from faultgym.training.environments.factory import EndedEpisode, ToolEpisode


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
            return weight * counts.success
        count: int = getattr(counts, name)
        return max(-self.most, weight * count)

    def total(self, counts: Counts) -> float:
        """The reward: all parts together."""
        return sum(self.part(name, counts) for name in ("verdict", *COSTS))


COSTS = ("calls", "bad_calls", "repeated_calls")


RewardFunction = Callable[..., list[float | None]]


class RewardPart:
    """One part as a reward function; the first of the parts to be called ends the episodes.

    The part `verdict` also logs how the episodes went.
    """

    def __init__(self, name: str, reward: Reward):
        self.__name__ = name
        self.reward = reward

    def __call__(
        self,
        completions: Sequence[Any],
        environments: Sequence[ToolEpisode],
        trainer_state: Any = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_columns: Any,
    ) -> list[float | None]:
        """The part's rewards, as TRL asks for them.

        Args:
            completions: The chat after each prompt.
            environments: The environment of each completion.
            trainer_state: The trainer's; its `global_step` is stored with the traces.
            log_metric: Takes a metric's name and value.
            **_columns: The other columns of the rows, passed over.

        Returns:
            One reward for each completion; None for an episode that the harness broke.

        Raises:
            UserError: An environment was never reset.
        """
        step = int(getattr(trainer_state, "global_step", 0))
        ended = [e._end(c, step) for e, c in zip(environments, completions, strict=True)]
        if log_metric is not None and self.__name__ == "verdict":
            for name, value in measured(ended).items():
                log_metric(f"episodes/{name}", value)
        return [None if end is None else self.reward.part(self.__name__, end.counts) for end in ended]


def measured(ended: Sequence[EndedEpisode | None]) -> dict[str, float]:
    """The metrics of a batch of episodes; all but `harness_errors` are of the episodes that were judged.

    Args:
        ended: The episodes; None for one that the harness broke.

    Returns:
        Metric -> value; `harness_errors` alone where no episode was judged.
    """
    judged = [end for end in ended if end is not None]
    found = {"harness_errors": float(len(ended) - len(judged))}
    if judged:
        found["success"] = sum(end.counts.success for end in judged) / len(judged)
        found["cut"] = sum(end.cut for end in judged) / len(judged)
        for name in COSTS:
            found[name] = sum(getattr(end.counts, name) for end in judged) / len(judged)
        met = [end.counts.success for end in judged if end.trace.events]
        if met:
            found["success_when_faulted"] = sum(met) / len(met)
    return found


def reward_functions(reward: Reward | None = None) -> list[RewardFunction]:
    """One function for each part that is not 0, the verdict first: what TRL's `reward_funcs` takes.

    Args:
        reward: What the parts are worth; None for the defaults.

    Example:
        >>> [part.__name__ for part in reward_functions(Reward(bad_calls=0))]
        ['verdict', 'calls', 'repeated_calls']
    """
    given = reward or Reward()
    return [RewardPart(name, given) for name in ("verdict", *COSTS) if name == "verdict" or getattr(given, name)]
