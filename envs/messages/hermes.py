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
import re

import orjson

from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

OPEN, CLOSE = "<tool_call>", "</tool_call>"
THINK, THOUGHT = "<think>", "</think>"

_HEAD = re.compile(r'\{\s*"name"\s*:\s*"([\w.-]{1,80})"\s*,\s*"arguments"\s*:\s*')
"""A call up to its arguments, also of one that is not valid JSON."""


def parse_hermes(text: str) -> Turn:
    """The turn that the text of an assistant message stands for. Never raises.

    What stands in call tags and is no call becomes a `ToolCall` without arguments and with its text
    in `raw`, which an environment answers as malformed. A tag that is not closed ends at the next
    opening one, or with the text. Thoughts count only before the first call.

    Args:
        text: What the model wrote.

    Returns:
        The turn; its calls have the ids `call_0`, `call_1`, and so on.

    Example:
        >>> turn = parse_hermes('Look. <tool_call>{"name": "sql", "arguments": {"query": "SELECT 1"}}</tool_call>')
        >>> turn.text, turn.tool_calls[0].name, turn.tool_calls[0].arguments
        ('Look.', 'sql', {'query': 'SELECT 1'})
    """
    reasoning, text = split_thoughts(text)
    head, *rest = text.split(OPEN)
    texts, calls = [head.strip()], []
    for number, piece in enumerate(rest):
        inside, _, after = piece.partition(CLOSE)
        calls.append(_call(f"call_{number}", inside.strip()))
        texts.append(after.strip())
    return Turn(
        "\n".join(t for t in texts if t), tuple(calls), reasoning, finish_reason="tool_calls" if calls else "stop"
    )


def split_thoughts(text: str) -> tuple[str, str]:
    """Split a text into the reasoning and the rest.

    Args:
        text: The text of a message; the opening tag may be missing, for some templates write it themselves.

    Returns:
        (reasoning, rest); the reasoning is empty where no thoughts come before the first call.
    """
    start = text.lstrip()
    if start.startswith(THINK):
        reasoning, _, rest = start[len(THINK) :].partition(THOUGHT)
        return reasoning.strip(), rest
    reasoning, tag, rest = text.partition(THOUGHT)
    if tag and OPEN not in reasoning:
        return reasoning.strip(), rest
    return "", text


def _call(call_id: str, inside: str) -> ToolCall:
    try:
        value = orjson.loads(inside)
    except ValueError:  # not JSON, too deep, or half a surrogate pair
        return ToolCall(call_id, *_pieces(inside))
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return ToolCall(call_id, "", None, inside)
    arguments = value.get("arguments", {})
    if isinstance(arguments, dict):
        return ToolCall(call_id, value["name"], arguments)
    name, _, raw = _pieces(inside)
    return ToolCall(call_id, value["name"], None, raw if name else json_text(arguments, inside))


def json_text(value: object, written: str) -> str:
    """The value as JSON; the text it came from where the value is nested too deeply to be written.

    Args:
        value: What was read from a text.
        written: The text.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return written


def _pieces(inside: str) -> tuple[str, None, str]:
    """(name, None, the arguments' text) as far as they can be told; else no name, and the whole text."""
    head = _HEAD.match(inside)
    if head is None:
        return "", None, inside
    raw = inside[head.end() :]
    return head[1], None, raw[:-1].rstrip() if raw.endswith("}") else raw


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
