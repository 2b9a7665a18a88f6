"""xLAM's form: a JSON list of calls, as the whole text, in a fence, or after a mark of another family.

Source: the chat templates of xLAM 1 and 2; vLLM's parser `xlam`.
"""

from __future__ import annotations

import re

from faultgym.agents.models.formats.format import Format
from faultgym.agents.models.formats.scan import json_list, thoughts_text, turn_of
from faultgym.core.jsontext import value_at
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.marked import calls_of, is_call
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

_MARKED = re.compile(
    r"(?P<fence>```)(?:json)?\s*(?=\[)|(?P<mistral>\[TOOL_CALLS\])\s*(?=\[)|(?P<tag><tool_call>)\s*(?=\[)"
)
_CLOSED = {"fence": "```", "mistral": "", "tag": "</tool_call>"}
_BEGUN = re.compile(r'\[\s*\{\s*"name"\s*:\s*"[^"]*"\s*,\s*"arguments"')


def parse_xlam(text: str) -> Turn:
    """`[{"name": ..., "arguments": {...}}]`, alone, in a fence, or marked.

    Example:
        >>> parse_xlam('[{"name": "look", "arguments": {"order": 7}}]').tool_calls[0].arguments
        {'order': 7}
    """
    reasoning, rest = split_thoughts(text, calls="")
    plain = rest.strip()
    if plain.startswith("[") and _MARKED.match(plain) is None:
        calls, end = _listed(plain, 0)
        return turn_of(plain[end:] if calls else plain, calls, reasoning)
    for marked in _MARKED.finditer(plain):
        calls, end = _listed(plain, marked.end())
        if calls:
            behind = plain[end:].lstrip().removeprefix(_CLOSED[marked.lastgroup or "fence"])
            return turn_of([plain[: marked.start()], behind], calls, reasoning)
    return turn_of(plain, (), reasoning)


def _listed(text: str, at: int) -> tuple[list[ToolCall], int]:
    """(the calls of the list that stands there, the place behind it); none where it is a list of something else."""
    found = value_at(text, at)
    if found is None:
        begun = _BEGUN.match(text, at) is not None
        return ([ToolCall("", "", None, text[at:].strip())], len(text)) if begun else ([], at)
    value, end = found
    if isinstance(value, list) and any(map(is_call, value)):
        return calls_of(value, text[at:end]), end
    return [], at


def write_xlam(turn: Turn) -> str:
    """The turn as xLAM writes it: its calls fenced where text stands before them."""
    calls = json_list(turn)
    if calls and turn.text:
        calls = f"\n```json\n{calls}\n```"
    return thoughts_text(turn) + turn.text + calls


XLAM = Format("xlam", parse_xlam, write_xlam)
