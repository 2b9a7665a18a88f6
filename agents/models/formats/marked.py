"""Hermes' form with other marks: JSON objects, or lists of them, each family between marks of its own.

Sources: the chat templates of Hermes 2 Pro (Qwen 2.5 and 3, SmolLM3 and Granite 4 follow it), Granite 3 and Granite 20B
function calling, Phi-4 mini, Nemotron Nano 2, LongCat, Jamba.
"""

from __future__ import annotations

from functools import partial

from faultgym.agents.models.formats.format import Format, Tools
from faultgym.agents.models.formats.scan import json_list, json_object, thoughts_text, turn_of
from faultgym.envs.messages.hermes import CLOSE, OPEN, split_thoughts
from faultgym.envs.messages.marked import Marks, marked_calls
from faultgym.envs.messages.turn import Turn

GRANITE = ("<|tool_call|>", OPEN)
FUNCTOOLS = "functools["


def read_marked(text: str, marks: Marks) -> Turn:
    """The turn of a text whose calls are JSON between marks.

    Args:
        text: What the model wrote.
        marks: Its family's.
    """
    reasoning, rest = split_thoughts(text, calls=marks.opens[0])
    said, calls = marked_calls(rest, marks)
    return turn_of(said, calls, reasoning)


def read_granite(text: str, tools: Tools) -> Turn:
    """Granite 3's turn: a list after a mark, and what follows the list is text."""
    turn = read_marked(text, Marks(GRANITE, CLOSE, strict=False))
    return turn_of(turn.text, turn.tool_calls, turn.reasoning, tools)


def write_each(turn: Turn, begin: str, end: str) -> str:
    """The turn with each call between marks of its own.

    Args:
        turn: The turn.
        begin: What begins a call.
        end: What ends it.
    """
    return "\n".join(_said(turn) + [f"{begin}{json_object(call)}{end}" for call in turn.tool_calls])


def write_list(turn: Turn, begin: str, end: str) -> str:
    """The turn with its calls as one list between marks.

    Args:
        turn: The turn.
        begin: What begins the list.
        end: What ends it.
    """
    return "\n".join(_said(turn) + [f"{begin}{json_list(turn)}{end}"] * bool(turn.tool_calls))


def _said(turn: Turn) -> list[str]:
    said = thoughts_text(turn) + turn.text
    return [said] if said else []


def _marked(name: str, marks: Marks, begin: str, *, each: bool = False, own: tuple[str, ...] | None = None) -> Format:
    write = partial(write_each if each else write_list, begin=begin, end=marks.close)
    return Format(name, partial(read_marked, marks=marks), write, marks=marks.opens if own is None else own)


LONGCAT = _marked("longcat", Marks(("<longcat_tool_call>",), "</longcat_tool_call>"), "<longcat_tool_call>", each=True)
GRANITE_20B = _marked("granite-20b-fc", Marks(("<function_call>",), strict=False), "<function_call> ", each=True)
PHI4 = _marked(
    "phi4_mini_json",
    Marks((FUNCTOOLS, "<|tool_call|>"), "<|/tool_call|>", strict=False),
    "<|tool_call|>",
    own=(FUNCTOOLS,),
)
NEMOTRON_JSON = _marked("nemotron_json", Marks(("<TOOLCALL>",), "</TOOLCALL>"), "<TOOLCALL>")
_ACTION = "<|action_start|><|plugin|>"
INTERNLM = _marked("internlm", Marks((_ACTION,), "<|action_end|>"), f"{_ACTION}\n", each=True)
_GIGACHAT = Marks(("<|function_call|>", "function call<|role_sep|>\n"), strict=False)
GIGACHAT = _marked("gigachat3", _GIGACHAT, "<|function_call|>", each=True)
JAMBA = _marked("jamba", Marks(("<tool_calls>",), "</tool_calls>"), "<tool_calls>")
GRANITE_3 = Format(
    "granite",
    partial(read_granite, tools=()),
    partial(write_list, begin="<|tool_call|>", end=""),
    typed=read_granite,
    marks=("<|tool_call|>",),
)
