"""Mistral's form: the v3 and v11 tokenizers."""

from __future__ import annotations

from faultgym.agents.models.formats.scan import (
    dumped,
    json_call,
    json_object,
    json_value,
    named_call,
    thoughts_text,
    turn_of,
)
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall


def parse_mistral(text: str) -> Turn:
    """`[TOOL_CALLS] [{"name": ..., "arguments": {...}}]`, or `[TOOL_CALLS]name[ARGS]{...}` for each call.

    Example:
        >>> parse_mistral('[TOOL_CALLS]look[ARGS]{"order": 7}').tool_calls[0].arguments
        {'order': 7}
    """
    reasoning, rest = split_thoughts(text)
    head, *pieces = rest.split("[TOOL_CALLS]")
    calls: list[ToolCall] = []
    for piece in pieces:
        inside = piece.replace("</s>", "").strip()
        if not inside.startswith("["):
            calls.append(named_call(inside, "[ARGS]"))
            continue
        values, _ = json_value(inside)
        if not isinstance(values, list):
            calls.append(ToolCall("", "", None, inside))
            continue
        calls.extend(
            json_call(v["name"], v.get("arguments", {}))
            if isinstance(v, dict) and isinstance(v.get("name"), str)
            else ToolCall("", "", None, dumped(v, inside))
            for v in values
        )
    return turn_of(head, calls, reasoning)


def write_mistral(turn: Turn) -> str:
    """The turn as Mistral's v3 tokenizer has it, its calls as one list."""
    calls = ", ".join(json_object(call, "arguments") for call in turn.tool_calls)
    return thoughts_text(turn) + turn.text + (f"[TOOL_CALLS] [{calls}]" if calls else "")
