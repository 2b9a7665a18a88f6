"""The spaces of `ToolEnv`: turns as actions, observations as what they are.

Both are small custom spaces. Vector environments batch them to tuples, and carry them through pipes
(`shared_memory=False`): there is no array to share.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import create_shared_memory

from faultgym.core.bank import banked
from faultgym.core.json import JSON
from faultgym.envs.gym.sampling import Suggestions, arguments_for, some_text, suggestions
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.envs.suite import Suite
from faultgym.tools.toolbox import STANDARD
from faultgym.tools.types import ToolCall, ToolResult, ToolSpec

T = TypeVar("T")
Seed = int | np.random.Generator | None


class DrawnSpace(gym.Space[T]):
    """A space of values that are drawn one by one, and that no array holds."""

    @property
    def is_np_flattenable(self) -> bool:
        """Whether the space can be flattened to a box: no."""
        return False

    def sample(self, mask: None = None, probability: None = None) -> T:
        """Draw a value from the space's own generator.

        Args:
            mask: None: the space has no masks.
            probability: None, likewise.

        Raises:
            ValueError: A mask or a probability is given.
        """
        if mask is not None or probability is not None:
            raise ValueError("this space has no masks: call sample() without arguments")
        return self.draw(random.Random(int(self.np_random.integers(2**63))))

    @abstractmethod
    def draw(self, rng: random.Random) -> T:
        """Draw a value from a generator."""


class TurnSpace(DrawnSpace[Turn]):
    """All turns. `sample` gives turns that an untrained policy of this suite might take.

    Of ten samples about eight call one or two of the suite's tools with arguments that fit, one calls
    with arguments or a name that do not, and one is a final text.

    Args:
        suite: The suite whose tools are called.
        seed: Seeds the space's own generator; None takes one from the system.

    Example:
        >>> from faultgym.envs.registry import suite_named
        >>> space = TurnSpace(suite_named("orders"), seed=0)
        >>> space.sample() in space
        True
    """

    def __init__(self, suite: Suite, seed: Seed = None):
        super().__init__(seed=seed)
        self.tools, self._suggestions = _known(suite)

    def draw(self, rng: random.Random) -> Turn:
        """Draw a turn from a generator."""
        chance = rng.random()
        if chance < 0.1:
            return Turn(text=some_text(rng, 8), confidence=rng.choice((None, 0.25, 1.0)))
        calls = tuple(self._call(rng, f"call_{n}") for n in range(1 if chance < 0.8 else 2))
        if chance > 0.9:
            calls = (_broken(rng, calls[0]), *calls[1:])
        reasoning = some_text(rng, 5) if rng.random() < 0.5 else ""
        return Turn(tool_calls=calls, reasoning=reasoning, finish_reason="tool_calls")

    def _call(self, rng: random.Random, call_id: str) -> ToolCall:
        tool = rng.choice(self.tools)
        return ToolCall(call_id, tool.name, arguments_for(tool, rng, self._suggestions))

    def contains(self, x: Any) -> bool:
        """Whether `x` is a `Turn` whose fields have the right types."""
        return (
            isinstance(x, Turn)
            and isinstance(x.text, str)
            and isinstance(x.tool_calls, tuple)
            and all(_is_call(call) for call in x.tool_calls)
            and isinstance(x.reasoning, str)
            and (x.confidence is None or (_is_number(x.confidence) and 0 <= x.confidence <= 1))
            and isinstance(x.finish_reason, str)
            and (x.token_ids is None or _all_of(x.token_ids, int))
            and (x.logprobs is None or _all_of(x.logprobs, float))
        )

    def to_jsonable(self, sample_n: Sequence[Turn]) -> list[JSON]:  # type: ignore[override]
        """The turns as plain data."""
        return [asdict(turn) for turn in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[Turn]:
        """The turns that `to_jsonable` wrote, also after a round trip through JSON text."""
        return [_turn(item) for item in sample_n]

    def __eq__(self, other: object) -> bool:
        """Whether the other space samples the same turns for the same seed."""
        return isinstance(other, TurnSpace) and self.tools == other.tools and self._suggestions == other._suggestions

    def __repr__(self) -> str:
        """The space by the number of its tools."""
        return f"TurnSpace({len(self.tools)} tools)"


class ObservationSpace(DrawnSpace[Observation]):
    """All observations.

    Args:
        seed: Seeds the space's own generator; None takes one from the system.
    """

    def __init__(self, seed: Seed = None):
        super().__init__(seed=seed)

    def draw(self, rng: random.Random) -> Observation:
        """Draw an observation from a generator."""
        if rng.random() < 0.2:
            return Observation((Message("system", some_text(rng, 8)), Message("user", some_text(rng, 8))))
        results = (ToolResult(f"call_{n}", "sql", some_text(rng, 8)) for n in range(rng.randrange(1, 3)))
        return Observation(tuple(results))

    def contains(self, x: Any) -> bool:
        """Whether `x` is an `Observation` of messages and results whose fields are texts."""
        return (
            isinstance(x, Observation)
            and isinstance(x.messages, tuple)
            and all(_is_message(message) for message in x.messages)
        )

    def to_jsonable(self, sample_n: Sequence[Observation]) -> list[JSON]:  # type: ignore[override]
        """The observations as plain data."""
        return [{"messages": [asdict(m) for m in observation.messages]} for observation in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[Observation]:
        """The observations that `to_jsonable` wrote, also after a round trip through JSON text."""
        return [
            Observation(tuple(Message(**m) if "role" in m else ToolResult(**m) for m in item["messages"]))
            for item in sample_n
        ]

    def __eq__(self, other: object) -> bool:
        """All observation spaces are the same one."""
        return isinstance(other, ObservationSpace)

    def __repr__(self) -> str:
        """The space's name."""
        return "ObservationSpace()"


@create_shared_memory.register(ObservationSpace)
def _no_shared_memory(space: ObservationSpace, n: int = 1, ctx: object = None) -> object:
    """What an asynchronous vector environment asks for unless it is told not to."""
    raise gym.error.Error(
        "observations are texts, of which no array can be shared between processes: call make_vec with "
        'vector_kwargs={"shared_memory": False, "autoreset_mode": gymnasium.vector.AutoresetMode.DISABLED}'
    )


@banked("code", 64)
def _known(suite: Suite) -> tuple[tuple[ToolSpec, ...], Suggestions]:
    """The suite's tools, and texts worth sending to them; kept, because every fork makes a space."""
    tools = (*STANDARD.values(), *suite.endpoint_tools.values())
    return tuple(tool.spec for tool in tools), suggestions(suite)


def _broken(rng: random.Random, call: ToolCall) -> ToolCall:
    kind = rng.randrange(4)
    if kind == 0:
        return ToolCall(call.id, call.name + "s", call.arguments)
    if kind == 1:
        return ToolCall(call.id, call.name, {**(call.arguments or {}), "extra": some_text(rng, 1)})
    if kind == 2:
        return ToolCall(call.id, call.name, {name: [None] for name in call.arguments or {}})
    return ToolCall(call.id, call.name, None, '{"query": ')


def _turn(item: Mapping[str, Any]) -> Turn:
    calls = tuple(ToolCall(**call) for call in item["tool_calls"])
    lists = {name: None if item[name] is None else tuple(item[name]) for name in ("token_ids", "logprobs")}
    return Turn(**{**item, "tool_calls": calls, **lists})


def _is_call(call: object) -> bool:
    return (
        isinstance(call, ToolCall)
        and isinstance(call.id, str)
        and isinstance(call.name, str)
        and (call.arguments is None or isinstance(call.arguments, dict))
        and isinstance(call.raw, str)
    )


def _is_message(message: object) -> bool:
    if isinstance(message, Message):
        return isinstance(message.role, str) and isinstance(message.content, str)
    return isinstance(message, ToolResult) and all(
        isinstance(text, str) for text in (message.call_id, message.name, message.content, message.code)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _all_of(values: object, kind: type) -> bool:
    return isinstance(values, tuple) and all(isinstance(value, kind) for value in values)
