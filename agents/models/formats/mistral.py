"""Mistral's form: `[TOOL_CALLS]` and a list (to v7), or a name and its arguments (v11, v13); `[THINK]` from v13 on.

Sources: mistral-common's tokenizers v3, v7, v11 and v13; vLLM's parser `mistral`.
"""

from __future__ import annotations

import re
from functools import partial

from faultgym.agents.models.formats.format import Format, Tools
from faultgym.agents.models.formats.scan import arguments_text, json_list, turn_of
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
    head, *pieces = rest.replace("</s>", "").split(MARK)
    texts, calls = [head], list[ToolCall]()
    for piece in pieces:
        found, behind = _piece(piece, tools)
        calls.extend(found)
        texts.append(behind)
    if pieces and not calls:
        calls.append(ToolCall("", "", None, ""))
    return turn_of(texts, calls, reasoning)


def _piece(piece: str, tools: Tools) -> tuple[list[ToolCall], str]:
    """(the calls after one mark, the text behind them)."""
    value = value_at(piece)
    if value is not None and isinstance(value[0], dict | list):
        return calls_of(value[0], piece[: value[1]].strip()), piece[value[1] :]
    calls: list[ToolCall] = []
    at = 0
    while (named := _NAMED.match(piece, at)) is not None:
        found = value_at(piece, named.end())
        if found is None or not isinstance(found[0], dict):
            calls.append(ToolCall(named[2] or "", named[1], None, piece[named.end() :].strip()))
            return calls, ""
        calls.extend(turn_of("", [ToolCall(named[2] or "", named[1], found[0])], "", tools).tool_calls)
        at = found[1]
    if calls or not piece.strip():
        return calls, piece[at:]
    name = re.match(r"\s*([\w.-]{1,80})\s*$", piece)
    return [ToolCall("", "", None, piece.strip()) if name is None else ToolCall("", name[1], {})], ""


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
