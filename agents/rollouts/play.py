"""One episode in one call: a policy, a task, a schedule. The rollout engine is for many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import cast

from faultgym.agents.policy import Opening, Policy
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Message, Turn
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule

MAX_TURNS = 60
"""Turns after which an episode is ended when nobody else has."""


def run_episode(
    policy: Policy, task: Task, schedule: FaultSchedule = (), *, seed: int = 0, max_turns: int = MAX_TURNS
) -> Episode:
    """Let the policy do the task under the schedule; returns the ended episode, judged."""
    episode = Episode(task, schedule)
    observation = episode.opening
    messages = cast(tuple[Message, ...], observation.messages)
    actor = policy.start(Opening(messages, episode.tools, seed, task))
    while not episode.stop:
        turn = actor.act(observation, episode.tools)
        if not isinstance(turn, Turn):
            turn = asyncio.run(_result(turn))
        observation = episode.step(turn)
        if not episode.stop and len(episode.turns) >= max_turns:
            episode.finish("turn_limit")
    return episode


async def _result(turn: Awaitable[Turn]) -> Turn:
    return await turn
