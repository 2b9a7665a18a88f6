"""The form of FunctionGemma, `<start_function_call>call:NAME{key:<escape>text<escape>,other:7}<end_function_call>`, and
that of Gemma 4, which has other marks.

Sources: the chat templates of functiongemma-270m-it and Gemma 4; vLLM's parsers `functiongemma` and `gemma4`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from faultgym.agents.models.formats.format import Format, Tools
from faultgym.agents.models.formats.scan import WORDS, turn_of, written
from faultgym.agents.models.formats.values import from_text, kinds, properties, typed
from faultgym.core.json import JSON
from faultgym.core.jsontext import after_space
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall


@dataclass(frozen=True, slots=True)
class GemmaMarks:
    """What a family writes around calls, texts and thoughts."""

    begin: str
    ends: tuple[str, ...]
    quote: str
    """What stands before and behind a text."""
    think: tuple[str, str]
    key: re.Pattern[str]
    bare: re.Pattern[str]
    """A value that is no text."""
    says_types: bool
    """Whether a value that is no text is JSON, and so is a text that can be, where no schema says otherwise; else all
    is text until a schema says otherwise. So vLLM has it."""


def _marks(begin: str, ends: tuple[str, ...], quote: str, think: tuple[str, str], says_types: bool) -> GemmaMarks:
    q = re.escape(quote)
    key = re.compile(rf"\s*(?:{q}(.*?){q}|([^\s:{{}}\[\],<]+))\s*:", re.DOTALL)
    return GemmaMarks(begin, ends, quote, think, key, re.compile(r"[^,\]}<]*"), says_types)


FUNCTION = _marks("<start_function_call>", ("<end_function_call>",), "<escape>", ("<think>", "</think>"), True)
GEMMA_4 = _marks("<|tool_call>", ("<tool_call|>", "<turn|>"), '<|"|>', ("<|channel>thought", "<channel|>"), False)
_HEAD = re.compile(r"\s*(?:call)?:\s*([\w.-]{1,80})\s*\{")
_DEEP = 32


class _Broken(ValueError):
    """Here stands no value."""


def read_gemma(text: str, tools: Tools, marks: GemmaMarks = FUNCTION) -> Turn:
    """The turn of a text in FunctionGemma's form, or in Gemma 4's.

    Args:
        text: What the model wrote.
        tools: Those by whose schemas values are typed.
        marks: The family's.

    Example:
        >>> text = "<start_function_call>call:look{order:7,by:<escape>Ada<escape>}<end_function_call>"
        >>> read_gemma(text, ()).tool_calls[0].arguments
        {'order': 7, 'by': 'Ada'}
    """
    reasoning, rest = split_thoughts(text, marks.think, marks.begin)
    head, *pieces = rest.split(marks.begin)
    texts, calls = [head], list[ToolCall]()
    for piece in pieces:
        call, behind = _call(piece, tools, marks)
        calls.append(call)
        texts.append(behind)
    return turn_of(texts, calls, reasoning)


def _call(piece: str, tools: Tools, marks: GemmaMarks) -> tuple[ToolCall, str]:
    head = _HEAD.match(piece)
    inside, _, behind = piece.partition(marks.ends[0])
    if head is None:
        words = re.sub(r"\A\s*(?:call)?:", "", inside).strip()
        alone = behind or piece.endswith(marks.ends[0])
        return ToolCall("", words, {}) if alone and WORDS.fullmatch(words) else _broken(inside), behind
    try:
        found, at = _members(piece, head.end(), 0, marks)
    except _Broken:
        return ToolCall("", head[1], None, inside.strip()), behind
    schemas = properties(tools, head[1])
    arguments = {key: _typed(value, schemas.get(key), marks.says_types) for key, value in found.items()}
    left = piece[after_space(piece, at) :]
    end = next((end for end in marks.ends if left.startswith(end)), "")
    return ToolCall("", head[1], arguments), left.removeprefix(end)


def _broken(inside: str) -> ToolCall:
    return ToolCall("", "", None, inside.strip())


class _Text(str):
    """A text that was written as one."""


def _typed(value: Any, schema: Any, says_types: bool) -> Any:
    if not says_types:
        return typed(_plain(value), schema)
    if not isinstance(value, _Text):
        return _plain(value)
    return from_text(str(value), kinds(schema)) if isinstance(schema, dict) else _json(str(value))


def _plain(value: Any) -> Any:
    """The value with its texts as texts."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except (ValueError, UnicodeEncodeError):
        return text


def _members(text: str, at: int, depth: int, marks: GemmaMarks) -> tuple[JSON, int]:
    """(the members of an object, the place behind its brace)."""
    found: JSON = {}
    while not text.startswith("}", at := after_space(text, at)):
        key = marks.key.match(text, at)
        if key is None:
            raise _Broken
        name = key[1] if key[1] is not None else key[2]
        found[name], at = _value(text, key.end(), depth + 1, marks)
        at = _comma(text, at, "}")
    return found, at + 1


def _value(text: str, at: int, depth: int, marks: GemmaMarks) -> tuple[Any, int]:
    at = after_space(text, at)
    if depth > _DEEP:
        raise _Broken
    quote = marks.quote
    if text.startswith(quote, at):
        end = text.find(quote, at + len(quote))
        if end < 0:
            raise _Broken
        return _Text(text[at + len(quote) : end]), end + len(quote)
    if text.startswith("{", at):
        return _members(text, at + 1, depth, marks)
    if text.startswith("[", at):
        items: list[Any] = []
        at += 1
        while not text.startswith("]", at := after_space(text, at)):
            item, at = _value(text, at, depth + 1, marks)
            items.append(item)
            at = _comma(text, at, "]")
        return items, at + 1
    bare = marks.bare.match(text, at)
    if bare is None or not bare[0].strip():
        raise _Broken
    return _json(bare[0].strip()) if marks.says_types else bare[0].strip(), bare.end()


def _comma(text: str, at: int, close: str) -> int:
    at = after_space(text, at)
    if text.startswith(",", at):
        return at + 1
    if text.startswith(close, at):
        return at
    raise _Broken


def write_gemma(turn: Turn, marks: GemmaMarks = FUNCTION) -> str:
    """The turn as FunctionGemma writes it, or Gemma 4.

    Args:
        turn: The turn.
        marks: The family's.
    """
    calls = "".join(
        f"{marks.begin}call:{call.name}{{{_inside(call, marks.quote)}}}{marks.ends[0]}" for call in turn.tool_calls
    )
    thoughts = f"{marks.think[0]}\n{turn.reasoning}{marks.think[1]}" if turn.reasoning else ""
    return thoughts + turn.text + calls


def _inside(call: ToolCall, quote: str) -> str:
    return call.raw if call.arguments is None else _object(call.arguments, quote)[1:-1]


def _object(value: JSON, quote: str) -> str:
    return "{" + ",".join(f"{key}:{_written(item, quote)}" for key, item in value.items()) + "}"


def _written(value: Any, quote: str) -> str:
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, dict):
        return _object(value, quote)
    if isinstance(value, list):
        return f"[{','.join(_written(item, quote) for item in value)}]"
    return written(value)


def _format(name: str, marks: GemmaMarks) -> Format:
    read = partial(read_gemma, marks=marks)
    return Format(name, partial(read, tools=()), partial(write_gemma, marks=marks), False, read, (marks.begin,))


FUNCTIONGEMMA = _format("functiongemma", FUNCTION)
GEMMA4 = _format("gemma4", GEMMA_4)
