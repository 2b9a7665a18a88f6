"""Mistral's form: `[TOOL_CALLS]` and a list (to v7), or a name and its arguments (v11, v13); `[THINK]` from v13 on.

Sources: mistral-common's tokenizers v3, v7, v11 and v13; vLLM's parser `mistral`.
"""

from __future__ import annotations

import re
from functools import partial

from faultgym.agents.models.formats.format import Format, Tools
from faultgym.agents.models.formats.scan import WORDS, arguments_text, json_list, turn_of
from faultgym.agents.models.formats.values import typed_call
from faultgym.core.jsontext import value_at
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.marked import calls_of
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

MARK = "[TOOL_CALLS]"
OWN_IDS = "[a-zA-Z0-9]{9}"
"""Other ids are refused by the chat templates."""
THINK = ("[THINK]", "[/THINK]")
_NAMED = re.compile(r"\s*([\w.-]{1,256})\s*(?:\[CALL_ID\]\s*(\w*)\s*)?(\[ARGS\]|(?=\{))")


def read_mistral(text: str, tools: Tools) -> Turn:
    """`[TOOL_CALLS] [{"name": ..., "arguments": {...}}]`, or `[TOOL_CALLS]name[ARGS]{...}` for each call.

    Args:
        text: What the model wrote.
        tools: Those by whose schemas the values of calls with a name before them are typed.

    Example:
        >>> read_mistral('[TOOL_CALLS]look[CALL_ID]a1b2c3d4e[ARGS]{"order": 7} Wait.', ()).tool_calls
        (ToolCall(id='a1b2c3d4e', name='look', arguments={'order': 7}, raw=''),)
    """
    begun = text.lstrip().startswith(THINK[0]) or THINK[1] in text
    reasoning, rest = split_thoughts(text, THINK, MARK) if begun else split_thoughts(text, calls=MARK)
    texts: list[str] = []
    calls: list[ToolCall] = []
    at = 0
    while (start := rest.find(MARK, at)) >= 0:
        texts.append(rest[at:start])
        found, at = _calls_at(rest, start + len(MARK), tools)
        calls.extend(found)
    texts.append(rest[at:])
    if MARK in rest and not calls:
        calls.append(ToolCall("", "", None, ""))
    return turn_of([text.replace("</s>", "") for text in texts], calls, reasoning)


def _calls_at(text: str, begin: int, tools: Tools) -> tuple[list[ToolCall], int]:
    """(the calls after one mark, the place behind them); a mark inside their JSON is part of it."""
    value = value_at(text, begin)
    if value is not None and isinstance(value[0], dict | list):
        return calls_of(value[0], text[begin : value[1]].strip()), value[1]
    calls: list[ToolCall] = []
    at = begin
    while (named := _NAMED.match(text, at)) is not None:
        found = value_at(text, named.end())
        if found is None or not isinstance(found[0], dict):
            end = _end(text, named.end())
            return [*calls, ToolCall(named[2] or "", named[1], None, text[named.end() : end].strip())], end
        calls.append(typed_call(ToolCall(named[2] or "", named[1], found[0]), tools))
        at = found[1]
    if calls:
        return calls, at
    end = _end(text, begin)
    piece = text[begin:end].replace("</s>", "").strip()
    if not piece:
        return [], end
    return [ToolCall("", piece, {}) if WORDS.fullmatch(piece) else ToolCall("", "", None, piece)], end


def _end(text: str, at: int) -> int:
    found = text.find(MARK, at)
    return len(text) if found < 0 else found


def write_list(turn: Turn) -> str:
    """The turn as Mistral's v3 and v7 tokenizers have it, its calls as one list."""
    calls = json_list(turn)
    return _thoughts(turn) + turn.text + (f"{MARK} {calls}" if calls else "")


def write_named(turn: Turn) -> str:
    """The turn as Mistral's v11 and v13 tokenizers have it, each call after a mark of its own."""
    calls = "".join(f"{MARK}{call.name}[ARGS]{arguments_text(call)}" for call in turn.tool_calls)
    return _thoughts(turn) + turn.text + calls


def _thoughts(turn: Turn) -> str:
    return f"{THINK[0]}{turn.reasoning}{THINK[1]}" if turn.reasoning else ""


_parse = partial(read_mistral, tools=())
MISTRAL = Format("mistral", _parse, write_list, False, read_mistral, (MARK,), own_ids=OWN_IDS)
MISTRAL_V11 = Format("mistral_v11", _parse, write_named, False, read_mistral, (MARK,), own_ids=OWN_IDS)
