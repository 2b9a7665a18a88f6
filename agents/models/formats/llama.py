"""Llama's JSON: the chat templates of Llama 3.1 to 3.3, and of Llama 4 where it is served with `llama4_json`."""

from __future__ import annotations

import re

from faultgym.agents.models.formats.format import Format
from faultgym.agents.models.formats.scan import json_object, thoughts_text, turn_of
from faultgym.core.jsontext import value_at
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.marked import called, calls_of, is_call, objects_in
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

TAG = "<|python_tag|>"
_ENDS = re.compile(r"<\|eo[mt]_id\|>")
_BEGUN = re.compile(
    r'\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?(?:"function"\s*:\s*\{\s*)?"name"\s*:\s*"[^"]*"\s*,\s*"(?:p|a)'
)
"""What a call begins with that is cut before its end."""
_BETWEEN = " \t\r\n[],;"


def parse_llama3(text: str) -> Turn:
    """`{"name": ..., "parameters": {...}}`, several of them with `;` between or as a list, perhaps after some text.

    Without `<|python_tag|>` an object is a call only where it gives `parameters` or `arguments`: else it is an answer.

    Example:
        >>> parse_llama3('{"name": "look", "parameters": {"order": 7}}').tool_calls[0].arguments
        {'order': 7}
        >>> parse_llama3('{"name": "Ada", "total": 7}').tool_calls
        ()
    """
    reasoning, rest = split_thoughts(text, calls=TAG)
    rest = _ENDS.sub("", rest)
    head, tag, inside = rest.partition(TAG)
    if tag:
        calls, behind = _tagged(inside)
        return turn_of([head, behind], calls, reasoning)
    return _untagged(rest, reasoning)


def _untagged(rest: str, reasoning: str) -> Turn:
    texts: list[str] = []
    calls: list[ToolCall] = []
    at = 0
    for value, start, end in objects_in(rest):
        if value is None:
            if _BEGUN.match(rest, start) is None:
                break
            texts.append(rest[at:start])
            calls.append(ToolCall("", "", None, rest[start:].strip()))
            at = len(rest)
        elif is_call(value):
            texts.append(rest[at:start])
            calls.append(called(value, rest[start:end]) or ToolCall("", "", None, rest[start:end]))
            at = end
        else:
            return turn_of(rest, (), reasoning)  # an answer that is JSON, or speaks of it
    texts.append(rest[at:])
    return turn_of([text.strip(_BETWEEN) for text in texts] if calls else rest, calls, reasoning)


def _tagged(inside: str) -> tuple[list[ToolCall], str]:
    """(the calls after the tag, the text behind them); what stands there first is meant as a call."""
    calls: list[ToolCall] = []
    at = 0
    while (found := value_at(inside, at)) is not None and (not calls or isinstance(found[0], dict | list)):
        calls.extend(calls_of(found[0], inside[at : found[1]].strip()))
        at = found[1]
        at += len(inside[at:]) - len(inside[at:].lstrip().removeprefix(";"))
    left = inside[at:].replace(TAG, " ").strip(" \t\r\n;")
    if left and (not calls or left.startswith(("{", "["))):
        return [*calls, ToolCall("", "", None, left)], ""
    return calls or [ToolCall("", "", None, inside)], left


def write_llama3(turn: Turn) -> str:
    """The turn as Llama writes it, its calls after `<|python_tag|>`."""
    calls = "; ".join(json_object(call, "parameters") for call in turn.tool_calls)
    return thoughts_text(turn) + turn.text + (f"{TAG}{calls}" if calls else "")


LLAMA3_JSON = Format("llama3_json", parse_llama3, write_llama3, marks=(TAG,))
