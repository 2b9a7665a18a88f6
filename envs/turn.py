"""What passes between a policy and an environment: turns one way, messages the other."""

from __future__ import annotations

from dataclasses import dataclass

from faultgym.tools.types import JSON, ToolCall, ToolResult
from faultgym.tools.values import quick


@dataclass(frozen=True, slots=True)
class Message:
    """A system or user message."""

    role: str
    content: str

    def openai(self) -> JSON:
        """The message as an OpenAI chat message."""
        return {"role": self.role, "content": self.content}


@quick
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
    """`stop`, `tool_calls` or `length` (cut by a token limit), as the server said."""
    token_ids: tuple[int, ...] | None = None
    """Sampled tokens, when the server returns them."""
    logprobs: tuple[float, ...] | None = None
    """One per sampled token, natural logarithm."""

    @property
    def final(self) -> bool:
        """Whether this turn ends the episode."""
        return not self.tool_calls


@quick
@dataclass(frozen=True, slots=True)
class Observation:
    """The messages that are new since the last action, and nothing else."""

    messages: tuple[Message | ToolResult, ...]
