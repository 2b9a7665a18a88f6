"""What an episode is worth to a trainer: the environment's verdict, and small costs that are stated apart.

Each part is one of TRL's reward functions, so each is logged by its name (`rewards/verdict/mean`, `rewards/calls/mean`,
...), and their sum is the reward. An episode that the harness broke has no reward, from any of them: TRL takes None for
"cannot be scored", leaves the episode out of its group's mean and deviation, and gives it an advantage of 0. Its
tokens still count in the loss's denominator, and in the KL term where there is one (`beta` > 0).

Where answers are typed, the environment gives the sum of the parts itself (`get_reward`), and these functions nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from faultgym.training.environments.factory import EndedEpisode, ToolEpisode, TypedEpisode
from faultgym.training.environments.reward import COSTS, Reward

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
            One reward for each completion; None for an episode that the harness broke, or whose verdict stays open,
            and where the environment gives its reward itself.

        Raises:
            UserError: An environment was never reset.
        """
        step = int(getattr(trainer_state, "global_step", 0))
        ended = [e._end(c, step) for e, c in zip(environments, completions, strict=True)]
        if log_metric is not None and self.__name__ == "verdict":
            for name, value in measured(ended).items():
                log_metric(f"episodes/{name}", value)
        return [
            None
            if end is None or end.counts.success is None or isinstance(environment, TypedEpisode)
            else self.reward.part(self.__name__, end.counts)
            for environment, end in zip(environments, ended, strict=True)
        ]


def measured(ended: Sequence[EndedEpisode | None]) -> dict[str, float]:
    """The metrics of a batch of episodes; all but `harness_errors` are of the episodes that were judged.

    Args:
        ended: The episodes; None for one that the harness broke.

    Returns:
        Metric -> value; `harness_errors` and `undecided` alone where no episode was judged.
    """
    found = {"harness_errors": float(sum(end is None for end in ended))}
    judged = [end for end in ended if end is not None and end.counts.success is not None]
    undecided = len(ended) - len(judged) - int(found["harness_errors"])
    if undecided:
        found["undecided"] = float(undecided)
    if judged:
        found["success"] = sum(end.counts.success is True for end in judged) / len(judged)
        found["cut"] = sum(end.cut for end in judged) / len(judged)
        for name in COSTS:
            found[name] = sum(getattr(end.counts, name) for end in judged) / len(judged)
        met = [end.counts.success is True for end in judged if end.trace.events]
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
