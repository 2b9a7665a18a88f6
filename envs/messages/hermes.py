"""The Hermes form of an assistant message: how many open models write tool calls as text.

    <think>the order may be late</think>
    I will look it up.
    <tool_call>
    {"name": "sql", "arguments": {"query": "SELECT 1"}}
    </tool_call>

Source: the chat template of NousResearch's Hermes 2 Pro, which Qwen's templates follow.
"""

from __future__ import annotations

import json

from faultgym.envs.messages.marked import Marks, marked_calls
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

OPEN, CLOSE = "<tool_call>", "</tool_call>"
THINK, THOUGHT = "<think>", "</think>"

MARKS = Marks((OPEN,), CLOSE)


def parse_hermes(text: str) -> Turn:
    """The turn that the text of an assistant message stands for. Never raises.

    What stands in call tags and is no call becomes a `ToolCall` without arguments and with its text
    in `raw`, which an environment answers as malformed. A tag inside a JSON string is part of the string. A tag that is
    not closed ends at the next opening one, or with the text. Thoughts count only before the first call.

    Args:
        text: What the model wrote.

    Returns:
        The turn; its calls have the ids `call_0`, `call_1`, and so on.

    Example:
        >>> turn = parse_hermes('Look. <tool_call>{"name": "sql", "arguments": {"query": "SELECT 1"}}</tool_call>')
        >>> turn.text, turn.tool_calls[0].name, turn.tool_calls[0].arguments
        ('Look.', 'sql', {'query': 'SELECT 1'})
    """
    reasoning, rest = split_thoughts(text)
    said, calls = marked_calls(rest, MARKS)
    return Turn(
        said,
        tuple([ToolCall(f"call_{n}", call.name, call.arguments, call.raw) for n, call in enumerate(calls)]),
        reasoning,
        finish_reason="tool_calls" if calls else "stop",
    )


def split_thoughts(text: str, tags: tuple[str, str] = (THINK, THOUGHT), calls: str = OPEN) -> tuple[str, str]:
    """Split a text into the reasoning and the rest.

    Args:
        text: The text of a message; the opening tag may be missing, for some templates write it themselves.
        tags: What begins thoughts, and what ends them.
        calls: What begins a call; empty for nothing.

    Returns:
        (reasoning, rest); the reasoning is empty where no thoughts come before the first call.
    """
    begin, end = tags
    start = text.lstrip()
    if start.startswith(begin):
        reasoning, _, rest = start[len(begin) :].partition(end)
        return reasoning.strip(), rest
    reasoning, tag, rest = text.partition(end)
    if tag and (not calls or calls not in reasoning):
        return reasoning.strip(), rest
    return "", text


def format_hermes(turn: Turn) -> str:
    """The text of a turn. `parse_hermes` gives the turn back, but for call ids and space around the texts.

    Args:
        turn: The turn. A call whose name is empty is written as its `raw` text; `raw` texts must not hold call tags.

    Raises:
        ValueError: Arguments are not JSON.

    Example:
        >>> print(format_hermes(Turn("Look.", (ToolCall("call_0", "sql", {"query": "SELECT 1"}),))))
        Look.
        <tool_call>
        {"name": "sql", "arguments": {"query": "SELECT 1"}}
        </tool_call>
    """
    parts = []
    if turn.reasoning or THINK in turn.text or THOUGHT in turn.text:
        parts.append(f"{THINK}\n{turn.reasoning}\n{THOUGHT}")
    if turn.text:
        parts.append(turn.text)
    parts.extend(f"{OPEN}\n{_inside(call)}\n{CLOSE}" for call in turn.tool_calls)
    return "\n".join(parts)


def _inside(call: ToolCall) -> str:
    if call.arguments is None and not call.name:
        return call.raw
    if call.arguments is None:
        return f'{{"name": {_json(call.name)}, "arguments": {call.raw}}}'
    return f'{{"name": {_json(call.name)}, "arguments": {_json(call.arguments)}}}'


def _json(value: object) -> str:
    """JSON text without call tags: only strings can hold them, and there `<` can be escaped."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the arguments are not JSON: {error}") from None
    return text.replace(OPEN, "\\u003c" + OPEN[1:]).replace(CLOSE, "\\u003c" + CLOSE[1:])
