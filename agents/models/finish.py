"""Why a turn ended, in the words of many servers."""

from __future__ import annotations

from typing import Any

from faultgym.envs.messages.turn import CONTENT_FILTER, CONTEXT_OVERFLOW

_LENGTH = ("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "token_limit")
_CONTEXT = ("model_length", "context_length_exceeded", "model_context_window_exceeded")
_FILTER = ("content_filter", "safety", "sensitive", "refusal", "recitation", "blocklist", "prohibited_content", "spii")
_NAMES = {
    **dict.fromkeys(_LENGTH, "length"),
    **dict.fromkeys(_CONTEXT, CONTEXT_OVERFLOW),
    **dict.fromkeys(_FILTER, CONTENT_FILTER),
    **dict.fromkeys(("end_turn", "eos", "eos_token", "stop_sequence"), "stop"),
    **dict.fromkeys(("tool_call", "tool_use", "function_call", "malformed_function_call"), "tool_calls"),
}
_BROKEN = frozenset(
    "abort aborted cancel canceled cancelled error failed network_error timeout insufficient_system_resource"
    " unknown_error server_error".split()
)


def finish_named(reason: Any, called: bool) -> str:
    """The finish reason by the name that faultgym has for it; a word that is not known stays as it is.

    Args:
        reason: What a server gave.
        called: Whether the turn calls tools: says what no word says.

    Example:
        >>> finish_named("MAX_TOKENS", False), finish_named(None, True), finish_named("eos", False)
        ('length', 'tool_calls', 'stop')
    """
    if not isinstance(reason, str) or not reason:
        return "tool_calls" if called else "stop"
    word = reason.lower().replace("-", "_").rpartition(": ")[2]  # Gemini: `function_call_filter: MALFORMED_...`
    return _NAMES.get(word, word[:40])


def is_broken_off(reason: Any) -> bool:
    """Whether the word says that the server did not come to the end of the turn, by no doing of the model.

    Example:
        >>> is_broken_off("abort"), is_broken_off("length")
        (True, False)
    """
    return isinstance(reason, str) and reason.lower().replace("-", "_") in _BROKEN
