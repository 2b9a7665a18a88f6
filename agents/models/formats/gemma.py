"""FunctionGemma's form: `<start_function_call>call:NAME{key:<escape>text<escape>,other:7}<end_function_call>`.

Sources: the chat template of functiongemma-270m-it; vLLM's parser `functiongemma`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import orjson

from faultgym.agents.models.formats.format import Format, Tools
from faultgym.agents.models.formats.scan import turn_of, written
from faultgym.agents.models.formats.values import from_text, kinds, properties
from faultgym.core.json import JSON
from faultgym.core.jsontext import after_space
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

BEGIN, END, ESCAPE = "<start_function_call>", "<end_function_call>", "<escape>"
_HEAD = re.compile(r"\s*call:\s*([\w.-]{1,80})\s*\{")
_KEY = re.compile(r"\s*(?:<escape>(.*?)<escape>|([^\s:{}\[\],<]+))\s*:", re.DOTALL)
_BARE = re.compile(r"[^,\]}<]*")
_DEEP = 32


class _Broken(ValueError):
    """Here stands no value."""


def read_functiongemma(text: str, tools: Tools) -> Turn:
    """The turn of a text in FunctionGemma's form.

    Args:
        text: What the model wrote.
        tools: By whose schemas texts stay texts; else those that are JSON are read as JSON, as vLLM does.

    Example:
        >>> text = "<start_function_call>call:look{order:7,by:<escape>Ada<escape>}<end_function_call>"
        >>> read_functiongemma(text, ()).tool_calls[0].arguments
        {'order': 7, 'by': 'Ada'}
    """
    reasoning, rest = split_thoughts(text, calls=BEGIN)
    head, *pieces = rest.split(BEGIN)
    texts, calls = [head], list[ToolCall]()
    for piece in pieces:
        call, behind = _call(piece, tools)
        calls.append(call)
        texts.append(behind)
    return turn_of(texts, calls, reasoning)


def _call(piece: str, tools: Tools) -> tuple[ToolCall, str]:
    head = _HEAD.match(piece)
    inside, _, behind = piece.partition(END)
    if head is None:
        return ToolCall("", "", None, inside.strip()), behind
    try:
        found, at = _members(piece, head.end(), 0)
    except _Broken:
        return ToolCall("", head[1], None, inside.strip()), behind
    schemas = properties(tools, head[1])
    arguments = {key: _typed(value, schemas.get(key)) for key, value in found.items()}
    at = after_space(piece, at)
    return ToolCall("", head[1], arguments), piece[at:].removeprefix(END)


class _Text(str):
    """A text that was written as one."""


def _typed(value: Any, schema: Any) -> Any:
    if isinstance(value, _Text):
        return from_text(str(value), kinds(schema)) if isinstance(schema, dict) else _json(str(value))
    if isinstance(value, dict):
        return {key: str(item) if isinstance(item, _Text) else _typed(item, None) for key, item in value.items()}
    if isinstance(value, list):
        return [str(item) if isinstance(item, _Text) else _typed(item, None) for item in value]
    return value


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except (ValueError, UnicodeEncodeError):
        return text


def _members(text: str, at: int, depth: int) -> tuple[JSON, int]:
    """(the members of an object, the place behind its brace)."""
    found: JSON = {}
    while not text.startswith("}", at := after_space(text, at)):
        key = _KEY.match(text, at)
        if key is None:
            raise _Broken
        name = key[1] if key[1] is not None else key[2]
        found[name], at = _value(text, key.end(), depth + 1)
        at = _comma(text, at, "}")
    return found, at + 1


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    at = after_space(text, at)
    if depth > _DEEP:
        raise _Broken
    if text.startswith(ESCAPE, at):
        end = text.find(ESCAPE, at + len(ESCAPE))
        if end < 0:
            raise _Broken
        return _Text(text[at + len(ESCAPE) : end]), end + len(ESCAPE)
    if text.startswith("{", at):
        return _members(text, at + 1, depth)
    if text.startswith("[", at):
        items: list[Any] = []
        at += 1
        while not text.startswith("]", at := after_space(text, at)):
            item, at = _value(text, at, depth + 1)
            items.append(item)
            at = _comma(text, at, "]")
        return items, at + 1
    bare = _BARE.match(text, at)
    if bare is None or not bare[0].strip():
        raise _Broken
    return _json(bare[0].strip()), bare.end()


def _comma(text: str, at: int, close: str) -> int:
    at = after_space(text, at)
    if text.startswith(",", at):
        return at + 1
    if text.startswith(close, at):
        return at
    raise _Broken


def write_functiongemma(turn: Turn) -> str:
    """The turn as FunctionGemma writes it."""
    calls = "".join(f"{BEGIN}call:{call.name}{{{_inside(call)}}}{END}" for call in turn.tool_calls)
    thoughts = f"<think>{turn.reasoning}</think>" if turn.reasoning else ""
    return thoughts + turn.text + calls


def _inside(call: ToolCall) -> str:
    return call.raw if call.arguments is None else _object(call.arguments)[1:-1]


def _object(value: JSON) -> str:
    return "{" + ",".join(f"{key}:{_written(item)}" for key, item in value.items()) + "}"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return f"{ESCAPE}{value}{ESCAPE}"
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return written(value)


FUNCTIONGEMMA = Format(
    "functiongemma",
    partial(read_functiongemma, tools=()),
    write_functiongemma,
    False,
    read_functiongemma,
    (BEGIN,),
)
