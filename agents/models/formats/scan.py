"""What the readers of all formats share: JSON out of the middle of a text, and calls made of what was found."""

from __future__ import annotations

import json
import re
from typing import Any

from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

_DECODER = json.JSONDecoder()
_NAME = re.compile(r"\s*([\w.-]{1,80})\s*")


def thoughts_text(turn: Turn) -> str:
    """The turn's thoughts as most templates write them; empty where there are none."""
    return f"<think>\n{turn.reasoning}\n</think>\n" if turn.reasoning else ""


def json_object(call: ToolCall, arguments: str) -> str:
    """The call as a JSON object.

    Args:
        call: The call.
        arguments: What the member that holds its arguments is called.
    """
    return json.dumps({"name": call.name, arguments: call.arguments or {}}, ensure_ascii=False)


def named_call(inside: str, sep: str) -> ToolCall:
    """A call that is written as its name, a mark (or none), and a JSON object.

    Args:
        inside: What is written.
        sep: The mark.

    Example:
        >>> named_call('look[ARGS]{"order": 7}', "[ARGS]").arguments
        {'order': 7}
    """
    found = _NAME.match(inside)
    if found is None:
        return ToolCall("", "", None, inside)
    raw = inside[found.end() :].removeprefix(sep).strip()
    value, left = json_value(raw)
    if isinstance(value, dict) and not left.strip():
        return ToolCall("", found[1], value)
    return ToolCall("", found[1], None, raw)


def json_call(name: str, arguments: Any) -> ToolCall:
    """The call of that name with what a JSON text gave as its arguments.

    Args:
        name: The tool's.
        arguments: Any JSON value: what is no object becomes the call's raw text.
    """
    if isinstance(arguments, dict):
        return ToolCall("", name, arguments)
    raw = arguments if isinstance(arguments, str) else dumped(arguments, "")
    return ToolCall("", name, None, raw)


def dumped(value: object, written: str) -> str:
    """The value as JSON; what was written where it is nested so deeply that it can be read and not be written.

    Args:
        value: What was read.
        written: The text it was read from.
    """
    try:
        return json.dumps(value)
    except RecursionError:
        return written


def json_value(text: str) -> tuple[Any, str]:
    """The JSON value that a text begins with.

    Returns:
        (the value, what comes after it); (None, the text) where there is none.

    Example:
        >>> json_value('{"a": 1} and more')
        ({'a': 1}, ' and more')
    """
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None, text
    return value, text[end:]


def turn_of(head: str, calls: list[ToolCall], reasoning: str) -> Turn:
    """The turn with these calls.

    Args:
        head: The text beside the calls.
        calls: The calls, in order.
        reasoning: The thoughts.
    """
    return Turn(head.strip(), tuple(calls), reasoning, finish_reason="tool_calls" if calls else "stop")
