"""Calls as JSON objects between marks: the form of Hermes and of all that follow it, with other marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from faultgym.core.jsontext import after_space, json_text, value_at
from faultgym.tools.types import ToolCall

ARGUMENTS = ("arguments", "parameters")
"""What the member that holds a call's arguments is called."""
_HEAD = re.compile(r'\{\s*"name"\s*:\s*"([\w.-]{1,80})"\s*,\s*"(?:arguments|parameters)"\s*:\s*')
"""A call up to its arguments, also of one that is not valid JSON."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands around calls."""

    opens: tuple[str, ...]
    """Any of these begins a call, or a list of calls. The bracket of one that ends with it belongs to the JSON."""
    close: str = ""
    """What ends it; empty where its JSON's last bracket does."""
    strict: bool = True
    """Whether text between the JSON and the closing mark makes the call a malformed one; else it is text."""
    opening: re.Pattern[str] = field(init=False, compare=False)
    """Finds any of `opens`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "opening", re.compile("|".join(map(_pattern, self.opens))))


def marked_calls(text: str, marks: Marks) -> tuple[str, list[ToolCall]]:
    """The text beside the calls, and the calls; what is marked as one and is none has no arguments.

    A mark inside a JSON string is part of the string. A call that is not closed ends at the next opening mark, or
    with the text.

    Args:
        text: What the model wrote, without its thoughts.
        marks: What stands around calls.

    Example:
        >>> marks = Marks(("<call>",), "</call>")
        >>> marked_calls('Look. <call>{"name": "look", "arguments": {"tag": "</call>"}}</call>', marks)
        ('Look.', [ToolCall(id='', name='look', arguments={'tag': '</call>'}, raw='')])
    """
    found = marks.opening.search(text)
    if found is None:
        return text.strip(), []
    places = _Places(text, marks)
    texts: list[str] = []
    calls: list[ToolCall] = []
    at = 0
    while found is not None:
        texts.append(text[at : found.start()])
        inside, at = places.inside(found.end())
        calls.extend(inside)
        found = marks.opening.search(text, at)
    texts.append(text[at:])
    return "\n".join(t for t in map(str.strip, texts) if t), calls


def _pattern(mark: str) -> str:
    return re.escape(mark) if not mark.endswith("[") else rf"{re.escape(mark[:-1])}(?=\s*\[)"


class _Places:
    """Where marks stand in a text, each looked for once: a text of opening marks alone takes one pass."""

    def __init__(self, text: str, marks: Marks):
        self.text, self.marks, self.opening = text, marks, marks.opening
        self._close, self._open = -1, -1

    def inside(self, begin: int) -> tuple[list[ToolCall], int]:
        """(the calls that begin there, the place behind them)."""
        end = min(self._next_open(begin), self._next_close(begin))
        if self.marks.close:
            inside = self.text[begin:end].strip()
            calls = _whole(inside)
            if calls is not None:
                return calls, self._behind(end)
        found = value_at(self.text, begin)
        if found is not None:
            value, stop = found
            behind = after_space(self.text, stop)
            if not self.marks.strict or behind == len(self.text) or self._marked(behind):
                return calls_of(value, self.text[after_space(self.text, begin) : stop]), self._behind(behind, stop)
        return [_broken(self.text[begin:end].strip())], self._behind(end)

    def _marked(self, at: int) -> bool:
        closes = self.marks.close
        return (bool(closes) and self.text.startswith(closes, at)) or self.opening.match(self.text, at) is not None

    def _behind(self, at: int, otherwise: int | None = None) -> int:
        close = self.marks.close
        if close and self.text.startswith(close, at):
            return at + len(close)
        return at if otherwise is None else otherwise

    def _next_open(self, begin: int) -> int:
        if self._open < begin:
            found = self.opening.search(self.text, begin)
            self._open = len(self.text) if found is None else found.start()
        return self._open

    def _next_close(self, begin: int) -> int:
        if self._close < begin:
            found = self.text.find(self.marks.close, begin) if self.marks.close else -1
            self._close = len(self.text) if found < 0 else found
        return self._close


def _whole(inside: str) -> list[ToolCall] | None:
    try:
        return calls_of(orjson.loads(inside), inside)
    except ValueError:  # not JSON, too deep, or half a surrogate pair
        return None


def calls_of(value: Any, written: str) -> list[ToolCall]:
    """The calls that a JSON value stands for, which was marked as one: an object, or a list of them.

    Args:
        value: The value.
        written: Its text.
    """
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [called(item) or ToolCall("", "", None, json_text(item, written)) for item in value]
    return [called(value, written) or ToolCall("", "", None, written)]


def called(value: Any, written: str = "") -> ToolCall | None:
    """The call that a JSON object stands for, also where `function` wraps it; None where it is none.

    Arguments that are no object become the raw text of the call, which is answered as malformed: so are arguments
    that are written as a string, as they are where the model's own server reads them.

    Args:
        value: Any JSON value.
        written: Its text.

    Example:
        >>> called({"type": "function", "function": {"name": "look", "parameters": {"order": 7}}})
        ToolCall(id='', name='look', arguments={'order': 7}, raw='')
    """
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    given: Any = next((value[key] for key in ARGUMENTS if key in value), {})
    if isinstance(given, dict):
        return ToolCall("", value["name"], given)
    named, raw = _pieces(written)
    return ToolCall("", value["name"], None, raw if named else json_text(given, written))


def is_call(value: Any) -> bool:
    """Whether a JSON value that nothing marks is a call: it names a tool and gives its arguments.

    Args:
        value: Any JSON value.

    Example:
        >>> is_call({"name": "Ada", "parameters": {}}), is_call({"name": "Ada", "total": 7})
        (True, False)
    """
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    return isinstance(value, dict) and isinstance(value.get("name"), str) and any(key in value for key in ARGUMENTS)


def objects_in(text: str) -> Iterator[tuple[Any, int, int]]:
    """The JSON objects of a text, from left to right, none inside another: (value or None, where, the place behind).

    The value is None, and the last, where a brace begins no object.

    Args:
        text: Any text.
    """
    at = text.find("{")
    while at >= 0:
        found = value_at(text, at)
        if found is None:
            yield None, at, at
            return
        yield found[0], at, found[1]
        at = text.find("{", found[1])


def _broken(inside: str) -> ToolCall:
    """A call that is not valid JSON: its name and its arguments' text as far as they can be told."""
    name, raw = _pieces(inside)
    return ToolCall("", name, None, raw)


def _pieces(inside: str) -> tuple[str, str]:
    head = _HEAD.match(inside)
    if head is None:
        return "", inside
    raw = inside[head.end() :]
    return head[1], raw[:-1].rstrip() if raw.endswith("}") else raw
