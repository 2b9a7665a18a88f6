"""Llama's form: the chat templates of Llama 3.1 to 3.3."""

from __future__ import annotations

from faultgym.agents.models.formats.scan import json_call, json_object, json_value, thoughts_text, turn_of
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall


def parse_llama3(text: str) -> Turn:
    """`{"name": ..., "parameters": {...}}`, several of them with `;` between, perhaps after `<|python_tag|>`.

    Example:
        >>> parse_llama3('{"name": "look", "parameters": {"order": 7}}').tool_calls[0].arguments
        {'order': 7}
    """
    reasoning, rest = split_thoughts(text)
    head, tag, inside = rest.partition("<|python_tag|>")
    if not tag:
        if not rest.lstrip().startswith("{"):
            return Turn(rest.strip(), (), reasoning)
        head, inside = "", rest
    inside = inside.replace("<|eom_id|>", "").replace("<|eot_id|>", "").strip()
    calls: list[ToolCall] = []
    while inside:
        value, left = json_value(inside)
        if value is None or not isinstance(value, dict) or not isinstance(value.get("name"), str):
            if not tag and not calls and '"name"' not in inside[:40]:
                return Turn(rest.strip(), (), reasoning)  # an answer that happens to be JSON
            calls.append(ToolCall("", "", None, inside))
            break
        calls.append(json_call(value["name"], value.get("parameters", value.get("arguments", {}))))
        inside = left.lstrip().removeprefix(";").strip()
    return turn_of(head, calls, reasoning)


def write_llama3(turn: Turn) -> str:
    """The turn as Llama writes it, its calls after `<|python_tag|>`."""
    calls = "; ".join(json_object(call, "parameters") for call in turn.tool_calls)
    return thoughts_text(turn) + turn.text + (f"<|python_tag|>{calls}" if calls else "")
