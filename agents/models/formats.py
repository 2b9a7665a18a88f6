"""Tool calls out of a model's text, in the forms in which open models write them.

Where the server parses them (`--tool-call-parser`), none of this is used. Inference engines have parsers
of their own, but theirs belong to a tokenizer, and a turn must not depend on what is installed beside
faultgym; so these are ours, and small. None of them ever raises: what is meant as a call and is none
becomes a `ToolCall` without arguments, which an environment answers as malformed.

Sources: the chat templates of Hermes 2 Pro (Qwen 2.5 and 3 follow it), Llama 3.1 to 3.3, Mistral (v3 and
v11 tokenizers), DeepSeek V3 and V3.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faultgym.envs.messages.hermes import parse_hermes, split_thoughts
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

_DECODER = json.JSONDecoder()
_NAME = re.compile(r"\s*([\w.-]{1,80})\s*")


@dataclass(frozen=True, slots=True)
class Format:
    """How a family of models writes tool calls."""

    name: str
    parse: Callable[[str], Turn]
    """The turn that a message's text stands for."""
    repeats_text: bool = True
    """Whether the next prompt may hold the message as its text, which keeps it as it was sampled; else its calls
    are given apart, because the chat template insists on it."""


def parse_llama3(text: str) -> Turn:
    """`{"name": ..., "parameters": {...}}`, several of them with `;` between, perhaps after `<|python_tag|>`."""
    reasoning, rest = split_thoughts(text)
    head, tag, inside = rest.partition("<|python_tag|>")
    if not tag:
        if not rest.lstrip().startswith("{"):
            return Turn(rest.strip(), (), reasoning)
        head, inside = "", rest
    inside = inside.replace("<|eom_id|>", "").replace("<|eot_id|>", "").strip()
    calls: list[ToolCall] = []
    while inside:
        value, left = _value(inside)
        if value is None or not isinstance(value, dict) or not isinstance(value.get("name"), str):
            if not tag and not calls and '"name"' not in inside[:40]:
                return Turn(rest.strip(), (), reasoning)  # an answer that happens to be JSON
            calls.append(ToolCall("", "", None, inside))
            break
        calls.append(_call(value["name"], value.get("parameters", value.get("arguments", {}))))
        inside = left.lstrip().removeprefix(";").strip()
    return _turn(head, calls, reasoning)


def parse_mistral(text: str) -> Turn:
    """`[TOOL_CALLS] [{"name": ..., "arguments": {...}}]`, or `[TOOL_CALLS]name[ARGS]{...}` for each call."""
    reasoning, rest = split_thoughts(text)
    head, *pieces = rest.split("[TOOL_CALLS]")
    calls: list[ToolCall] = []
    for piece in pieces:
        inside = piece.replace("</s>", "").strip()
        if not inside.startswith("["):
            calls.append(_named(inside, "[ARGS]"))
            continue
        values, _ = _value(inside)
        if not isinstance(values, list):
            calls.append(ToolCall("", "", None, inside))
            continue
        calls.extend(
            _call(v["name"], v.get("arguments", {}))
            if isinstance(v, dict) and isinstance(v.get("name"), str)
            else ToolCall("", "", None, _dumped(v, inside))
            for v in values
        )
    return _turn(head, calls, reasoning)


_CALL_BEGIN = "<｜tool▁call▁begin｜>"  # noqa: RUF001 - the model's own characters
_CALL_END = "<｜tool▁call▁end｜>"  # noqa: RUF001
_CALLS_BEGIN = "<｜tool▁calls▁begin｜>"  # noqa: RUF001
_SEP = "<｜tool▁sep｜>"  # noqa: RUF001


def parse_deepseek(text: str) -> Turn:
    """Calls between DeepSeek's marks: `name<sep>{...}`, or `function<sep>name` with a fenced JSON object."""
    reasoning, rest = split_thoughts(text)
    head, *pieces = rest.split(_CALL_BEGIN)
    calls = []
    for piece in pieces:
        inside = piece.partition(_CALL_END)[0].strip()
        kind, sep, after = inside.partition(_SEP)
        if sep and kind.strip() == "function":
            name, _, fenced = after.partition("\n")
            inside = f"{name.strip()}{_SEP}{fenced.strip().removeprefix('```json').removesuffix('```').strip()}"
        calls.append(_named(inside, _SEP))
    return _turn(head.replace(_CALLS_BEGIN, ""), calls, reasoning)


def _named(inside: str, sep: str) -> ToolCall:
    """A call that is written as its name, a mark (or none), and a JSON object."""
    found = _NAME.match(inside)
    if found is None:
        return ToolCall("", "", None, inside)
    raw = inside[found.end() :].removeprefix(sep).strip()
    value, left = _value(raw)
    if isinstance(value, dict) and not left.strip():
        return ToolCall("", found[1], value)
    return ToolCall("", found[1], None, raw)


def _call(name: str, arguments: Any) -> ToolCall:
    if isinstance(arguments, dict):
        return ToolCall("", name, arguments)
    raw = arguments if isinstance(arguments, str) else _dumped(arguments, "")
    return ToolCall("", name, None, raw)


def _dumped(value: object, written: str) -> str:
    """The value as JSON; what was written where it is nested so deeply that it can be read and not be written."""
    try:
        return json.dumps(value)
    except RecursionError:
        return written


def _value(text: str) -> tuple[Any, str]:
    """(the JSON value that the text begins with, what comes after it); (None, the text) when there is none."""
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None, text
    return value, text[end:]


def _turn(head: str, calls: list[ToolCall], reasoning: str) -> Turn:
    return Turn(head.strip(), tuple(calls), reasoning, finish_reason="tool_calls" if calls else "stop")


FORMATS = {
    format.name: format
    for format in (
        Format("hermes", parse_hermes),
        Format("llama3", parse_llama3),
        Format("mistral", parse_mistral, repeats_text=False),
        Format("deepseek", parse_deepseek, repeats_text=False),
    )
}
FORMATS["qwen"] = FORMATS["hermes"]
