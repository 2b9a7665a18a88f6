"""Wrappers around `ToolEnv`: budgets that truncate, raw-text actions, reward shaping.

All of them read what they need from `env.unwrapped.episode` and keep nothing of their own, so that a
fork or a restored snapshot is never counted wrongly. Budgets end the episode itself: the verdict
exists, and one more step raises `gymnasium.error.ResetNeeded`. `terminated` and `truncated` are
never both true: a final turn terminates, also one that uses a budget up.
"""

from __future__ import annotations

import copy
import random
from typing import Any, SupportsFloat, TypeVar, cast

import gymnasium as gym

from faultgym.envs.defaults import MAX_TURNS
from faultgym.envs.episode import Episode
from faultgym.envs.gym.env import BAD_CALLS, ToolEnv
from faultgym.envs.gym.spaces import DrawnSpace, Seed, TurnSpace
from faultgym.envs.limits import Limits, turn_tokens
from faultgym.envs.messages.hermes import format_hermes, parse_hermes
from faultgym.envs.messages.turn import Observation, Turn

A = TypeVar("A")
Step = tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]


def forked(env: gym.Env[Observation, A]) -> gym.Env[Observation, A]:
    """An independent copy of a wrapped environment in exactly this state, with the same wrappers.

    `env.unwrapped.fork()` gives the copy without them.

    Args:
        env: A `ToolEnv`, wrapped or not.

    Raises:
        gymnasium.error.ResetNeeded: No episode has begun.
        TypeError: No `ToolEnv` is under the wrappers.
    """
    if isinstance(env, gym.Wrapper):
        twin = copy.copy(env)
        twin.env = forked(env.env)
        return twin
    return cast("gym.Env[Observation, A]", tool_env(env).fork())


def tool_env(env: gym.Env[Any, Any]) -> ToolEnv:
    """The `ToolEnv` under all wrappers.

    Raises:
        TypeError: Another environment is under them.
    """
    inner = env.unwrapped
    if not isinstance(inner, ToolEnv):
        raise TypeError(f"faultgym's wrappers go around a ToolEnv, not around {type(inner).__name__}")
    return inner


class _Budget(gym.Wrapper[Observation, A, Observation, A]):
    """Truncates the episode with the turn that uses the budget up, unless that turn ends it anyway."""

    limits: Limits
    """The one limit that is held."""

    def __init__(self, env: gym.Env[Observation, A], limits: Limits):
        super().__init__(env)
        tool_env(env)
        self.limits = limits

    def step(self, action: A) -> Step:
        """Do one turn, and judge the episode when the budget is used up."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        env = tool_env(self.env)
        episode = env.episode
        if terminated or truncated or episode is None:
            return observation, reward, terminated, truncated, info
        used = sum(turn_tokens(step.turn) for step in episode.turns) if self.limits.tokens is not None else 0
        stop = self.limits.reached(episode, used)
        if not stop:
            return observation, reward, terminated, truncated, info
        verdict = episode.finish(stop)
        info = {**info, "success": verdict.success, "reason": verdict.reason}
        return observation, float(reward) + env.reward.success * bool(verdict.success), False, True, info


class TurnLimit(gym.utils.RecordConstructorArgs, _Budget[A]):
    """At most `max_turns` turns.

    terminated: unchanged. truncated: true with the last turn, when that was not a final one; the
    episode's `stop` is then `turn_limit`. reward: with it comes the reward for success, when the goal
    is reached all the same. info: `success` and `reason` then too.

    Args:
        env: The environment.
        max_turns: Turns, at least 1; the default is that of rollouts.

    Raises:
        ValueError: `max_turns` is less than 1.
        TypeError: No `ToolEnv` is under `env`.

    Example:
        >>> from faultgym.tools.types import ToolCall
        >>> env = TurnLimit(ToolEnv("orders"), max_turns=1)
        >>> _ = env.reset(options={"task": "orders/order_status/train/0"})
        >>> _, _, terminated, truncated, _ = env.step(Turn(tool_calls=(ToolCall("a", "wait", {"seconds": 1}),)))
        >>> terminated, truncated, env.unwrapped.episode.stop
        (False, True, 'turn_limit')
    """

    def __init__(self, env: gym.Env[Observation, A], max_turns: int = MAX_TURNS):
        gym.utils.RecordConstructorArgs.__init__(self, max_turns=max_turns)
        self.max_turns = _at_least_one("max_turns", max_turns)
        _Budget.__init__(self, env, Limits(turns=self.max_turns))


class TokenBudget(gym.utils.RecordConstructorArgs, _Budget[A]):
    """At most `max_tokens` tokens that the policy writes, as `turn_tokens` counts them.

    The turn that uses them up is done, whatever its length. terminated: unchanged. truncated: true
    with that turn, when it was not a final one; `stop` is then `token_budget`. reward and info: as for
    `TurnLimit`.

    Args:
        env: The environment.
        max_tokens: Tokens of all turns together, at least 1.

    Raises:
        ValueError: `max_tokens` is less than 1.
        TypeError: No `ToolEnv` is under `env`.
    """

    def __init__(self, env: gym.Env[Observation, A], max_tokens: int):
        gym.utils.RecordConstructorArgs.__init__(self, max_tokens=max_tokens)
        self.max_tokens = _at_least_one("max_tokens", max_tokens)
        _Budget.__init__(self, env, Limits(turns=None, tokens=self.max_tokens))


class TimeBudget(gym.utils.RecordConstructorArgs, _Budget[A]):
    """At most `seconds` of the world's virtual time: latency and waiting count, thinking does not.

    The turn that uses them up is done. terminated: unchanged. truncated: true with that turn, when it
    was not a final one; `stop` is then `time_budget`. reward and info: as for `TurnLimit`.

    Args:
        env: The environment.
        seconds: Virtual seconds, more than 0.

    Raises:
        ValueError: `seconds` is not more than 0.
        TypeError: No `ToolEnv` is under `env`.
    """

    def __init__(self, env: gym.Env[Observation, A], seconds: float):
        gym.utils.RecordConstructorArgs.__init__(self, seconds=seconds)
        self.seconds = _positive("seconds", seconds)
        _Budget.__init__(self, env, Limits(turns=None, virtual_seconds=self.seconds))


class TextSpace(DrawnSpace[str]):
    """Assistant messages as text. `sample` writes the turns of a `TurnSpace` in the Hermes form.

    Args:
        turns: The space of the turns that are written.
        seed: Seeds the space's own generator; None takes the one of `turns`.
    """

    def __init__(self, turns: TurnSpace, seed: Seed = None):
        self.turns = turns
        super().__init__(seed=turns.np_random if seed is None else seed)

    def draw(self, rng: random.Random) -> str:
        """Draw a message from a generator."""
        return format_hermes(self.turns.draw(rng))

    def contains(self, x: Any) -> bool:
        """Whether `x` is a text: every text is a message."""
        return isinstance(x, str)

    def __eq__(self, other: object) -> bool:
        """Whether the other space writes the same turns."""
        return isinstance(other, TextSpace) and self.turns == other.turns

    def __repr__(self) -> str:
        """The space by its turns."""
        return f"TextSpace({self.turns})"


class HermesText(gym.utils.RecordConstructorArgs, gym.ActionWrapper[Observation, str, Turn]):
    """Actions are the raw text of an assistant message with Hermes' call tags; see `parse_hermes`.

    Put this wrapper outermost. Text in call tags that is no call is answered as a malformed call, so that
    nothing a model writes raises. terminated, truncated, reward and info: unchanged.

    Args:
        env: The environment, whose actions are turns.

    Raises:
        TypeError: No `ToolEnv` is under `env`.

    Example:
        >>> env = HermesText(ToolEnv("orders"))
        >>> _ = env.reset(options={"task": "orders/order_status/train/0"})
        >>> call = '<tool_call>{"name": "wait", "arguments": {"seconds": 1}}</tool_call>'
        >>> observation, _, terminated, _, _ = env.step(call)
        >>> observation.messages[0].name, terminated
        ('wait', False)
    """

    def __init__(self, env: gym.Env[Observation, Turn]):
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        self.action_space = TextSpace(TurnSpace(tool_env(env).suite))

    def action(self, action: str) -> Turn:
        """The turn that the text stands for."""
        return parse_hermes(action)


class RewardShaping(gym.utils.RecordConstructorArgs, gym.Wrapper[Observation, A, Observation, A]):
    """Adds small rewards or costs at every step, for learners that need a denser signal.

    terminated and truncated: unchanged. reward: the sum of what comes from inside and of each part
    below times its number at this step. info: `reward_parts` holds the parts that are not zero, and
    what came from inside as `inner`. Whether a fault was recovered is known only when an episode is
    scored, so there is no part for it.

    Args:
        env: The environment.
        turn: What each turn is worth; costs are negative, here and below.
        call: What each call is worth.
        bad_call: What each call is worth that never reached its tool.
        failed_call: What each call is worth that reached its tool and came back with an error.
        second: What each second of virtual time is worth.
        token: What each token is worth, as `turn_tokens` counts them.

    Raises:
        TypeError: No `ToolEnv` is under `env`.
    """

    def __init__(
        self,
        env: gym.Env[Observation, A],
        *,
        turn: float = 0.0,
        call: float = 0.0,
        bad_call: float = 0.0,
        failed_call: float = 0.0,
        second: float = 0.0,
        token: float = 0.0,
    ):
        parts = {
            "turn": turn,
            "call": call,
            "bad_call": bad_call,
            "failed_call": failed_call,
            "second": second,
            "token": token,
        }
        gym.utils.RecordConstructorArgs.__init__(self, _disable_deepcopy=False, **parts)
        gym.Wrapper.__init__(self, env)
        tool_env(env)
        self.parts = {name: worth for name, worth in parts.items() if worth}

    def step(self, action: A) -> Step:
        """Take one turn and add what the turn is worth.

        Args:
            action: What the environment inside takes.

        Returns:
            As the environment inside, with the parts added to the reward and `reward_parts` to `info`.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        episode = tool_env(self.env).episode
        assert episode is not None
        numbers = _numbers(episode)
        parts = {"inner": float(reward), **{name: worth * numbers[name] for name, worth in self.parts.items()}}
        return observation, sum(parts.values()), terminated, truncated, {**info, "reward_parts": parts}


def _numbers(episode: Episode) -> dict[str, float]:
    """How many of each thing the last turn had."""
    step = episode.turns[-1]
    calls = step.calls
    bad = sum(record.result.code in BAD_CALLS for record in calls)
    before = next((s.calls[-1].at for s in reversed(episode.turns[:-1]) if s.calls), 0.0)
    return {
        "turn": 1.0,
        "call": float(len(calls)),
        "bad_call": float(bad),
        "failed_call": float(sum(not record.result.ok for record in calls) - bad),
        "second": calls[-1].at - before if calls else 0.0,
        "token": float(turn_tokens(step.turn)),
    }


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be more than 0, not {value!r}")
    return value


def _at_least_one(name: str, value: float) -> int:
    if not value >= 1:
        raise ValueError(f"{name} must be at least 1, not {value!r}")
    return int(value)
