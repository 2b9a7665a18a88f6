"""What it takes to act in an environment: the contract for scripted policies and models alike.

A policy holds no state of any episode; `start` makes an actor for one. So that thousands of episodes can
run beside each other, in any order, an actor draws all its randomness from its opening's seed.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from faultgym.core.json import JSON
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.envs.task import Task
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
    task: Task
    """Only for scripted policies, which build the reference solution from it. A model policy must not
    read it: it knows what is asked, and the goal."""


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
