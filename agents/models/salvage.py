"""Tool calls that a server should have read and left in the text, or in the thoughts."""

from __future__ import annotations

import orjson

from faultgym.agents.models.formats import FORMATS
from faultgym.envs.messages.hermes import CLOSE, OPEN
from faultgym.tools.types import ToolCall

MARKS = {
    OPEN: "hermes",
    CLOSE: "hermes",
    "<|python_tag|>": "llama3",
    "[TOOL_CALLS]": "mistral",
    "<｜tool▁call": "deepseek",  # noqa: RUF001 - the model's own characters
}
"""What no answer holds -> the format whose calls it marks."""
_ARGUMENTS = ("arguments", "parameters")


def calls_in_text(text: str, format: str | None) -> tuple[str, tuple[ToolCall, ...]] | None:
    """The calls that stand in a text; what is marked as one and cannot be read is a call without arguments.

    Args:
        text: What the model wrote.
        format: How the model writes calls; None where nobody said so, and only what is unambiguous counts: a mark of a
            known format, or nothing but the JSON object of a call.

    Returns:
        The text without the calls, and the calls; None where there are none.

    Example:
        >>> calls_in_text('Look. <tool_call>{"name": "look", "arguments": {"order": 7}}</tool_call>', None)
        ('Look.', (ToolCall(id='call_0', name='look', arguments={'order': 7}, raw=''),))
        >>> calls_in_text("The order is on its way.", None)
    """
    name = format or next((found for mark, found in MARKS.items() if mark in text), None)
    if name is None and (call := _bare_call(text)) is not None:
        return "", (call,)
    if name is None:
        return None
    read = FORMATS[name].parse(text)
    if read.tool_calls:
        return read.text, read.tool_calls
    if any(mark in text for mark, found in MARKS.items() if found == name):
        return "", (ToolCall("", "", None, text),)
    return None


def _bare_call(text: str) -> ToolCall | None:
    """The call whose JSON object is the whole text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    for key in _ARGUMENTS if isinstance(value, dict) else ():
        if set(value) == {"name", key} and isinstance(value["name"], str) and isinstance(value[key], dict):
            return ToolCall("", value["name"], value[key])
    return None
