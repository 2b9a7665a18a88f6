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

from faultgym.core.errors import UserError
from faultgym.core.registry import Registry
from faultgym.envs.messages.hermes import format_hermes, parse_hermes, split_thoughts
from faultgym.envs.messages.turn import Turn, flaw
from faultgym.tools.types import ToolCall

_DECODER = json.JSONDecoder()
_NAME = re.compile(r"\s*([\w.-]{1,80})\s*")


@dataclass(frozen=True, slots=True)
class Format:
    """How a family of models writes tool calls."""

    name: str
    parse: Callable[[str], Turn]
    """The turn that a message's text stands for. Never raises."""
    write: Callable[[Turn], str]
    """The text of a turn: `parse` gives it back, but for call ids and space around the texts."""
    repeats_text: bool = True
    """Whether the next prompt may hold the message as its text, which keeps it as it was sampled; else its calls
    are given apart, because the chat template insists on it."""


TURNS = (
    Turn("The order is on its way."),
    Turn('Grüße, 日本: 30 < 40 & "done".', reasoning="Say it.", finish_reason="stop"),
    Turn("", (ToolCall("a", "look", {"order": 7}),), finish_reason="tool_calls"),
    Turn(
        "First both.",
        (
            ToolCall("a", "http", {"method": "POST", "path": "/v1/orders", "body": {"tags": ["a", "{b}"], "n": None}}),
            ToolCall("b", "look", {}),
        ),
        "Two calls at once.",
        finish_reason="tool_calls",
    ),
)
"""Turns that every format has to give back as they were."""
GARBAGE = (
    "",
    " ",
    "\x00",
    "\ud800",
    "{",
    "[" * 5000,
    '{"name": ' * 2000,
    '{"name": 3}',
    "</think>",
    "<tool_call>",
    "null",
)


def check_format(name: str, format: Format) -> None:
    """The conformance check for a format of another package.

    Args:
        name: What the format is registered as; stands in the messages.
        format: The format.

    Raises:
        UserError: A turn in `TURNS` is written and read as another one; or `parse` raises, or gives something else than
            a turn, for garbage or for what `write` gives cut short anywhere.
    """
    if not isinstance(format, Format):
        raise UserError(f"text format {name!r} is a {type(format).__name__}, not a Format")
    for turn in TURNS:
        text = _tried(name, "write", format.write, turn)
        if not isinstance(text, str):
            raise UserError(f"text format {name!r}: write gave a {type(text).__name__}, not a str, for {turn}")
        read = _tried(name, "parse", format.parse, text)
        if _meaning(read) != _meaning(turn):
            raise UserError(f"text format {name!r}: {turn} is written as {text!r} and read as {read}")
        for end in range(len(text)):
            _check_parsed(name, format, text[:end])
    for text in GARBAGE:
        _check_parsed(name, format, text)


def _check_parsed(name: str, format: Format, text: str) -> None:
    read = _tried(name, "parse", format.parse, text)
    if not isinstance(read, Turn) or flaw(read):
        raise UserError(f"text format {name!r}: parse({text[:40]!r}) has to give a turn, not {read!r:.80}")


def _tried(name: str, what: str, function: Callable[[Any], Any], given: object) -> Any:
    try:
        return function(given)
    except Exception as error:
        raise UserError(
            f"text format {name!r}: {what} raised {type(error).__name__} ({error}) for {given!r:.80}; it must not raise"
        ) from error


def _meaning(turn: object) -> object:
    if not isinstance(turn, Turn):
        return turn
    return turn.text, turn.reasoning, [(call.name, call.arguments) for call in turn.tool_calls]


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


def write_llama3(turn: Turn) -> str:
    """The turn as Llama writes it, its calls after `<|python_tag|>`."""
    calls = "; ".join(_object(call, "parameters") for call in turn.tool_calls)
    return _thoughts(turn) + turn.text + (f"<|python_tag|>{calls}" if calls else "")


def write_mistral(turn: Turn) -> str:
    """The turn as Mistral's v3 tokenizer has it, its calls as one list."""
    calls = ", ".join(_object(call, "arguments") for call in turn.tool_calls)
    return _thoughts(turn) + turn.text + (f"[TOOL_CALLS] [{calls}]" if calls else "")


def write_deepseek(turn: Turn) -> str:
    """The turn as DeepSeek V3.1 writes it."""
    calls = "".join(
        f"{_CALL_BEGIN}{call.name}{_SEP}{json.dumps(call.arguments or {}, ensure_ascii=False)}{_CALL_END}"
        for call in turn.tool_calls
    )
    return _thoughts(turn) + turn.text + (f"{_CALLS_BEGIN}{calls}{_CALLS_END}" if calls else "")


def _thoughts(turn: Turn) -> str:
    return f"<think>\n{turn.reasoning}\n</think>\n" if turn.reasoning else ""


def _object(call: ToolCall, arguments: str) -> str:
    return json.dumps({"name": call.name, arguments: call.arguments or {}}, ensure_ascii=False)


_CALL_BEGIN = "<｜tool▁call▁begin｜>"  # noqa: RUF001 - the model's own characters
_CALL_END = "<｜tool▁call▁end｜>"  # noqa: RUF001
_CALLS_BEGIN = "<｜tool▁calls▁begin｜>"  # noqa: RUF001
_CALLS_END = "<｜tool▁calls▁end｜>"  # noqa: RUF001
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


FORMATS: Registry[Format] = Registry("text format", "faultgym.text_formats", check=check_format)
"""Name -> format. Other packages add theirs in the entry-point group `faultgym.text_formats`."""
FORMATS.add("hermes", Format("hermes", parse_hermes, format_hermes))
FORMATS.add("llama3", Format("llama3", parse_llama3, write_llama3))
FORMATS.add("mistral", Format("mistral", parse_mistral, write_mistral, repeats_text=False))
FORMATS.add("deepseek", Format("deepseek", parse_deepseek, write_deepseek, repeats_text=False))
FORMATS.add("qwen", FORMATS["hermes"])
