"""A policy that goes on from forks: its own continuations, many of which wait for the model at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from faultgym.agents.policy import Policy, is_resumable
from faultgym.agents.rollouts.engine import described
from faultgym.core.errors import UserError
from faultgym.training.forks.fork import Continuation, Forks, Strayed, is_scripted
from faultgym.training.forks.waiting import together

IN_FLIGHT = 256
"""Continuations that wait for the policy at the same time."""


class Sampler:
    """A policy with room for so many continuations; of one event loop."""

    def __init__(self, policy: Policy, in_flight: int = IN_FLIGHT):
        """Take a policy.

        Args:
            policy: Scripted, or `Resumable`.
            in_flight: Continuations that wait for the policy at the same time.

        Raises:
            UserError: The policy cannot be brought to a fork.
        """
        self.policy = policy
        self.description = described(policy)
        self.scripted = is_scripted(self.description)
        if not self.scripted and not is_resumable(policy):
            raise UserError(
                f"policy {policy.name} cannot go on from a stored prefix: a policy that is not scripted needs"
                " resume(opening, steps) -> actor (see faultgym.training.forks.fork.Resumable)"
            )
        self._room = asyncio.Semaphore(in_flight)

    async def continuation(self, forks: Forks, step: int, number: int) -> Continuation | None:
        """A continuation from before turn `step`.

        Args:
            forks: The trace.
            step: Index of the first turn that is the policy's, from 0.
            number: Tells the samples of a fork apart.

        Returns:
            None where a script strays from the trace's prefix.

        Raises:
            HarnessError: The policy's server failed.
        """
        async with self._room:
            try:
                return await forks.sampled(step, self.policy, number, self.description)
            except Strayed:
                return None

    async def continuations(self, forks: Forks, steps: Sequence[int], count: int) -> dict[int, list[Continuation]]:
        """`count` continuations from before each of these turns, all in flight together.

        Args:
            forks: The trace.
            steps: The turns.
            count: Continuations at each.

        Returns:
            Step -> its continuations, without those that strayed.

        Raises:
            HarnessError: The policy's server failed.
        """
        asked = [(step, number) for step in steps for number in range(count)]
        made = await together(self.continuation(forks, step, number) for step, number in asked)
        found: dict[int, list[Continuation]] = {step: [] for step in steps}
        for (step, _), one in zip(asked, made, strict=True):
            if one is not None:
                found[step].append(one)
        return found

    async def holds(self, made: Continuation, checks: int) -> bool:
        """Whether most of so many further continuations of a decision succeed too.

        Args:
            made: The continuation whose decision is tried.
            checks: Further continuations; with 0, for a script and for an answer its own success counts.
        """
        step = made.step + 1
        if not checks or self.scripted or step == len(made.trace.steps):
            return made.success
        with Forks(made.trace) as forks:
            again = (await self.continuations(forks, [step], checks))[step]
        return 2 * sum(one.success for one in again) > checks
