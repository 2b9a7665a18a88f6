"""Playing episodes: an actor takes turns until the episode is over. The rollout engine is for many of them."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from faultgym.agents.policy import Actor, Opening, Policy, start
from faultgym.agents.rollouts.stop import Stop
from faultgym.envs.defaults import MAX_TURNS
from faultgym.envs.episode import Episode
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.limits import Limits, turn_tokens
from faultgym.envs.messages.turn import Message, Observation, Turn, flaw
from faultgym.envs.simulation import heard_after
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.types import ToolSpec

T = TypeVar("T")


class Budget:
    """An episode under limits, and how much of them is used."""

    __slots__ = ("_begun", "_clock", "_tokens", "episode", "limits")

    def __init__(self, episode: Episode, limits: Limits, clock: Callable[[], float] = time.monotonic):
        """Begin to count; turns that the episode has had already count too, wall time does not.

        Args:
            episode: Any episode that is not over.
            limits: What it may use.
            clock: Gives the time in seconds; asked only where wall time is limited.
        """
        self.episode = episode
        self.limits = limits
        self._clock = clock
        self._begun = clock() if limits.wall_seconds is not None else 0.0
        self._tokens = sum(turn_tokens(step.turn) for step in episode.turns) if limits.tokens is not None else 0

    @property
    def wall_left(self) -> float | None:
        """Seconds of wall time that are left; None without a limit."""
        return None if self.limits.wall_seconds is None else self.limits.wall_seconds - (self._clock() - self._begun)

    def step(self, turn: Turn) -> Observation:
        """Do the turn, and end the episode where a limit is reached.

        Returns:
            What the environment answered.
        """
        episode, limits = self.episode, self.limits
        observation = episode.step(turn)
        if not episode.stop:
            if limits.tokens is not None:
                self._tokens += turn_tokens(turn)
            wall = self._clock() - self._begun if limits.wall_seconds is not None else 0.0
            reason = limits.reached(episode, self._tokens, wall)
            if reason:
                episode.finish(reason)
        return observation


async def play(
    episode: Episode,
    actor: Actor,
    limits: Limits,
    *,
    stop: Stop | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Let the actor take turns until the episode is over.

    Args:
        episode: From its beginning, or with some turns behind it; then the actor has heard all but the last one's
            results.
        actor: Asynchronous or not.
        limits: What the episode may use, its earlier turns included.
        stop: Ends the play after the current turn, once it is asked for.
        clock: For the limit in wall seconds.

    Returns:
        Whether the episode is over; False after a stop.

    Raises:
        TypeError: The actor gave something that is no turn, or a turn that cannot be.
        HarnessError: What the actor raised.
    """
    budget = Budget(episode, limits, clock)
    observation = latest(episode)
    while not episode.stop:
        if stop is not None and stop.asked:
            return False
        turn = actor.act(observation, episode.tools)
        if turn.__class__ is not Turn:
            waited = await _awaited(actor, turn, budget.wall_left)
            if waited is None:
                episode.finish("wall_limit")
                return True
            turn = waited
        observation = budget.step(_checked(actor, turn))
    return True


async def next_turn(actor: Actor, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn:
    """One turn of an actor, asynchronous or not.

    Raises:
        TypeError: The actor gave something that is no turn, or a turn that cannot be.
        HarnessError: What the actor raised.
    """
    turn = actor.act(observation, tools)
    if turn.__class__ is not Turn:
        waited = await _awaited(actor, turn, None)
        assert waited is not None, "without a limit an actor is waited for"
        turn = waited
    return _checked(actor, turn)


def _checked(actor: Actor, turn: object) -> Turn:
    """The turn; raises TypeError for one that cannot be."""
    assert isinstance(turn, Turn)
    wrong = flaw(turn)
    if wrong:
        raise TypeError(f"{type(actor).__name__}.act gave a Turn that cannot be: {wrong}")
    return turn


async def _awaited(actor: Actor, turn: Turn | Awaitable[Turn], seconds: float | None) -> Turn | None:
    """The turn that an asynchronous actor gives; None when the time was over before."""
    given: object = turn
    if isinstance(turn, Awaitable) and seconds is None:
        given = await turn
    elif isinstance(turn, Awaitable):
        try:
            async with asyncio.timeout(seconds) as limit:
                given = await turn
        except TimeoutError:
            if limit.expired():
                return None
            raise
    if not isinstance(given, Turn):
        raise TypeError(f"{type(actor).__name__}.act gave a {type(given).__name__}, not a Turn")
    return given


def latest(episode: Episode) -> Observation:
    """What is new since the last turn: its results, or the opening before the first."""
    if not episode.turns:
        return episode.opening
    return Observation(heard_after(episode.turns[-1]))


def opening_of(episode: Episode, seed: int) -> Opening:
    """What an actor of this episode begins with.

    Args:
        episode: The episode, at its beginning.
        seed: The actor's only source of randomness, in [0, 2**53).
    """
    return Opening(cast(tuple[Message, ...], episode.opening.messages), episode.tools, seed)


def run_episode(
    policy: Policy,
    task: Task,
    schedule: FaultSchedule = (),
    *,
    seed: int = 0,
    max_turns: int = MAX_TURNS,
    answers: Answers = DEFAULT_ANSWERS,
) -> Episode:
    """Let the policy do the task under the schedule, from code that is not asynchronous.

    Args:
        policy: One whose actors wait for something needs an event loop of its own: not within a running one.
        task: What is to be done.
        schedule: The faults.
        seed: For the actor's own randomness.
        max_turns: Turns after which the episode is ended when nothing else has ended it.
        answers: How the episode ends.

    Returns:
        The ended episode, judged. Close it.

    Raises:
        TypeError: The actor gave something that is no turn, or waits although `act` is no coroutine function.

    Example:
        >>> from faultgym.agents.registry import policy_named
        >>> from faultgym.envs.registry import task_by_id
        >>> episode = run_episode(policy_named("expert"), task_by_id("orders/order_status/train/0"))
        >>> episode.stop, episode.verdict.success
        ('final', True)
        >>> episode.close()
    """
    episode = Episode(task, schedule, answers=answers)
    actor = start(policy, task, schedule, opening_of(episode, seed))
    playing = play(episode, actor, Limits(turns=max_turns))
    if inspect.iscoroutinefunction(actor.act):
        asyncio.run(playing)
    else:
        at_once(playing)
    return episode


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits, also within a running event loop.

    Raises:
        TypeError: The coroutine does wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise TypeError("this actor waits for something: play it in an event loop (`await play(...)`, `Forks.go_on`)")
