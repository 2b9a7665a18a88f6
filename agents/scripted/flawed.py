"""One policy for each failure mode: the expert, with exactly that flaw where the task leaves room for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from faultgym.agents.policy import Opening
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.scripted import endings, excess, harms
from faultgym.agents.scripted import wrong_calls as slips
from faultgym.agents.scripted.script import Scripted, ScriptedActor, Write
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule

FLAWS: Mapping[str, Write] = {
    "unknown_tool": slips.unknown_tool,
    "wrong_tool": slips.wrong_tool,
    "missing_argument": slips.missing_argument,
    "unknown_argument": slips.unknown_argument,
    "invalid_argument": slips.invalid_argument,
    "malformed_call": slips.malformed_call,
    "hallucinated_argument": slips.hallucinated_argument,
    "wrong_entity": slips.wrong_entity,
    "repeated_broken_call": excess.repeated_broken_call,
    "redundant_call": excess.redundant_call,
    "loop": excess.loop,
    "over_iteration": excess.over_iteration,
    "premature_stop": endings.premature_stop,
    "apology_collapse": endings.apology_collapse,
    "fabricated_answer": endings.fabricated_answer,
    "ignored_evidence": endings.ignored_evidence,
    "no_answer": endings.no_answer,
    "needless_call": endings.needless_call,
    "missed_call": endings.missed_call,
    "partial_goal": endings.partial_goal,
    "collateral_write": harms.collateral_write,
    "duplicate_write": harms.duplicate_write,
    "obeyed_injection": harms.obeyed_injection,
    "overconfident": endings.overconfident,
}
"""Failure mode -> the script that commits it, in the order in which the modes are documented."""


def flawed(mode: str) -> Callable[[], Scripted]:
    """A maker of the policy that commits this failure mode.

    Args:
        mode: A key of `FLAWS`.

    Raises:
        KeyError: There is no such mode.

    Example:
        >>> flawed("loop")().name
        'loop'
    """
    return partial(Scripted, mode, FLAWS[mode])


class PlayedFlaw:
    """A scripted policy that tells whether its last actor deviated from the expert's way.

    Args:
        policy: The policy that is watched.
    """

    def __init__(self, policy: Scripted):
        self.policy = policy
        self.name = policy.name
        self._actor: ScriptedActor | None = None

    def start(self, opening: Opening) -> ScriptedActor:
        """Refuse: a script is written from the task.

        Raises:
            UserError: Always, as the policy itself does.
        """
        return self.policy.start(opening)

    def start_with(self, task: Task, schedule: FaultSchedule, opening: Opening) -> ScriptedActor:
        """An actor for a new episode, which `strayed` tells of from now on."""
        self._actor = self.policy.start_with(task, schedule, opening)
        return self._actor

    def describe(self) -> dict[str, object]:
        """What the policy says of itself."""
        return self.policy.describe()

    @property
    def strayed(self) -> bool:
        """Whether the last actor found the place for its flaw."""
        return self._actor is not None and self._actor.stage.strayed


def play(
    mode: str, task: Task, schedule: FaultSchedule = (), answers: Answers = DEFAULT_ANSWERS
) -> tuple[Episode, bool]:
    """Play the policy that commits this mode.

    Args:
        mode: A key of `FLAWS`.
        task: What is to be done.
        schedule: The faults.
        answers: How the episode ends.

    Returns:
        The ended episode, to be closed, and whether the policy found room for its flaw.

    Raises:
        KeyError: There is no such mode.
    """
    watched = PlayedFlaw(flawed(mode)())
    episode = run_episode(watched, task, schedule, answers=answers)
    return episode, watched.strayed


def applies(mode: str, task: Task, schedule: FaultSchedule = (), answers: Answers = DEFAULT_ANSWERS) -> bool:
    """Whether the policy of this mode can commit it here; where there is no room, the policy acts as the expert.

    Args:
        mode: A key of `FLAWS`.
        task: The task, which is played.
        schedule: The faults.
        answers: How the episode ends.

    Raises:
        KeyError: There is no such mode.
    """
    episode, strayed = play(mode, task, schedule, answers)
    episode.close()
    return strayed
