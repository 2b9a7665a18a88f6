"""Calls as Python: a list of them (Llama 4, Llama 3.2), between marks (LFM2), or one a line (OLMo 3).

Sources: the chat templates of Llama 4, LFM2 and OLMo 3; vLLM's parsers of these names.
"""

from __future__ import annotations

import re
from functools import partial

from faultgym.agents.models.formats.format import Format
from faultgym.agents.models.formats.literals import Literals, NotLiteral, requoted
from faultgym.agents.models.formats.scan import thoughts_text, turn_of
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

START, END = "<|tool_call_start|>", "<|tool_call_end|>"
LINES, LINES_END = "<function_calls>", "</function_calls>"
_BEGINS = re.compile(r"\[\s*([A-Za-z_][\w.]*)\s*\(")
_LLAMA = re.compile(r"<\|python_(?:start|end)\|>")


def read_list(text: str) -> Turn:
    """The turn of a text that is a list of calls, as Llama 4 writes them; any other text is an answer.

    Example:
        >>> read_list('[look(order=7)]').tool_calls[0].arguments
        {'order': 7}
    """
    reasoning, rest = split_thoughts(text, calls="")
    plain = rest.strip().removeprefix("<|python_start|>").lstrip()
    if _BEGINS.match(plain) is None:
        return turn_of(_LLAMA.sub("", plain), (), reasoning)
    calls, behind = _listed(plain, 0)
    return turn_of(_LLAMA.sub("", plain[behind:]), calls, reasoning)


def read_lfm2(text: str) -> Turn:
    """The turn of a text whose lists of calls stand between LFM2's marks."""
    reasoning, rest = split_thoughts(text, calls=START)
    texts: list[str] = []
    calls: list[ToolCall] = []
    at = 0
    while (start := rest.find(START, at)) >= 0:
        texts.append(rest[at:start].rpartition(END)[2])  # what stands before an end is an echo of the calls
        inside, at = _listed(rest, start + len(START))
        calls.extend(inside)
    texts.append(rest[at:].rpartition(END)[2])
    return turn_of(texts, calls, reasoning)


def read_lines(text: str) -> Turn:
    """The turn of a text with one call a line, as OLMo 3 writes them between marks."""
    reasoning, rest = split_thoughts(text, calls=LINES)
    before, mark, inside = rest.partition(LINES)
    if not mark:
        return turn_of(rest, (), reasoning)
    literals = Literals(inside)
    calls: list[ToolCall] = []
    while not literals.skip(LINES_END) and literals.at < len(inside):
        start = literals.at
        try:
            calls.append(ToolCall("", *literals.call()))
            literals.skip(",")
        except NotLiteral:
            literals.at = _line_end(inside, start)
            calls.append(_broken(inside[start : literals.at]))
    return turn_of([before, inside[literals.at :]], calls or [ToolCall("", "", None, inside)], reasoning)


def _line_end(text: str, at: int) -> int:
    ends = [end for mark in ("\n", LINES_END) if (end := text.find(mark, at)) >= 0]
    return min(ends, default=len(text))


def _listed(text: str, at: int) -> tuple[list[ToolCall], int]:
    """(the calls of a list, the place behind it); what cannot be read is one malformed call.

    A string with quotes of its own kind in it is read where there is one way to read it, as vLLM does.
    """
    calls, behind, readable = _read(text, at)
    if readable:
        return calls, behind
    others = [(_read(other, at), added) for other, added in requoted(text, at)]
    others = [(found, added) for found, added in others if found[2]]
    if len(others) == 1:
        (calls, behind, _), added = others[0]
        return calls, behind - added
    end = text.find(END, at)
    stop = len(text) if end < 0 else end
    return [*calls, _broken(text[behind if calls else at : stop])], stop


def _read(text: str, at: int) -> tuple[list[ToolCall], int, bool]:
    """(the calls that can be read, the place behind them, whether these are the whole list)."""
    literals = Literals(text, at)
    calls: list[ToolCall] = []
    behind = at
    try:
        if not literals.skip("["):
            return calls, behind, False
        while not literals.skip("]"):
            calls.append(ToolCall("", *literals.call()))
            behind = literals.at
            if not literals.skip(",") and not literals.skip(";"):
                closed = literals.skip("]")
                return calls, literals.at if closed else behind, closed
    except NotLiteral:
        return calls, behind, False
    return calls, literals.at, bool(calls)


def _broken(inside: str) -> ToolCall:
    name = re.match(r"[\s\[,;]*([A-Za-z_][\w.]{0,79})\s*\(", inside)
    return ToolCall("", "" if name is None else name[1], None, inside.strip())


def python_call(call: ToolCall) -> str:
    """The call as Python.

    Example:
        >>> python_call(ToolCall("", "look", {"order": 7, "late": None}))
        'look(order=7, late=None)'
    """
    if call.arguments is None:
        return f"{call.name}({call.raw})"
    return f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"


def write_list(turn: Turn, begin: str = "", end: str = "", between: str = ", ", brackets: str = "[]") -> str:
    """The turn with its calls as Python, and the text behind them.

    Args:
        turn: The turn.
        begin: What begins the calls.
        end: What ends them.
        between: What stands between two calls.
        brackets: What stands around them all.
    """
    if not turn.tool_calls:
        return thoughts_text(turn) + turn.text
    opening, closing = brackets[:1], brackets[1:]
    calls = f"{begin}{opening}{between.join(map(python_call, turn.tool_calls))}{closing}{end}"
    return thoughts_text(turn) + (f"{calls}\n{turn.text}" if turn.text else calls)


LLAMA4_PYTHONIC = Format("llama4_pythonic", read_list, write_list, marks=("<|python_start|>",))
PYTHONIC = Format("pythonic", read_list, write_list)
LFM2 = Format("lfm2", read_lfm2, partial(write_list, begin=START, end=END), False, marks=(START,))
OLMO3 = Format(
    "olmo3",
    read_lines,
    partial(write_list, begin=LINES, end=LINES_END, between="\n", brackets=""),
    marks=(LINES,),
)
