"""Tool calls that a server should have read and left in the text, or in the thoughts."""

from __future__ import annotations

import re
from dataclasses import replace

from faultgym.agents.models.formats import FORMATS, Format
from faultgym.core.bank import banked
from faultgym.core.jsontext import after_space, value_at
from faultgym.envs.messages.hermes import CLOSE
from faultgym.envs.messages.marked import calls_of, is_call
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

_FENCE = re.compile(r"\A\s*```(?:json)?\s*(.*?)\s*```\s*\Z", re.DOTALL)
_MEMBERS = {"name", "arguments", "parameters", "id", "type", "function"}


def calls_in_text(text: str, format: str | None) -> tuple[str, tuple[ToolCall, ...]] | None:
    """The calls that stand in a text; what is marked as one and cannot be read is a call without arguments.

    Args:
        text: What the model wrote.
        format: How the model writes calls; None where nobody said so, and only what is unambiguous counts: a mark of a
            known format, or nothing but the JSON of a call, or of a list of them.

    Returns:
        The text without the calls, and the calls; None where there are none.

    Example:
        >>> calls_in_text('Look. <tool_call>{"name": "look", "arguments": {"order": 7}}</tool_call>', None)
        ('Look.', (ToolCall(id='call_0', name='look', arguments={'order': 7}, raw=''),))
        >>> calls_in_text("The order is on its way.", None)
    """
    named = None if format is None else FORMATS.get(format)
    candidates = _marked_by(text) if named is None else [named]
    broken: tuple[str, tuple[ToolCall, ...]] | None = None
    for candidate in candidates:
        read = candidate.parse(text)
        if any(call.arguments is not None for call in read.tool_calls):
            return read.text, read.tool_calls
        if read.tool_calls and broken is None:
            broken = read.text, read.tool_calls
    if broken is not None:
        return broken
    if (bare := _bare_calls(text)) is not None:
        return "", bare
    marked = any(mark in text for candidate in candidates for mark in candidate.marks)
    return ("", (ToolCall("", "", None, text),)) if marked or (named is None and CLOSE in text) else None


def with_calls_left(turn: Turn, format: str) -> Turn:
    """A final turn with the calls that its format did not read: those of another form in its text, and those in
    thoughts that no text follows.

    Args:
        turn: As the format read it.
        format: The format's name.

    Example:
        >>> turn = with_calls_left(Turn(reasoning='So <tool_call>{"name": "look"}</tool_call>'), "hermes")
        >>> turn.tool_calls[0].name, turn.salvaged
        ('look', True)
    """
    if turn.tool_calls:
        return turn
    found = calls_in_text(turn.text, None)
    if found is None and not turn.text.strip() and turn.reasoning:
        inside = calls_in_text(turn.reasoning, format)
        found = None if inside is None else ("", inside[1])
    if found is None:
        return turn
    return replace(turn, text=found[0].strip(), tool_calls=found[1], finish_reason="tool_calls", salvaged=True)


def _marked_by(text: str) -> list[Format]:
    """The formats one of whose marks stands in the text, those with the longest mark first: it says the most."""
    if _any_mark(tuple(FORMATS)).search(text) is None:
        return []
    found: dict[str, tuple[int, Format]] = {}
    for format in FORMATS.values():
        marks = [len(mark) for mark in format.marks if mark in text]
        if marks and format.name not in found:
            found[format.name] = max(marks), format
    return [format for _, format in sorted(found.values(), key=lambda one: (one[1].name == "hermes", -one[0]))]


@banked("code", 2)
def _any_mark(names: tuple[str, ...]) -> re.Pattern[str]:
    """Finds any mark of the formats of these names."""
    return re.compile("|".join(sorted({re.escape(mark) for name in names for mark in FORMATS[name].marks})))


def _bare_calls(text: str) -> tuple[ToolCall, ...] | None:
    """The calls whose JSON is the whole text, perhaps fenced; None where anything else stands there."""
    fenced = _FENCE.match(text)
    inside = text if fenced is None else fenced[1]
    found = value_at(inside)
    if found is None or after_space(inside, found[1]) < len(inside):
        return None
    listed = found[0] if isinstance(found[0], list) else [found[0]]
    if not listed or not all(is_call(item) and set(item) <= _MEMBERS for item in listed):
        return None
    return tuple(calls_of(found[0], inside.strip()))
