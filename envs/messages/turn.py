"""What passes between a policy and an environment: turns one way, messages the other."""

from __future__ import annotations

from dataclasses import dataclass

from faultgym.core.json import JSON
from faultgym.core.values import fast_init
from faultgym.envs.messages.usage import Usage
from faultgym.tools.types import ToolCall, ToolResult

CONTEXT_OVERFLOW = "context_overflow"
"""The finish reason of a turn that could not be played: the chat no longer fits into the model."""
CONTENT_FILTER = "content_filter"
"""The finish reason of a turn that a filter cut, or did not let the model take."""
CUT_SHORT = ("length", CONTEXT_OVERFLOW, CONTENT_FILTER)
"""Finish reasons of turns that were ended for the model: by a token limit, by its context, by a filter. A last turn
that ended so says nothing of what the model would have done, and gives the episode its stop reason."""


@fast_init
@dataclass(frozen=True, slots=True)
class Message:
    """A system or user message."""

    role: str
    content: str

    def openai(self) -> JSON:
        """The message as an OpenAI chat message."""
        return {"role": self.role, "content": self.content}


@fast_init
@dataclass(frozen=True, slots=True)
class Turn:
    """What a policy does at one step: calls tools, or, calling none, ends the episode with its text."""

    text: str = ""
    """What the user would read; the answer when there are no calls."""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    """Thoughts that are kept apart from the text."""
    confidence: float | None = None
    """Stated probability, in [0, 1], that the answer is right; None when none was stated."""
    finish_reason: str = "stop"
    """`stop` or `tool_calls`, or one of `CUT_SHORT`; where a server has a word of its own, that."""
    token_ids: tuple[int, ...] | None = None
    """Sampled tokens, when the server returns them."""
    logprobs: tuple[float, ...] | None = None
    """One per sampled token, natural logarithm."""
    prompt_ids: tuple[int, ...] | None = None
    """Tokens of the prompt after the first `prompt_kept`, when the server returns them."""
    prompt_kept: int = 0
    """How many of the tokens of the turn before, prompt and sampled, this turn's prompt begins with. All of
    them where the chat template gives back what was sampled; fewer where the two drift apart."""
    extra: str = ""
    """JSON object of what the server's message had beyond what the turn says, or otherwise: it goes back with the turn,
    see `faultgym.agents.models.history`."""
    usage: Usage | None = None
    """What the server counted; None where it said nothing."""
    salvaged: bool = False
    """Whether the calls stood in the text or the thoughts of a server that should have read them, and did not."""

    @property
    def final(self) -> bool:
        """Whether this turn ends the episode."""
        return not self.tool_calls

    @property
    def sampled(self) -> int | None:
        """How many tokens were sampled, returned or counted; None where the server said neither."""
        if self.token_ids is not None:
            return len(self.token_ids)
        return None if self.usage is None else self.usage.completion

    @property
    def ending(self) -> str:
        """The stop reason of an episode that this turn, which calls nothing, ends."""
        return self.finish_reason if self.finish_reason in CUT_SHORT else "final"


def flaw(turn: Turn) -> str:
    """What is wrong with the types of a turn that a policy gave, in words; empty when nothing is.

    Only what the policy's code gets wrong; what a model may get wrong, the tools answer.

    Args:
        turn: What the policy gave.

    Example:
        >>> flaw(Turn("41.50 EUR", confidence=7))
        'confidence is not a number from 0 to 1'
    """
    for name in ("text", "reasoning", "finish_reason", "extra"):
        if not isinstance(getattr(turn, name), str):
            return f"{name} is a {type(getattr(turn, name)).__name__}, not a str"
    if not isinstance(turn.tool_calls, tuple):
        return f"tool_calls is a {type(turn.tool_calls).__name__}, not a tuple"
    for call in turn.tool_calls:
        if not isinstance(call, ToolCall):
            return f"tool_calls holds a {type(call).__name__}, not a ToolCall"
        if not (isinstance(call.id, str) and isinstance(call.name, str) and isinstance(call.raw, str)):
            return "the id, name or raw text of a tool call is not a str"
        if call.arguments is not None and not isinstance(call.arguments, dict):
            return f"the arguments of a tool call are a {type(call.arguments).__name__}, not a dict or None"
    if turn.confidence is not None and not (_number(turn.confidence) and 0 <= turn.confidence <= 1):
        return "confidence is not a number from 0 to 1"
    return _token_flaw(turn)


def _token_flaw(turn: Turn) -> str:
    tokens, logprobs = turn.token_ids, turn.logprobs
    if tokens is not None and not (isinstance(tokens, tuple) and all(type(t) is int for t in tokens)):
        return "token_ids is not a tuple of int"
    if logprobs is not None and not (isinstance(logprobs, tuple) and all(map(_number, logprobs))):
        return "logprobs is not a tuple of finite numbers"
    if turn.usage is not None and not isinstance(turn.usage, Usage):
        return f"usage is a {type(turn.usage).__name__}, not a Usage"
    if type(turn.salvaged) is not bool:
        return "salvaged is not true or false"
    prompt = turn.prompt_ids
    if prompt is not None and not (isinstance(prompt, tuple) and all(type(t) is int for t in prompt)):
        return "prompt_ids is not a tuple of int"
    if type(turn.prompt_kept) is not int or turn.prompt_kept < 0:
        return "prompt_kept is not a count"
    return ""


def _number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < float("inf")  # type: ignore[arg-type]


@fast_init
@dataclass(frozen=True, slots=True)
class Observation:
    """The messages that are new since the last action, and nothing else."""

    messages: tuple[Message | ToolResult, ...]
