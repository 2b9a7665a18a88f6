"""What it takes to act in an environment: the contract for scripted policies and models alike.

A policy holds no state of any episode; `start` makes an actor for one. So that thousands of episodes can
run beside each other, in any order, an actor draws all its randomness from its opening's seed.

An opening holds what a model may know. The task, with its goal and its reference solution, goes to none but a
`PrivilegedPolicy`: one that is played to test an environment, or to demonstrate, and that says so by its method.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from faultgym.core.json import JSON
from faultgym.envs.episode import StepRecord
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.envs.simulation import heard_after
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.types import ToolResult, ToolSpec


@dataclass(frozen=True, slots=True)
class Opening:
    """What an actor begins with."""

    messages: tuple[Message, ...]
    """The system message and the instruction."""
    tools: tuple[ToolSpec, ...]
    """The tools offered at the first step."""
    seed: int
    """In [0, 2**53): the only source of randomness that an actor may use."""


class Actor(Protocol):
    """One episode's agent.

    Actors are made by `Policy.start`, serve a single episode, and draw randomness from their opening's seed alone.
    """

    def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn | Awaitable[Turn]:
        """The next turn.

        Args:
            observation: At the first call the opening's messages; later the results of the turn before.
            tools: The tools offered at this step.

        Returns:
            The turn, or an awaitable that gives the turn.

        Raises:
            HarnessError: Something outside the agent broke, and the episode deserves another try. Any other exception
                counts as a bug and is not retried.
        """


class Policy(Protocol):
    """What acts: holds no state of any episode, and makes an actor for each.

    Example:
        >>> from faultgym.agents.registry import check_policy
        >>> class Silent:
        ...     name = "silent"
        ...     def describe(self): return {"name": self.name}
        ...     def start(self, opening): return self
        ...     def act(self, observation, tools): return Turn("I do not know.")
        >>> check_policy("silent", Silent())
    """

    @property
    def name(self) -> str:
        """The name that people call the policy by."""

    def start(self, opening: Opening) -> Actor:
        """An actor for a new episode."""

    def describe(self) -> JSON:
        """What a trace says of the policy: everything that shapes its turns, `name` included, as JSON values.

        The description is part of what defines an episode: two policies that may act differently describe themselves
        differently.
        """


class PrivilegedPolicy(Policy, Protocol):
    """A policy that is shown the task itself, such as the scripted ones; engines begin its episodes with `start_with`.

    Such a policy may lack `start`, which is never called then. A policy that can also continue from turns that others
    took has `resume_with(task, schedule, opening, steps)`.
    """

    def start_with(self, task: Task, schedule: FaultSchedule, opening: Opening) -> Actor:
        """An actor for a new episode of this task under this schedule; called in place of `start`.

        Args:
            task: The task, with its goal and its reference solution.
            schedule: The faults of the episode.
            opening: What any other policy would be given.
        """


def start(policy: Policy, task: Task, schedule: FaultSchedule, opening: Opening) -> Actor:
    """An actor of the policy for a new episode.

    Args:
        policy: Given the opening alone, unless the policy is a `PrivilegedPolicy`.
        task: Shown to a `PrivilegedPolicy` only.
        schedule: Shown to a `PrivilegedPolicy` only.
        opening: What the actor begins with.
    """
    start_with = getattr(policy, "start_with", None)
    if start_with is None:
        return policy.start(opening)
    actor: Actor = start_with(task, schedule, opening)
    return actor


def heard_and_said(opening: Opening, steps: Iterable[StepRecord]) -> Iterator[tuple[Observation, StepRecord]]:
    """An episode so far as an actor that is to go on with it has to hear it.

    Args:
        opening: What the episode began with.
        steps: The turns so far, from the first.

    Yields:
        What was heard before a turn, and the step of that turn. The last step's results are still to be heard.
    """
    heard: tuple[Message | ToolResult, ...] = opening.messages
    for step in steps:
        yield Observation(heard), step
        heard = heard_after(step)


def is_resumable(policy: Policy) -> bool:
    """Whether the policy can continue from turns that another policy, or an earlier process, took."""
    return hasattr(policy, "resume") or hasattr(policy, "resume_with")


def resume(
    policy: Policy, task: Task, schedule: FaultSchedule, opening: Opening, steps: Sequence[StepRecord]
) -> Actor | None:
    """An actor of the policy that has some steps behind it.

    Args:
        policy: A policy with `resume`, or a privileged one with `resume_with`.
        task: Shown to a `PrivilegedPolicy` only.
        schedule: Shown to a `PrivilegedPolicy` only.
        opening: What the episode began with.
        steps: The turns so far, from the first; the actor still has to hear the last one's results.

    Returns:
        The actor, or None where the policy is not resumable.
    """
    found: Actor | None = None
    if (resume_with := getattr(policy, "resume_with", None)) is not None:
        found = resume_with(task, schedule, opening, steps)
    elif (resume_here := getattr(policy, "resume", None)) is not None:
        found = resume_here(opening, steps)
    return found
