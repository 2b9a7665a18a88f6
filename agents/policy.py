"""What it takes to act in an environment: the contract for scripted policies and models alike.

A policy holds no state of any episode; `start` makes an actor for one. So that thousands of episodes can
run beside each other, in any order, an actor draws all its randomness from its opening's seed.

An opening holds what a model may know. The task, with its goal and its reference solution, goes to none but a
`PrivilegedPolicy`: one that is played to test an environment, or to demonstrate, and that says so by its method.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from faultgym.core.json import JSON
from faultgym.envs.episode import StepRecord
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.types import ToolSpec


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
    """One episode's agent."""

    def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn | Awaitable[Turn]:
        """The next turn. The first observation is the opening's messages, later ones hold what is new.

        `tools` are those offered at this step. Raises `HarnessError` when something outside the agent
        broke and the episode deserves another try; any other exception is a bug and is not retried.
        """


class Policy(Protocol):
    """Who acts."""

    @property
    def name(self) -> str:
        """How people call it."""

    def start(self, opening: Opening) -> Actor:
        """An actor for a new episode."""

    def describe(self) -> JSON:
        """What the trace says of it, `name` included: everything that makes it behave as it does.

        It is part of what defines an episode: two policies that may act differently describe
        themselves differently. Values are JSON's.
        """


class PrivilegedPolicy(Policy, Protocol):
    """A policy that is shown the task itself, such as the scripted ones. Whoever plays it calls `start_with`.

    It may do without `start`, which nobody calls. One that goes on from turns that others took has `resume_with`, with
    those as its last argument.
    """

    def start_with(self, task: Task, schedule: FaultSchedule, opening: Opening) -> Actor:
        """An actor for a new episode of this task under this schedule; in place of `start`."""


def start(policy: Policy, task: Task, schedule: FaultSchedule, opening: Opening) -> Actor:
    """An actor of the policy for a new episode: task and schedule are shown to a `PrivilegedPolicy` alone."""
    start_with = getattr(policy, "start_with", None)
    if start_with is None:
        return policy.start(opening)
    actor: Actor = start_with(task, schedule, opening)
    return actor


def is_resumable(policy: Policy) -> bool:
    """Whether the policy can go on from turns that somebody else took."""
    return hasattr(policy, "resume") or hasattr(policy, "resume_with")


def resume(
    policy: Policy, task: Task, schedule: FaultSchedule, opening: Opening, steps: Sequence[StepRecord]
) -> Actor | None:
    """An actor of the policy that has these steps behind it; None where the policy is not resumable."""
    found: Actor | None = None
    if (resume_with := getattr(policy, "resume_with", None)) is not None:
        found = resume_with(task, schedule, opening, steps)
    elif (resume_here := getattr(policy, "resume", None)) is not None:
        found = resume_here(opening, steps)
    return found
