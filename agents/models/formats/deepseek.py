# ruff: noqa: RUF001, RUF002 - the characters are the models' own
"""The marks of DeepSeek V3 and V3.1, and those of Kimi K2: a name, a mark, and a JSON object between marks.

Sources: the chat templates of DeepSeek V3, R1 and V3.1 and of Kimi K2; vLLM's parsers of these names.
"""

from __future__ import annotations

import re
from functools import partial

from faultgym.agents.models.formats.format import Format, Tools
from faultgym.agents.models.formats.qwen import THINK, thoughts_before
from faultgym.agents.models.formats.scan import arguments_text, named_call, thoughts_text, turn_of
from faultgym.core.jsontext import after_space, value_at
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

BEGIN, END = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
SECTION, SECTION_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
SEP = "<｜tool▁sep｜>"
FENCE = "\n```json\n"
KIMI, KIMI_END = "<|tool_call_begin|>", "<|tool_call_end|>"
KIMI_SECTION, KIMI_SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
KIMI_ARGUMENTS = "<|tool_call_argument_begin|>"
_FENCED = re.compile(rf"\s*function\s*{re.escape(SEP)}\s*(?P<name>[\w.-]{{1,80}})\s*```(?:json)?")
_SECTIONS = re.compile("|".join(map(re.escape, (SECTION, SECTION_END, KIMI_SECTION, KIMI_SECTION_END))))
_HEADER = re.compile(r"\s*(?P<id>(?:functions\.)?(?P<name>[^:\s<]+):\d+)\s*$")


def parse_deepseek(text: str) -> Turn:
    """Calls between DeepSeek's marks: `name<sep>{...}`, or `function<sep>name` with a fenced JSON object.

    Example:
        >>> text = '<｜tool▁call▁begin｜>look<｜tool▁sep｜>{"order": 7}<｜tool▁call▁end｜>'
        >>> parse_deepseek(text).tool_calls[0].arguments
        {'order': 7}
    """
    reasoning, rest = split_thoughts(text, calls=BEGIN)
    texts, calls = [], list[ToolCall]()
    at = 0
    while (start := rest.find(BEGIN, at)) >= 0:
        texts.append(rest[at:start])
        call, at = _deepseek_call(rest, start + len(BEGIN))
        calls.append(call)
    texts.append(rest[at:])
    return turn_of([_SECTIONS.sub("", part) for part in texts], calls, reasoning)


def _deepseek_call(text: str, begin: int) -> tuple[ToolCall, int]:
    end = text.find(END, begin)
    fenced = _FENCED.match(text, begin)
    if fenced is None:
        call, behind = named_call(text, begin, SEP, END)
    else:
        value = value_at(text, fenced.end())
        raw = text[fenced.end() : len(text) if end < 0 else end].strip().removesuffix("```").strip()
        call, behind = ToolCall("", fenced["name"], None, raw), end
        if value is not None and isinstance(value[0], dict):
            call, behind = ToolCall("", fenced["name"], value[0]), value[1]
            fence = after_space(text, behind)
            behind = fence + 3 if text.startswith("```", fence) else behind
    place = after_space(text, behind) if behind >= 0 else -1
    if place >= 0 and text.startswith(END, place):
        return call, place + len(END)
    return (call, behind) if end < 0 and behind >= 0 else _unended(text, begin, end, call)


def _unended(text: str, begin: int, end: int, call: ToolCall) -> tuple[ToolCall, int]:
    """(the call, the place behind it) where something else than its end stands behind its arguments."""
    stop = len(text) if end < 0 else end
    raw = text[begin:stop].partition(SEP)[2].strip()
    broken = call if call.arguments is None else ToolCall("", call.name, None, raw)
    return broken, stop if end < 0 else end + len(END)


def write_deepseek(turn: Turn, before: str = "", after: str = SEP, end: str = "") -> str:
    """The turn as DeepSeek V3.1 writes it; V3 with other marks in the call.

    Args:
        turn: The turn.
        before: What stands before a name.
        after: What stands between name and arguments.
        end: What ends the arguments.
    """
    calls = "".join(f"{BEGIN}{before}{call.name}{after}{arguments_text(call)}{end}{END}" for call in turn.tool_calls)
    return thoughts_text(turn) + turn.text + (f"{SECTION}{calls}{SECTION_END}" if calls else "")


def read_kimi(text: str, tools: Tools) -> Turn:
    """Kimi K2's turn: `functions.NAME:NUMBER`, which is the call's id too, a mark, and a JSON object.

    Args:
        text: What the model wrote.
        tools: Those by whose schemas values are typed.

    Example:
        >>> text = '<|tool_call_begin|>functions.look:0<|tool_call_argument_begin|>{"order": 7}<|tool_call_end|>'
        >>> read_kimi(text, ()).tool_calls
        (ToolCall(id='functions.look:0', name='look', arguments={'order': 7}, raw=''),)
    """
    reasoning, rest = thoughts_before(text, THINK, KIMI_SECTION, KIMI)
    texts: list[str] = []
    calls: list[ToolCall] = []
    at = 0
    while (start := rest.find(KIMI, at)) >= 0:
        texts.append(rest[at:start])
        call, at = _kimi_call(rest, start + len(KIMI))
        calls.append(call)
    texts.append(rest[at:])
    return turn_of([_SECTIONS.sub("", part) for part in texts], calls, reasoning, tools)


def _kimi_call(text: str, begin: int) -> tuple[ToolCall, int]:
    """(the call, the place behind it); a mark inside its JSON is part of it."""
    ends = [place for mark in (KIMI, KIMI_END) if (place := text.find(mark, begin)) >= 0]
    mark = text.find(KIMI_ARGUMENTS, begin, min(ends, default=len(text)))
    named = _HEADER.match(text[begin:mark]) if mark >= 0 else None
    inside = mark + len(KIMI_ARGUMENTS) if mark >= 0 else begin
    value = value_at(text, inside) if named is not None else None
    if named is not None and value is not None and isinstance(value[0], dict):
        behind = after_space(text, value[1])
        at = behind + len(KIMI_END) if text.startswith(KIMI_END, behind) else value[1]
        return ToolCall(named["id"], named["name"], value[0]), at
    end = min(ends, default=len(text))
    raw = _SECTIONS.sub("", text[inside:end]).strip()
    at = end + len(KIMI_END) if text.startswith(KIMI_END, end) else end
    return ToolCall("", "" if named is None else named["name"], None, raw), at


def write_kimi(turn: Turn) -> str:
    """The turn as Kimi K2 writes it; calls without an id of its form are counted."""
    calls = "".join(
        f"{KIMI}functions.{call.name}:{n}{KIMI_ARGUMENTS}{arguments_text(call)}{KIMI_END}"
        for n, call in enumerate(turn.tool_calls)
    )
    thoughts = f"<think>{turn.reasoning}</think>" if turn.reasoning else ""
    return thoughts + turn.text + (f"{KIMI_SECTION}{calls}{KIMI_SECTION_END}" if calls else "")


DEEPSEEK_V3 = Format(
    "deepseek_v3",
    parse_deepseek,
    partial(write_deepseek, before=f"function{SEP}", after=FENCE, end="\n```"),
    False,
    marks=(SECTION, BEGIN),
)
DEEPSEEK_V31 = Format("deepseek_v31", parse_deepseek, write_deepseek, False, marks=(SECTION, BEGIN))
_KIMI_MARKS = (KIMI_SECTION, KIMI)
KIMI_K2 = Format(
    "kimi_k2", partial(read_kimi, tools=()), write_kimi, False, read_kimi, _KIMI_MARKS, own_ids=r"functions\..+:\d+"
)
