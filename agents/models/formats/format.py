"""What a text format is, and the conformance check for those of other packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from faultgym.core.errors import UserError
from faultgym.envs.messages.turn import Turn, flaw
from faultgym.tools.types import ToolCall, ToolSpec

Tools: TypeAlias = Sequence[ToolSpec]


_END = re.compile(
    r"(?:<\|(?:im_end|eot_id|eom_id|eot|end|endoftext|end_of_text|user|observation)\|>|</s>|<end_of_turn>"
    r"|<｜end▁of▁sentence｜>|<turn\|>|<\|tool_response>)\s*\Z"  # noqa: RUF001 - the model's own characters
)


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
    typed: Callable[[str, Tools], Turn] | None = None
    """`parse` with the tools that were offered, where the text does not say of which type a value is, or where the
    model's own server goes by the schema; None where the text says it all."""
    marks: tuple[str, ...] = ()
    """What begins this format's calls and stands in no answer: by these a call is known where nobody named the
    format."""
    own_ids: str = ""
    """The ids of calls that the model writes itself, and that the results have to name: a regular expression."""

    def read(self, text: str, tools: Tools = ()) -> Turn:
        """The turn that a message's text stands for, its values of the types that the tools' schemas give.

        A token that ends turns counts for nothing at the end: servers that leave marks in the text may leave it too.

        Args:
            text: What the model wrote.
            tools: Those that were offered; without any, values stay as they are written.
        """
        text = _END.sub("", text)
        return self.typed(text, tools) if self.typed is not None and tools else self.parse(text)


_BODY = {"type": "object", "properties": {"tags": {"type": "array"}, "n": {"type": ["null", "string"]}}}
TOOLS = (
    ToolSpec("look", "Look.", {"type": "object", "properties": {"order": {"type": "integer"}}}),
    ToolSpec(
        "http",
        "Ask.",
        {
            "type": "object",
            "properties": {"method": {"type": "string"}, "path": {"type": "string"}, "body": _BODY},
        },
    ),
)
"""The tools of `TURNS`."""
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
        read = _tried(name, "parse", partial(format.read, tools=TOOLS), text)
        if _meaning(read) != _meaning(turn):
            raise UserError(f"text format {name!r}: {turn} is written as {text!r} and read as {read}")
        for end in range(len(text)):
            _check_parsed(name, format, text[:end])
    for text in GARBAGE:
        _check_parsed(name, format, text)


def _check_parsed(name: str, format: Format, text: str) -> None:
    for tools in ((), TOOLS):
        read = _tried(name, "parse", partial(format.read, tools=tools), text)
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
