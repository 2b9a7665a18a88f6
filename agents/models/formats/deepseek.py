"""DeepSeek's form: the chat templates of V3 and V3.1."""

from __future__ import annotations

import json

from faultgym.agents.models.formats.scan import named_call, thoughts_text, turn_of
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import Turn

_CALL_BEGIN = "<｜tool▁call▁begin｜>"  # noqa: RUF001 - the model's own characters
_CALL_END = "<｜tool▁call▁end｜>"  # noqa: RUF001
_CALLS_BEGIN = "<｜tool▁calls▁begin｜>"  # noqa: RUF001
_CALLS_END = "<｜tool▁calls▁end｜>"  # noqa: RUF001
_SEP = "<｜tool▁sep｜>"  # noqa: RUF001


def parse_deepseek(text: str) -> Turn:
    """Calls between DeepSeek's marks: `name<sep>{...}`, or `function<sep>name` with a fenced JSON object."""
    reasoning, rest = split_thoughts(text)
    head, *pieces = rest.split(_CALL_BEGIN)
    calls = []
    for piece in pieces:
        inside = piece.partition(_CALL_END)[0].strip()
        kind, sep, after = inside.partition(_SEP)
        if sep and kind.strip() == "function":
            name, _, fenced = after.partition("\n")
            inside = f"{name.strip()}{_SEP}{fenced.strip().removeprefix('```json').removesuffix('```').strip()}"
        calls.append(named_call(inside, _SEP))
    return turn_of(head.replace(_CALLS_BEGIN, ""), calls, reasoning)


def write_deepseek(turn: Turn) -> str:
    """The turn as DeepSeek V3.1 writes it."""
    calls = "".join(
        f"{_CALL_BEGIN}{call.name}{_SEP}{json.dumps(call.arguments or {}, ensure_ascii=False)}{_CALL_END}"
        for call in turn.tool_calls
    )
    return thoughts_text(turn) + turn.text + (f"{_CALLS_BEGIN}{calls}{_CALLS_END}" if calls else "")
