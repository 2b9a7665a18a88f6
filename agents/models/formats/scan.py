"""What the readers of all formats share: calls made of what was found, and the texts around them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from faultgym.agents.models.formats.format import Tools
from faultgym.agents.models.formats.values import typed_call
from faultgym.core.jsontext import value_at
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

WORDS = re.compile(r"""[^\n\[\]{}<>"']{1,80}""")
"""What stands alone where a call's name should: to vLLM a call of that name, which no tool has, without arguments."""
_NAME = re.compile(r"\s*([\w.-]{1,80})\s*")


def thoughts_text(turn: Turn, tags: tuple[str, str] = ("<think>\n", "\n</think>\n")) -> str:
    """The turn's thoughts as most templates write them; empty where there are none.

    Args:
        turn: The turn.
        tags: What begins and what ends them.
    """
    return f"{tags[0]}{turn.reasoning}{tags[1]}" if turn.reasoning else ""


def json_object(call: ToolCall, arguments: str = "arguments") -> str:
    """The call as a JSON object.

    Args:
        call: The call.
        arguments: What the member that holds its arguments is called.
    """
    return f'{{"name": {written(call.name)}, "{arguments}": {arguments_text(call)}}}'


def arguments_text(call: ToolCall) -> str:
    """The call's arguments as JSON; those that are none as they were written."""
    return written(call.arguments) if call.arguments is not None else call.raw or "{}"


def written(value: object) -> str:
    """The value as JSON text, as templates write it."""
    return json.dumps(value, ensure_ascii=False)


def json_list(turn: Turn) -> str:
    """The turn's calls as one JSON list; empty where there are none."""
    return f"[{', '.join(map(json_object, turn.tool_calls))}]" if turn.tool_calls else ""


def named_call(text: str, at: int, sep: str, ends: str | None = None) -> tuple[ToolCall, int]:
    """A call that is written as its name, a mark (or none), and a JSON object.

    Args:
        text: The whole text.
        at: Where the name begins.
        sep: The mark between name and arguments.
        ends: What ends the call; where the arguments are no object, they reach up to there; None for the text's end.

    Returns:
        (the call, the place behind its arguments).

    Example:
        >>> named_call('look[ARGS]{"order": 7} Wait.', 0, "[ARGS]")
        (ToolCall(id='', name='look', arguments={'order': 7}, raw=''), 22)
    """
    end = len(text) if ends is None or (found := text.find(ends, at)) < 0 else found
    name = _NAME.match(text, at, end)
    if name is None:
        return ToolCall("", "", None, text[at:end].strip()), end
    begin = name.end() + len(sep) if text.startswith(sep, name.end()) else name.end()
    value = value_at(text, begin)
    if value is not None and isinstance(value[0], dict):
        return ToolCall("", name[1], value[0]), value[1]
    return ToolCall("", name[1], None, text[begin:end].strip()), max(begin, end)


def turn_of(texts: str | Iterable[str], calls: Iterable[ToolCall], reasoning: str, tools: Tools = ()) -> Turn:
    """The turn with these calls.

    Args:
        texts: The text beside the calls, or its parts.
        calls: The calls, in order.
        reasoning: The thoughts.
        tools: Those by whose schemas values are typed; empty for values as they are.
    """
    parts = [texts] if isinstance(texts, str) else texts
    given = tuple([typed_call(call, tools) for call in calls] if tools else calls)
    text = "\n".join(part for part in map(str.strip, parts) if part)
    return Turn(text, given, reasoning, finish_reason="tool_calls" if given else "stop")
